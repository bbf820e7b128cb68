//! The numbers that engines compute in ([`Real`]: `f32` or `f64`), and what formulas are written over ([`Number`]: one of
//! those, or a vector of them).

mod aligned;
mod exponential;
mod formula;
mod lanes;
mod pair;
mod range;
mod real;
mod tanh;

pub(crate) use aligned::{Aligned, padded, zeros};
pub use formula::Number;
pub(crate) use formula::{Apart, EngineNumber};
pub(crate) use lanes::{
    Kernel, Lanes, SQUARE, dispatch, has_vectors, instruction_set, pair_width, vectorise,
};
pub(crate) use pair::Pair;
pub(crate) use range::{beyond_range, require_in_range};
pub(crate) use real::PerPrecision;
pub use real::Real;
#[cfg(feature = "gpu")]
pub(crate) use tanh::{TANH_EVEN, TANH_LAST, TANH_ODD};
