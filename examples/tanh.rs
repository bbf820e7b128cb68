//! Where the coefficients of the engines' `tanh` in `f32` come from, and how far it is from the true one:
//! `cargo run --release --example tanh`.
//!
//! They are those of the quotient `x P(x²) / Q(x²)`, with polynomials of degree 4 and `P(0) = Q(0) = 1`, whose largest
//! relative error is least, from 0 to the last number whose `tanh` is not 1 in `f32`. Such a quotient is known by its error:
//! it takes its largest size as often as there are coefficients and once more, with signs in turn. Remez's exchange looks
//! for such points: it fits the quotient to errors of one size and alternating sign at some points, takes the peaks of the
//! error as the next points, and ends where all peaks are equal.

use metaplastic::Activation;
use rayon::prelude::*;
use std::cmp::Ordering;

/// The degree of each polynomial in `x²`.
const DEGREE: usize = 4;

/// Coefficients that are looked for, and the size of the error.
const UNKNOWNS: usize = 2 * DEGREE + 1;

/// Numbers at which peaks of the error are looked for.
const GRID: usize = 40_000;

/// The coefficients of `P` and of `Q`, and the largest relative error from 0 to `last`.
struct Quotient {
    odd: [f64; DEGREE + 1],
    even: [f64; DEGREE + 1],
    error: f64,
}

/// `c_0 + c_1 u + c_2 u² + …`
fn polynomial(coefficients: &[f64], u: f64) -> f64 {
    let rest = coefficients.iter().rev();
    rest.fold(0.0, |sum, coefficient| sum * u + coefficient)
}

/// Solves `matrix · x = x`, by elimination with the largest pivot.
fn solve(mut matrix: [[f64; UNKNOWNS]; UNKNOWNS], mut x: [f64; UNKNOWNS]) -> [f64; UNKNOWNS] {
    for k in 0..UNKNOWNS {
        let size = |row: &usize| matrix[*row][k].abs();
        let pivot = (k..UNKNOWNS).max_by(|a, b| size(a).total_cmp(&size(b)));
        let pivot = pivot.expect("rows from k on");
        matrix.swap(k, pivot);
        x.swap(k, pivot);
        let row = matrix[k];
        for below in k + 1..UNKNOWNS {
            let factor = matrix[below][k] / row[k];
            for (value, above) in matrix[below].iter_mut().zip(row) {
                *value -= factor * above;
            }
            x[below] -= factor * x[k];
        }
    }
    for k in (0..UNKNOWNS).rev() {
        let known: f64 = (k + 1..UNKNOWNS).map(|j| matrix[k][j] * x[j]).sum();
        x[k] = (x[k] - known) / matrix[k][k];
    }
    x
}

impl Quotient {
    /// The best up to `last`.
    fn best(last: f64) -> Self {
        // Polynomials in u = (x / last)², of which every power is between 0 and 1.
        let mut points: [f64; UNKNOWNS] = std::array::from_fn(|k| {
            let part = (k as f64 + 1.0) / UNKNOWNS as f64;
            last * (part * std::f64::consts::FRAC_PI_2).sin()
        });
        let mut quotient = Self {
            odd: [0.0; DEGREE + 1],
            even: std::array::from_fn(|k| if k == 0 { 1.0 } else { 0.0 }),
            error: 0.0,
        };
        loop {
            quotient.fit(&points, last);
            let peaks = quotient.peaks(last);
            let largest = peaks.iter().map(|(_, error)| error.abs());
            let largest = largest.fold(0.0, f64::max);
            let is_level = largest <= quotient.error * (1.0 + 1e-6);
            points = std::array::from_fn(|k| peaks[k].0);
            if is_level {
                break;
            }
        }
        let unscaled = |scaled: [f64; DEGREE + 1]| {
            std::array::from_fn(|k| scaled[k] / last.powi(2 * k as i32))
        };
        Self {
            odd: unscaled(quotient.odd),
            even: unscaled(quotient.even),
            ..quotient
        }
    }

    /// Makes the relative error at the points `±error`, with signs in turn: `x P = (1 ± error) tanh(x) Q`. The product of two
    /// unknowns, `error · Q`, takes `Q` from the round before.
    fn fit(&mut self, points: &[f64; UNKNOWNS], last: f64) {
        for _ in 0..100 {
            let mut matrix = [[0.0; UNKNOWNS]; UNKNOWNS];
            let mut right = [0.0; UNKNOWNS];
            for (n, &x) in points.iter().enumerate() {
                let (u, exact) = ((x / last).powi(2), x.tanh() / x);
                for k in 1..=DEGREE {
                    matrix[n][k - 1] = u.powi(k as i32) / exact;
                    matrix[n][DEGREE + k - 1] = -u.powi(k as i32);
                }
                let sign = if n % 2 == 0 { 1.0 } else { -1.0 };
                matrix[n][2 * DEGREE] = -sign * polynomial(&self.even, u);
                right[n] = 1.0 - 1.0 / exact;
            }
            let found = solve(matrix, right);
            let before = self.even;
            self.odd[0] = 1.0;
            self.odd[1..].copy_from_slice(&found[..DEGREE]);
            self.even[1..].copy_from_slice(&found[DEGREE..2 * DEGREE]);
            self.error = found[2 * DEGREE].abs();
            let pairs = before.iter().zip(&self.even);
            if pairs.fold(0.0, |most, (a, b)| f64::max(most, (a / b - 1.0).abs())) < 1e-12 {
                return;
            }
        }
        panic!("the points have no quotient");
    }

    /// Where the error is largest between two of its zeros, and what it is there; of more than are needed, the largest.
    fn peaks(&self, last: f64) -> Vec<(f64, f64)> {
        let mut peaks: Vec<(f64, f64)> = Vec::new();
        for k in 1..=GRID {
            let x = last * k as f64 / GRID as f64;
            let u = (x / last).powi(2);
            let value = x * polynomial(&self.odd, u) / polynomial(&self.even, u);
            let error = value / x.tanh() - 1.0;
            match peaks.last_mut() {
                Some(peak) if peak.1.is_sign_positive() == error.is_sign_positive() => {
                    if error.abs() > peak.1.abs() {
                        *peak = (x, error);
                    }
                }
                _ => peaks.push((x, error)),
            }
        }
        assert!(peaks.len() >= UNKNOWNS, "too few peaks: {peaks:?}");
        while peaks.len() > UNKNOWNS {
            let (first, end) = (peaks[0].1.abs(), peaks[peaks.len() - 1].1.abs());
            peaks.remove(if first < end { 0 } else { peaks.len() - 1 });
        }
        peaks
    }

    /// The coefficients as `f32`, each rounded up or down so that the largest relative error is least.
    fn rounded(&self, last: f64) -> [[f32; DEGREE + 1]; 2] {
        let grid = (1..=GRID / 10).map(|k| last * k as f64 / (GRID / 10) as f64);
        let grid: Vec<_> = grid.map(|x| (x, x.tanh())).collect();
        let neighbours = [self.odd, self.even].map(|part| part.map(neighbours));
        let candidates = (0..1u32 << (2 * DEGREE)).map(|choice| {
            let pick = |part: usize, k: usize| {
                let bit = choice >> (part * DEGREE + k.saturating_sub(1)) & 1;
                neighbours[part][k][bit as usize]
            };
            [0, 1].map(|part| std::array::from_fn(|k| pick(part, k)))
        });
        let error = |[odd, even]: &[[f32; DEGREE + 1]; 2]| {
            let errors = grid
                .iter()
                .map(|&(x, exact)| (value(odd, even, x) / exact - 1.0).abs());
            errors.fold(0.0, f64::max)
        };
        let rated = candidates.map(|candidate| (error(&candidate), candidate));
        let best = rated.min_by(|a, b| a.0.total_cmp(&b.0));
        best.expect("there are candidates").1
    }
}

/// The nearest `f32` on either side.
fn neighbours(value: f64) -> [f32; 2] {
    let near = value as f32;
    match f64::from(near).total_cmp(&value) {
        Ordering::Less => [near, near.next_up()],
        Ordering::Equal => [near, near],
        Ordering::Greater => [near.next_down(), near],
    }
}

/// `x P(x²) / Q(x²)`, exactly.
fn value(odd: &[f32], even: &[f32], x: f64) -> f64 {
    let sum = |part: &[f32]| {
        let rest = part.iter().rev();
        rest.fold(0.0, |sum, &coefficient| {
            sum * (x * x) + f64::from(coefficient)
        })
    };
    x * sum(odd) / sum(even)
}

/// The last number whose `tanh` is not 1 in `f32`.
fn last_below_one() -> f32 {
    let mut x = 9.0f32;
    while f64::from(x.next_up()).tanh() as f32 != 1.0 {
        x = x.next_up();
    }
    x
}

/// The largest relative error of `tanh` from the least positive normal number to `last`.
fn largest_error(last: f32, tanh: impl Fn(f32) -> f64 + Sync) -> (f64, f32) {
    let all = f32::MIN_POSITIVE.to_bits()..=last.to_bits();
    all.into_par_iter()
        .map(|bits| {
            let x = f32::from_bits(bits);
            ((tanh(x) / f64::from(x).tanh() - 1.0).abs(), x)
        })
        .reduce(|| (0.0, 0.0), |a, b| if b.0 > a.0 { b } else { a })
}

fn main() {
    let last = last_below_one();
    let quotient = Quotient::best(f64::from(last));
    let [odd, even] = quotient.rounded(f64::from(last));
    println!("last {last:?}\nodd  {odd:?}\neven {even:?}\n");
    println!("largest relative error");
    println!("  {:.3e}  the best quotient", quotient.error);
    let exact = |x: f32| value(&odd, &even, f64::from(x));
    let (error, x) = largest_error(last, exact);
    println!("  {error:.3e}  with these coefficients, at {x:?}");
    let engine = |x: f32| f64::from(Activation::Tanh.apply(x));
    let (error, x) = largest_error(last, engine);
    println!("  {error:.3e}  as the CPU engine computes it for single numbers, at {x:?}");
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The engine's formula, with the coefficients that come out here.
    #[test]
    fn the_engine_has_these_coefficients() {
        let last = last_below_one();
        let quotient = Quotient::best(f64::from(last));
        assert!(quotient.error < 2.2e-8, "{:e}", quotient.error);
        let [odd, even] = quotient.rounded(f64::from(last));
        for k in 0..=10_000 {
            let x = last * k as f32 / 10_000.0;
            let square = x * x;
            let [odd, even] = [odd, even].map(|c| {
                let (low, high) = (c[2] * square + c[1], c[4] * square + c[3]);
                (high * (square * square) + low) * square + c[0]
            });
            let expected = (x * (odd / even)).min(1.0);
            assert_eq!(Activation::Tanh.apply(x), expected, "{x:?}");
        }
        assert_eq!(Activation::Tanh.apply(last.next_up()), 1.0);
    }
}
