//! The gradient on a layer's weights over a group of episodes, `∂L/∂w_ij = Σ_t Σ_e δ_i(t) x_j(t)`: a product of matrices,
//! in tiles of sums that stay in registers.

use super::rows::part;
use crate::number::Real;
use crate::zip::zip_eq;
use pulp::Simd;
use std::ops::Range;

/// Adds to `gradient`, `[rows, padded]`, what the steps of `segment` give. `signal`, `[rows, T, W]`, holds `δ`; `input` is
/// `[T, inputs, W]`. Lanes without an episode have a `δ` of zero.
#[inline(always)]
pub(super) fn weight_gradient<S: Simd, R: Real>(
    simd: S,
    signal: &[R],
    input: &[R],
    inputs: usize,
    segment: Range<usize>,
    gradient: &mut [R],
    padded: usize,
) {
    let row = inputs * R::pair_width::<S>();
    let of_row = signal.len() / (gradient.len() / padded);
    let of_segment = |size: usize| segment.start * size..segment.end * size;
    let x = R::pairs::<S>(&input[of_segment(row)]);
    let deltas = |signal| {
        let row: &[R] = part(signal, 0, of_row);
        R::pairs::<S>(&row[of_segment(R::pair_width::<S>())])
    };
    let rows = signal
        .chunks(2 * of_row)
        .zip(gradient.chunks_mut(2 * padded));
    for (signal, gradient) in rows {
        if signal.len() > of_row {
            let signals = [deltas(signal), deltas(&signal[of_row..])];
            over_columns(simd, signals, x, inputs, gradient, padded);
        } else {
            over_columns(simd, [deltas(signal)], x, inputs, gradient, padded);
        }
    }
}

/// `N` rows: as many columns at a time as there are registers for.
#[inline(always)]
fn over_columns<S: Simd, R: Real, const N: usize>(
    simd: S,
    deltas: [&[[R::Vector<S>; 2]]; N],
    x: &[[R::Vector<S>; 2]],
    inputs: usize,
    gradient: &mut [R],
    padded: usize,
) {
    let mut j = 0;
    while j < inputs {
        let columns = match inputs - j {
            4.. => 4,
            2.. => 2,
            _ => 1,
        };
        match columns {
            4 => tile::<S, R, N, 4>(simd, deltas, x, inputs, j, gradient, padded),
            2 => tile::<S, R, N, 2>(simd, deltas, x, inputs, j, gradient, padded),
            _ => tile::<S, R, N, 1>(simd, deltas, x, inputs, j, gradient, padded),
        }
        j += columns;
    }
}

/// `N` rows and `C` columns from number `j` on.
#[inline(always)]
fn tile<S: Simd, R: Real, const N: usize, const C: usize>(
    simd: S,
    deltas: [&[[R::Vector<S>; 2]]; N],
    x: &[[R::Vector<S>; 2]],
    inputs: usize,
    j: usize,
    gradient: &mut [R],
    padded: usize,
) {
    let zero = R::splat(simd, R::zero());
    let mut sums = [[zero; C]; N];
    for (t, x) in x.chunks_exact(inputs).enumerate() {
        let x = x[j..].first_chunk::<C>().expect("columns of the row");
        for k in 0..2 {
            for (sums, delta) in sums.iter_mut().zip(deltas) {
                for (sum, x) in sums.iter_mut().zip(x) {
                    *sum = R::multiply_add(simd, delta[t][k], x[k], *sum);
                }
            }
        }
    }
    for (n, sums) in sums.into_iter().enumerate() {
        for (c, sum) in sums.into_iter().enumerate() {
            gradient[n * padded + j + c] += R::sum_lanes(simd, sum, zero);
        }
    }
}

/// `sums_j += Σ_e values_je` over the first `count` episodes: `sums` is `[I]`, `values` `[I, W]`.
#[inline(always)]
pub(super) fn add_over_episodes<S: Simd, R: Real>(
    simd: S,
    values: &[R],
    count: usize,
    sums: &mut [R],
) {
    for (sum, &lanes) in zip_eq(sums, R::pairs::<S>(values)) {
        let mut lanes = lanes;
        if count < R::pair_width::<S>() {
            R::elements_mut::<S>(&mut lanes)[count..].fill(R::zero());
        }
        *sum += R::sum_lanes(simd, lanes[0], lanes[1]);
    }
}
