//! The two floating-point types that the CPU engine computes in.

use crate::cpu::simd::{Lanes, Pair};
use crate::{Error, Result};
use num_traits::{Float, NumAssign};
use pulp::Simd;
use std::iter::Sum;
use std::ops::{Add, Div, Mul, Neg, Sub};

/// What rules and activations are formulas of: one number, or one in each lane of a vector.
pub trait Number:
    Copy
    + Add<Output = Self>
    + Sub<Output = Self>
    + Mul<Output = Self>
    + Div<Output = Self>
    + Neg<Output = Self>
{
    /// `value`, in every lane that `self` has.
    fn constant(self, value: f64) -> Self;

    /// `tanh`, to five units in the last place.
    fn hyperbolic_tangent(self) -> Self;

    /// `exp`.
    fn exponential(self) -> Self;

    /// `then` where `self < bound`, `otherwise` elsewhere: also where one of the two is NaN.
    fn where_less(self, bound: Self, then: Self, otherwise: Self) -> Self;
}

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

/// `tanh` in `f32` precision: a quotient of polynomials, odd and even, fitted to the range in which `tanh` is not yet ±1
/// in `f32`. A third of a small layer's time would go to the library's function.
#[inline(always)]
fn rational_hyperbolic_tangent<N: Number>(x: N, multiply_add: impl Fn(N, N, N) -> N) -> N {
    const ODD: [f32; 7] = [
        -2.760_768_5e-16,
        2.000_188e-13,
        -8.604_672e-11,
        5.122_297e-8,
        1.485_722_4e-5,
        6.372_619_3e-4,
        4.893_524_6e-3,
    ];
    const EVEN: [f32; 4] = [1.198_258_4e-6, 1.185_347_1e-4, 2.268_434_6e-3, 4.893_525e-3];
    let constant = |value: f32| x.constant(f64::from(value));
    let (low, high) = (constant(-7.905_311), constant(7.905_311));
    // A NaN stays one.
    let x = x.where_less(low, low, x);
    let x = high.where_less(x, high, x);
    let square = x * x;
    // By pairs of coefficients (Estrin): the processor waits for fewer products than with Horner's scheme.
    let fourth = square * square;
    let pair = |[high, low]: [f32; 2]| multiply_add(constant(high), square, constant(low));
    let add = |sum, pair| multiply_add(sum, fourth, pair);
    let [a, b, c, d, e, f, g] = ODD;
    let odd = add(add(pair([a, b]), pair([c, d])), pair([e, f]));
    let odd = multiply_add(odd, square, constant(g));
    let [a, b, c, d] = EVEN;
    let even = add(pair([a, b]), pair([c, d]));
    x * (odd / even)
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

/// What is wrong with a finite `value` that precision `R` does not reach.
pub(crate) fn beyond_range<R: Real>(value: f64) -> String {
    let (least, largest) = (R::min_positive_value().as_f64(), R::max_value().as_f64());
    let limit = if value.abs() > 1.0 {
        format!("up to {largest:e}")
    } else {
        format!("0, or from {least:e}")
    };
    format!("{value:e}, beyond the range of {} ({limit})", R::NAME)
}

/// Fails unless a setting is finite and stays what it is, but for rounding, in precision `R`: neither infinite nor so
/// small that a device may take it for zero.
pub(crate) fn require_in_range<R: Real>(field: &str, value: f64) -> Result<()> {
    let reason = if !value.is_finite() {
        format!("{value}, expected a finite value")
    } else if !R::from_f64(value).is_finite()
        || (value != 0.0 && R::from_f64(value).abs() < R::min_positive_value())
    {
        beyond_range::<R>(value)
    } else {
        return Ok(());
    };
    Err(Error::setting(field, reason))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hyperbolic_tangent_is_accurate_everywhere() {
        let mut worst: f64 = 0.0;
        for k in -2_000_000..=2_000_000 {
            let x = k as f32 * 1e-5;
            let exact = f64::from(x).tanh();
            let error = (f64::from(x.hyperbolic_tangent()) - exact).abs();
            worst = worst.max(if k == 0 { error } else { error / exact.abs() });
        }
        assert!(worst < 5e-7, "{worst:e}");
        for tiny in [1e-30f32, -1e-10, f32::MIN_POSITIVE] {
            let relative = tiny.hyperbolic_tangent() / tiny;
            assert!((relative - 1.0).abs() < 5e-7, "{tiny:e}: {relative}");
        }
        // An exact zero stays one, of its sign.
        assert_eq!(
            (-0.0f32).hyperbolic_tangent().to_bits(),
            (-0.0f32).to_bits()
        );
        assert!(f32::NAN.hyperbolic_tangent().is_nan());
        assert!((f32::INFINITY.hyperbolic_tangent() - 1.0).abs() < 5e-7);
        assert!(f32::MAX.hyperbolic_tangent() <= 1.0);
        assert!(f32::MIN.hyperbolic_tangent() >= -1.0);
    }

    #[test]
    fn what_single_precision_does_not_reach_is_refused_as_that() {
        for value in [0.0, -0.0, 1e38, -1e38, 1.2e-38, -1.2e-38] {
            require_in_range::<f32>("setting", value).unwrap();
        }
        for value in [1e39, -1e39, 1e300, 1e-39, -1e-300] {
            require_in_range::<f64>("setting", value).unwrap();
            let error = require_in_range::<f32>("setting", value).unwrap_err();
            let (error, shown) = (error.to_string(), format!("setting: {value:e}, beyond"));
            assert!(
                error.starts_with(&shown) && error.contains("f32"),
                "{error}"
            );
        }
        for value in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            let error = require_in_range::<f32>("setting", value).unwrap_err();
            assert!(error.to_string().contains("expected a finite value"));
        }
    }
}
