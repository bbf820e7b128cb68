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

    /// `tanh`, to five units in the last place.
    fn hyperbolic_tangent(self) -> Self;
}

impl Real for f32 {
    const NAME: &'static str = "f32";

    /// A quotient of polynomials, odd and even, fitted to the range in which `tanh` is not yet ±1 in `f32`: a third of
    /// a small layer's time would go to the library's function.
    #[inline(always)]
    fn hyperbolic_tangent(self) -> Self {
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
        // `clamp` leaves a NaN one.
        let x = self.clamp(-7.905_311, 7.905_311);
        let square = x * x;
        let horner = |sum: f32, &coefficient: &f32| sum * square + coefficient;
        let odd = ODD.iter().fold(0.0, horner);
        let even = EVEN.iter().fold(0.0, horner);
        x * (odd / even)
    }

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
    fn hyperbolic_tangent(self) -> Self {
        self.tanh()
    }

    #[inline(always)]
    fn from_f64(value: f64) -> Self {
        value
    }

    #[inline(always)]
    fn as_f64(self) -> f64 {
        self
    }
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
        assert!(f32::NAN.hyperbolic_tangent().is_nan());
        assert!((f32::INFINITY.hyperbolic_tangent() - 1.0).abs() < 5e-7);
        assert!(f32::MAX.hyperbolic_tangent() <= 1.0);
        assert!(f32::MIN.hyperbolic_tangent() >= -1.0);
    }
}
