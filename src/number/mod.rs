//! Numbers, and vectors of them: what formulas are written over and the CPU engine computes in.

mod aligned;
mod formula;
mod lanes;
mod pair;
mod range;
mod real;
mod tanh;

pub(crate) use aligned::{Aligned, padded, zeros};
pub use formula::Number;
pub(crate) use formula::{Apart, EngineNumber};
pub(crate) use lanes::{Kernel, Lanes, SQUARE, instruction_set, pair_width, vectorise};
pub(crate) use pair::Pair;
pub(crate) use range::{beyond_range, require_in_range};
pub(crate) use real::PerPrecision;
pub use real::Real;
#[cfg(feature = "gpu")]
pub(crate) use tanh::{TANH_EVEN, TANH_LAST, TANH_ODD};
