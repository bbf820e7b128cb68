//! Rows of synapses: how they are split over threads, and the few loops over one row.

use super::simd::{LANES, multiply_add, sum};
use crate::Real;
use rayon::prelude::*;
use std::ops::Range;

/// Rows that one thread works on at a time. Sums over rows are taken chunk by chunk, so this number is part of the
/// result's last bits; it does not depend on the number of threads.
const CHUNK: usize = 32;

/// Scratch rows of a chunk.
pub(super) const SCRATCH: usize = 2;

/// The chunks of `outputs` rows.
pub(super) fn chunks(outputs: usize) -> impl Iterator<Item = Range<usize>> {
    (0..outputs)
        .step_by(CHUNK)
        .map(move |first| first..(first + CHUNK).min(outputs))
}

/// How many chunks there are.
pub(super) fn chunk_count(outputs: usize) -> usize {
    outputs.div_ceil(CHUNK)
}

/// The parts of `values`, `[O, width]`, that belong to each chunk; empty parts where there are no values.
pub(super) fn split<R>(values: &mut [R], width: usize) -> impl Iterator<Item = &mut [R]> {
    let mut rest = values;
    std::iter::repeat_with(move || {
        let all = std::mem::take(&mut rest);
        let (part, after) = all.split_at_mut(all.len().min(CHUNK * width));
        rest = after;
        part
    })
}

/// Calls `work` on every chunk, on several threads if the work is worth it.
pub(super) fn for_each<T: Send>(
    parallel: bool,
    chunks: impl Iterator<Item = T>,
    work: impl Fn(T) + Send + Sync,
) {
    if parallel {
        chunks.collect::<Vec<_>>().into_par_iter().for_each(work);
    } else {
        chunks.for_each(work);
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
pub(super) fn dot<const FUSED: bool, R: Real>(a: &[R], b: &[R]) -> R {
    let mut lanes = [R::zero(); LANES];
    for (a, b) in a.chunks_exact(LANES).zip(b.chunks_exact(LANES)) {
        for lane in 0..LANES {
            lanes[lane] = multiply_add::<FUSED, R>(a[lane], b[lane], lanes[lane]);
        }
    }
    sum(lanes)
}

/// `y_j += a · x_j`.
#[inline(always)]
pub(super) fn add_scaled<const FUSED: bool, R: Real>(a: R, x: &[R], y: &mut [R]) {
    for (y, &x) in y.iter_mut().zip(x) {
        *y = multiply_add::<FUSED, R>(a, x, *y);
    }
}
