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

    /// `tanh`, to six units in the last place.
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

/// The last number whose `tanh` is not 1 in `f32`.
pub(crate) const TANH_LAST: f32 = 9.010913;

/// `tanh x` is about `x P(x²) / Q(x²)` up to [`TANH_LAST`]: the coefficients of `P` and `Q`, from the constant on. They come
/// from `examples/tanh.rs`, which makes them and prints their error.
pub(crate) const TANH_ODD: [f32; 5] = [
    1.0,
    0.133_832_75,
    3.498_157e-3,
    2.064_738_5e-5,
    1.340_043_3e-8,
];
pub(crate) const TANH_EVEN: [f32; 5] = [
    1.0,
    0.467_165_98,
    2.588_701_8e-2,
    3.289_663_3e-4,
    7.796_829e-7,
];

/// `tanh` in `f32` precision, to six units in the last place, and exactly ±1 where that is what `tanh` rounds to: there the
/// derivative, `1 − y²`, is zero. The same as in `shaders/activation.wgsl`. A third of a small layer's time would go to the
/// library's function.
#[inline(always)]
fn rational_hyperbolic_tangent<N: Number>(x: N, multiply_add: impl Fn(N, N, N) -> N) -> N {
    let constant = |value: f32| x.constant(f64::from(value));
    let square = x * x;
    let fourth = square * square;
    let odd = even_polynomial(TANH_ODD, square, fourth, &multiply_add);
    let even = even_polynomial(TANH_EVEN, square, fourth, &multiply_add);
    let y = x * (odd / even);
    let (low, high) = (constant(-1.0), constant(1.0));
    // Rounding must not go beyond ±1. A NaN stays one.
    let y = y.where_less(low, low, y);
    let y = high.where_less(y, high, y);
    // Beyond the last, `y` may be anything.
    let y = constant(TANH_LAST).where_less(x, high, y);
    x.where_less(constant(-TANH_LAST), low, y)
}

/// A polynomial in `x²`, by pairs of coefficients (Estrin): the processor waits for fewer products than with Horner's scheme.
#[inline(always)]
fn even_polynomial<N: Number>(
    coefficients: [f32; 5],
    square: N,
    fourth: N,
    multiply_add: &impl Fn(N, N, N) -> N,
) -> N {
    let constant = |k: usize| square.constant(f64::from(coefficients[k]));
    let low = multiply_add(constant(2), square, constant(1));
    let high = multiply_add(constant(4), square, constant(3));
    multiply_add(multiply_add(high, fourth, low), square, constant(0))
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
        for k in 1..=2_000_000 {
            let x = k as f32 * 1e-5;
            let exact = f64::from(x).tanh();
            let y = x.hyperbolic_tangent();
            worst = worst.max((f64::from(y) / exact - 1.0).abs());
            assert_eq!((-x).hyperbolic_tangent(), -y);
        }
        assert!(worst < 3.5e-7, "{worst:e}");
        for tiny in [1e-30f32, -1e-10, f32::MIN_POSITIVE, 1e-45] {
            assert_eq!(tiny.hyperbolic_tangent(), tiny);
        }
        // An exact zero stays one, of its sign.
        for zero in [0.0f32, -0.0] {
            assert_eq!(zero.hyperbolic_tangent().to_bits(), zero.to_bits());
        }
        assert!(f32::NAN.hyperbolic_tangent().is_nan());
    }

    #[test]
    fn hyperbolic_tangent_is_one_where_it_rounds_to_that() {
        let rounded = |x: f32| f64::from(x).tanh() as f32;
        assert!(rounded(TANH_LAST) < 1.0 && rounded(TANH_LAST.next_up()) == 1.0);
        let beyond = [
            TANH_LAST.next_up(),
            9.1,
            20.0,
            1e10,
            f32::MAX,
            f32::INFINITY,
        ];
        for x in beyond {
            assert_eq!(x.hyperbolic_tangent(), 1.0, "{x}");
            assert_eq!((-x).hyperbolic_tangent(), -1.0, "{x}");
        }
        // Up to there it goes up to 1, and no further.
        let mut x = TANH_LAST;
        for _ in 0..1 << 21 {
            let y = x.hyperbolic_tangent();
            let error = (f64::from(y) - f64::from(x).tanh()).abs();
            assert!(y <= 1.0 && error < 3.5e-7, "{x}: {y}");
            x = x.next_down();
        }
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
