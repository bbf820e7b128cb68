//! The two floating-point types that the CPU engine computes in.

use super::formula::Number;
use super::lanes::Lanes;
use super::pair::Pair;
use super::tanh::rational_hyperbolic_tangent;
use num_traits::{Float, NumAssign};
use pulp::Simd;
use std::iter::Sum;

/// A floating-point type of the engines: `f32` or `f64`.
pub trait Real:
    Number
    + Lanes
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

    /// `tanh` in each lane.
    #[doc(hidden)]
    fn tangents<S: Simd>(x: Pair<S, Self>) -> Pair<S, Self>;
}

/// What both floating-point types have in common as numbers.
macro_rules! number {
    ($real:ty, $tangent:expr) => {
        impl Number for $real {
            #[inline(always)]
            fn constant(self, value: f64) -> Self {
                value as Self
            }

            #[inline(always)]
            fn hyperbolic_tangent(self) -> Self {
                let tangent: fn(Self) -> Self = $tangent;
                tangent(self)
            }

            #[inline(always)]
            fn exponential(self) -> Self {
                self.exp()
            }

            #[inline(always)]
            fn logarithm(self) -> Self {
                self.ln()
            }

            #[inline(always)]
            fn square_root(self) -> Self {
                self.sqrt()
            }

            #[inline(always)]
            fn where_less(self, bound: Self, then: Self, otherwise: Self) -> Self {
                if self < bound { then } else { otherwise }
            }
        }
    };
}

number!(f32, |x| rational_hyperbolic_tangent(x, |a, b, c| a * b + c));
number!(f64, |x| x.tanh());

impl<S: Simd, R: Real> Number for Pair<S, R> {
    #[inline(always)]
    fn constant(self, value: f64) -> Self {
        self.splat(R::from_f64(value))
    }

    #[inline(always)]
    fn hyperbolic_tangent(self) -> Self {
        R::tangents(self)
    }

    #[inline(always)]
    fn exponential(self) -> Self {
        self.map(R::exp)
    }

    #[inline(always)]
    fn logarithm(self) -> Self {
        self.map(R::ln)
    }

    #[inline(always)]
    fn square_root(self) -> Self {
        self.map(R::sqrt)
    }

    #[inline(always)]
    fn where_less(self, bound: Self, then: Self, otherwise: Self) -> Self {
        self.choose_less(bound, then, otherwise)
    }
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

    #[inline(always)]
    fn tangents<S: Simd>(x: Pair<S, Self>) -> Pair<S, Self> {
        rational_hyperbolic_tangent(x, Pair::multiply_add)
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

    #[inline(always)]
    fn tangents<S: Simd>(x: Pair<S, Self>) -> Pair<S, Self> {
        x.map(Self::tanh)
    }
}
