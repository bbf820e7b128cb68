//! `exp` and the natural logarithm of vectors of `f32`: a lane after the other would take most of the time of a small network's
//! loss.
//!
//! Both reduce their argument by a power of two and take a polynomial of the rest; reductions and coefficients are those of
//! Moshier's Cephes library (`expf` and `logf`).

use super::formula::{EngineNumber, Number};
use super::pair::Pair;
use pulp::Simd;

/// Beyond these `exp` is infinite, or zero.
const HIGHEST: f32 = 89.0;
const LOWEST: f32 = -104.0;

/// Adding it rounds a small number to a whole one, which is then in the lowest bits.
const ROUNDS: f32 = 12_582_912.0;

/// ln 2 in two parts, of which a product with the first is exact.
const LN_2: [f32; 2] = [0.693_359_4, -2.121_944_4e-4];

/// Of `(exp r − 1 − r) / r²`, from the highest power on.
const EXPONENTIAL: [f32; 6] = [
    1.987_569_1e-4,
    1.398_199_9e-3,
    8.333_452e-3,
    4.166_579_6e-2,
    1.666_666_5e-1,
    5e-1,
];

/// Of `(ln (1 + r) − r + r² / 2) / r³`, from the highest power on.
const LOGARITHM: [f32; 9] = [
    7.037_683_6e-2,
    -1.151_461e-1,
    1.167_699_9e-1,
    -1.242_014_1e-1,
    1.424_932_3e-1,
    -1.666_805_8e-1,
    2.000_071_5e-1,
    -2.499_999_4e-1,
    3.333_333e-1,
];

/// `exp x`, to two units in the last place.
#[inline(always)]
pub(super) fn exponential<S: Simd>(x: Pair<S, f32>) -> Pair<S, f32> {
    let [highest, lowest] = [HIGHEST, LOWEST].map(|bound| x.splat(bound));
    let bounded = x.where_less(lowest, lowest, x);
    let bounded = highest.where_less(bounded, highest, bounded);
    let powers = rounded(bounded * x.splat(std::f32::consts::LOG2_E));
    let r = (-powers).multiply_add(x.splat(LN_2[0]), bounded);
    let r = (-powers).multiply_add(x.splat(LN_2[1]), r);
    let one_more = r + x.splat(1.0);
    let y = polynomial(EXPONENTIAL, r).multiply_add(r * r, one_more);
    // In two parts, either of which is a number where the whole is beyond them, or has lost digits.
    let half = rounded(powers * x.splat(0.5));
    y * power_of_two(half) * power_of_two(powers - half)
}

/// `ln x`, to two units in the last place.
#[inline(always)]
pub(super) fn logarithm<S: Simd>(x: Pair<S, f32>) -> Pair<S, f32> {
    let simd = x.simd();
    let (zero, one, half) = (x.splat(0.0), x.splat(1.0), x.splat(0.5));
    let least = x.splat(f32::MIN_POSITIVE);
    let up = x.splat((1 << 23) as f32);
    let normal = x.where_less(least, x * up, x);
    let mut fraction = normal.vectors;
    let mut exponent = normal.vectors;
    for k in 0..2 {
        let bits = simd.transmute_u32s_f32s(normal.vectors[k]);
        let of_fraction = simd.and_u32s(bits, simd.splat_u32s(0x007F_FFFF));
        let of_half = simd.or_u32s(of_fraction, simd.splat_u32s(0.5f32.to_bits()));
        fraction[k] = simd.transmute_f32s_u32s(of_half);
        let power = simd.wrapping_dyn_shr_u32s(bits, simd.splat_u32s(23));
        // A float of that whole number above 2^23.
        let above = simd.or_u32s(power, simd.splat_u32s(((1 << 23) as f32).to_bits()));
        exponent[k] = simd.transmute_f32s_u32s(above);
    }
    let exponent = Pair::new(simd, exponent) - x.splat((1 << 23) as f32 + 126.0);
    let exponent = x.where_less(least, exponent - x.splat(23.0), exponent);
    let fraction = Pair::new(simd, fraction);
    let root = x.splat(std::f32::consts::FRAC_1_SQRT_2);
    let r = fraction.where_less(root, fraction + fraction, fraction) - one;
    let exponent = fraction.where_less(root, exponent - one, exponent);
    let square = r * r;
    let y = polynomial(LOGARITHM, r) * r * square;
    let y = exponent.multiply_add(x.splat(LN_2[1]), y);
    let y = (-half).multiply_add(square, y);
    let y = exponent.multiply_add(x.splat(LN_2[0]), r + y);
    let infinity = x.splat(f32::INFINITY);
    let y = x.splat(f32::MAX).where_less(x, infinity, y);
    let y = x.where_less(zero, x.splat(f32::NAN), y);
    // Neither less nor more than zero is zero itself, and a NaN.
    let differs = x.where_less(zero, one, zero) + zero.where_less(x, one, zero);
    differs.where_less(half, x - infinity, y)
}

/// To the nearest whole number, of a number below 2^22 either way.
#[inline(always)]
fn rounded<S: Simd>(x: Pair<S, f32>) -> Pair<S, f32> {
    (x + x.splat(ROUNDS)) - x.splat(ROUNDS)
}

/// `2^power`, of a whole number within the range of a float's exponents.
#[inline(always)]
fn power_of_two<S: Simd>(power: Pair<S, f32>) -> Pair<S, f32> {
    let simd = power.simd();
    let mut vectors = (power + power.splat(ROUNDS + 127.0)).vectors;
    for vector in &mut vectors {
        let bits = simd.transmute_u32s_f32s(*vector);
        let bits = simd.wrapping_dyn_shl_u32s(bits, simd.splat_u32s(23));
        *vector = simd.transmute_f32s_u32s(bits);
    }
    Pair::new(simd, vectors)
}

/// By Horner's scheme.
#[inline(always)]
fn polynomial<S: Simd, const N: usize>(coefficients: [f32; N], x: Pair<S, f32>) -> Pair<S, f32> {
    let mut sum = x.splat(coefficients[0]);
    for coefficient in &coefficients[1..] {
        sum = sum.product_plus(x, x.splat(*coefficient));
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::super::lanes::{Kernel, Lanes, pair_width, vectorise};
    use super::*;

    /// Either function of every value, with vectors.
    struct Of<'a>(&'a mut [f32], bool);

    impl Kernel for Of<'_> {
        #[inline(always)]
        fn run<S: Simd>(self, simd: S) {
            for pair in f32::pairs_mut::<S>(self.0) {
                let x = Pair::new(simd, *pair);
                let y = if self.1 { logarithm(x) } else { exponential(x) };
                *pair = y.vectors;
            }
        }
    }

    fn of(values: &[f32], is_logarithm: bool) -> Vec<f32> {
        let width = pair_width::<f32>();
        let mut all = values.to_vec();
        all.resize(values.len().next_multiple_of(width), 1.0);
        // Vectors begin where elements do.
        let mut padded = super::super::aligned::zeros(all.len());
        padded.copy_from_slice(&all);
        vectorise(Of(&mut padded, is_logarithm));
        padded[..values.len()].to_vec()
    }

    #[test]
    fn exponentials_are_accurate_everywhere() {
        let values: Vec<f32> = (-1_050_000..=900_000).map(|k| k as f32 * 1e-4).collect();
        for (x, y) in values.iter().zip(of(&values, false)) {
            let exact = f64::from(*x).exp();
            let error = (f64::from(y) - exact).abs();
            let smallest = f64::from(f32::from_bits(1));
            let is_beyond = exact > f64::from(f32::MAX) && y == f32::INFINITY;
            assert!(
                is_beyond || error < 2.5e-7 * exact + smallest,
                "{x}: {y}, {exact}"
            );
        }
    }

    #[test]
    fn logarithms_are_accurate_everywhere() {
        let mut values: Vec<f32> = (0..2_000_000u32)
            .map(|k| f32::from_bits(1 + k * 1065))
            .collect();
        values.extend((1..400_000).map(|k| k as f32 * 5e-6));
        for (x, y) in values.iter().zip(of(&values, true)) {
            let exact = f64::from(*x).ln();
            let error = (f64::from(y) - exact).abs();
            assert!(error <= 2.5e-7 * exact.abs(), "{x}: {y}, {exact}");
        }
    }

    #[test]
    fn what_has_no_value_has_none() {
        let (nan, infinity) = (f32::NAN, f32::INFINITY);
        let exponentials = of(&[infinity, -infinity, 1e30, -1e30, 0.0, -0.0], false);
        assert_eq!(exponentials, [infinity, 0.0, infinity, 0.0, 1.0, 1.0]);
        let logarithms = of(&[infinity, 0.0, -0.0, 1.0], true);
        assert_eq!(logarithms, [infinity, -infinity, -infinity, 0.0]);
        for (values, is_logarithm) in [(&[nan, -nan][..], false), (&[nan, -1.0, -infinity], true)] {
            let results = of(values, is_logarithm);
            assert!(results.iter().all(|it| it.is_nan()), "{results:?}");
        }
    }
}
