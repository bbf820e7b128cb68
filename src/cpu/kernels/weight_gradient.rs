//! The gradient on a layer's weights, `∂L/∂w_ij = Σ_t Σ_e δ_i(t) x_j(t)`, over a group of episodes or of one: a product of
//! matrices, in tiles of sums that stay in registers.

use super::parts::part;
use crate::number::{Lanes, Real};
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

/// The same over the steps of one episode, where rows lie along the lanes: adds to `gradient`, `[blocks, inputs, W]`. `signal` is
/// `[blocks, T, W]`, and `input` `[T, row]`.
#[inline(always)]
pub(super) fn weight_gradient_of_blocks<S: Simd, R: Real>(
    simd: S,
    signal: &[R],
    (input, row): (&[R], usize),
    segment: Range<usize>,
    gradient: &mut [R],
    inputs: usize,
) {
    let width = R::pair_width::<S>();
    let of_block = signal.len() / (gradient.len() / (inputs * width));
    let x = &input[segment.start * row..segment.end * row];
    let blocks = zip_eq(
        signal.chunks_exact(of_block),
        gradient.chunks_exact_mut(inputs * width),
    );
    for (signal, gradient) in blocks {
        let deltas = R::pairs::<S>(&signal[segment.start * width..segment.end * width]);
        let gradient = R::pairs_mut::<S>(gradient);
        let mut j = 0;
        while j < inputs {
            match inputs - j {
                4.. => j = tile_of_block::<S, R, 4>(simd, deltas, (x, row), j, gradient),
                2.. => j = tile_of_block::<S, R, 2>(simd, deltas, (x, row), j, gradient),
                _ => j = tile_of_block::<S, R, 1>(simd, deltas, (x, row), j, gradient),
            }
        }
    }
}

/// `C` columns from number `j` on; returns the number of the next.
#[inline(always)]
fn tile_of_block<S: Simd, R: Real, const C: usize>(
    simd: S,
    deltas: &[[R::Vector<S>; 2]],
    (x, row): (&[R], usize),
    j: usize,
    gradient: &mut [[R::Vector<S>; 2]],
) -> usize {
    let mut sums = [[R::splat(simd, R::zero()); 2]; C];
    for (delta, x) in deltas.iter().zip(x.chunks_exact(row)) {
        let x = x[j..].first_chunk::<C>().expect("columns of the row");
        for (sum, &x) in sums.iter_mut().zip(x) {
            let x = R::splat(simd, x);
            for k in 0..2 {
                sum[k] = R::multiply_add(simd, delta[k], x, sum[k]);
            }
        }
    }
    for (to, sum) in gradient[j..].iter_mut().zip(sums) {
        for k in 0..2 {
            to[k] = <R as Lanes>::add(simd, sum[k], to[k]);
        }
    }
    j + C
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
