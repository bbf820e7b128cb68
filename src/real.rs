//! The two floating-point types that the CPU engine computes in.

use crate::cpu::simd::Lanes;
use num_traits::{Float, NumAssign};
use std::iter::Sum;

/// A floating-point type of the engines: `f32` or `f64`.
pub trait Real:
    Lanes
    + Float
    + NumAssign
    + Sum
    + Default
    + Send
    + Sync
    + std::fmt::Debug
    + std::fmt::Display
    + 'static
{
    /// The type's name: `"f32"` or `"f64"`.
    const NAME: &'static str;

    /// The nearest value to `value`.
    fn from_f64(value: f64) -> Self;

    /// The value as `f64`, exactly.
    fn as_f64(self) -> f64;
}

impl Real for f32 {
    const NAME: &'static str = "f32";

    #[inline(always)]
    fn from_f64(value: f64) -> Self {
        value as f32
    }

    #[inline(always)]
    fn as_f64(self) -> f64 {
        f64::from(self)
    }
}

impl Real for f64 {
    const NAME: &'static str = "f64";

    #[inline(always)]
    fn from_f64(value: f64) -> Self {
        value
    }

    #[inline(always)]
    fn as_f64(self) -> f64 {
        self
    }
}
