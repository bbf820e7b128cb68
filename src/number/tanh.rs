//! `tanh`.

use super::formula::Number;

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
pub(super) fn rational_hyperbolic_tangent<N: Number>(
    x: N,
    multiply_add: impl Fn(N, N, N) -> N,
) -> N {
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
}
