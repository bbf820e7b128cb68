//! The few loops over one row of synapses.

use crate::cpu::layers::Shape;
use crate::cpu::segments;
use crate::number::Real;
use crate::zip::zip_eq;
use pulp::Simd;

/// Rows whose sweeps are interleaved step by step: each row's next step waits for its own sum, and the processor has the
/// others to do meanwhile.
pub(super) const TOGETHER: usize = 4;

/// Elements of scratch for one chunk of rows: all of its rows where they wait for the next segment of steps, or those
/// that are worked on together.
pub(super) fn scratch<R: Real>(shape: &Shape, steps: usize) -> usize {
    let waiting = segments::waiting::<R>(shape.outputs, steps, shape.row);
    waiting.max(TOGETHER) * shape.row
}

/// Where a chunk's scratch has the rows from number `local` of the chunk on.
#[inline(always)]
pub(super) fn slot<R: Real>(shape: &Shape, steps: usize, local: usize) -> usize {
    match segments::waiting::<R>(shape.outputs, steps, shape.row) {
        0 => 0,
        _ => local,
    }
}

/// Row `index` of `values`, `[…, row]`.
#[inline(always)]
pub(super) fn of<R>(values: &[R], index: usize, row: usize) -> &[R] {
    &values[index * row..][..row]
}

/// Copies row `index` of `from`, or zeros where there is none.
#[inline(always)]
pub(super) fn load<R: Real>(row: &mut [R], from: &[R], index: usize) {
    if from.is_empty() {
        row.fill(R::zero());
    } else {
        row.copy_from_slice(of(from, index, row.len()));
    }
}

/// `Σ_j a_j b_j`.
#[inline(always)]
pub(super) fn dot<S: Simd, R: Real>(simd: S, a: &[R], b: &[R]) -> R {
    let zero = R::splat(simd, R::zero());
    let mut sums = [zero; 2];
    for (a, b) in zip_eq(R::pairs::<S>(a), R::pairs::<S>(b)) {
        sums[0] = R::multiply_add(simd, a[0], b[0], sums[0]);
        sums[1] = R::multiply_add(simd, a[1], b[1], sums[1]);
    }
    R::sum_lanes(simd, sums[0], sums[1])
}

/// `y_j += a · x_j`.
#[inline(always)]
pub(super) fn add_scaled<S: Simd, R: Real>(simd: S, a: R, x: &[R], y: &mut [R]) {
    let a = R::splat(simd, a);
    for (y, x) in zip_eq(R::pairs_mut::<S>(y), R::pairs::<S>(x)) {
        for k in 0..2 {
            y[k] = R::multiply_add(simd, a, x[k], y[k]);
        }
    }
}

/// `y_j += a_j · x_j`.
#[inline(always)]
pub(super) fn add_product<S: Simd, R: Real>(simd: S, a: &[R], x: &[R], y: &mut [R]) {
    let factors = zip_eq(R::pairs::<S>(a), R::pairs::<S>(x));
    for (y, (a, x)) in zip_eq(R::pairs_mut::<S>(y), factors) {
        for k in 0..2 {
            y[k] = R::multiply_add(simd, a[k], x[k], y[k]);
        }
    }
}

/// A trace's update, `h_j ← d h_j + g x_j`.
#[inline(always)]
pub(super) fn update<S: Simd, R: Real>(simd: S, retention: R, gain: R, x: &[R], h: &mut [R]) {
    let (retention, gain) = (R::splat(simd, retention), R::splat(simd, gain));
    for (h, x) in zip_eq(R::pairs_mut::<S>(h), R::pairs::<S>(x)) {
        for k in 0..2 {
            let added = R::multiply(simd, gain, x[k]);
            h[k] = R::multiply_add(simd, retention, h[k], added);
        }
    }
}
