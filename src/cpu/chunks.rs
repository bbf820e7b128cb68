//! How the rows of a layer are split over threads.

use crate::number::Real;
use crate::zip::zip_eq;
use rayon::prelude::*;
use std::ops::Range;

/// Rows that one thread works on at a time. Sums over rows are taken chunk by chunk, so this number is part of the
/// result's last bits; it does not depend on the number of threads.
pub(super) const CHUNK: usize = 32;

/// Synapse-steps from which the rows of one layer's sweep are worth splitting over threads.
const WORTH_SPLITTING: usize = 1 << 17;

/// The chunks of `outputs` rows.
pub(super) fn ranges(outputs: usize) -> impl Iterator<Item = Range<usize>> {
    (0..outputs)
        .step_by(CHUNK)
        .map(move |first| first..(first + CHUNK).min(outputs))
}

/// How many chunks there are.
pub(super) fn count(outputs: usize) -> usize {
    outputs.div_ceil(CHUNK)
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

/// Whether `outputs` rows are worth splitting, in a sweep over so many synapse-steps.
pub(super) fn are_worth_splitting(outputs: usize, synapse_steps: usize) -> bool {
    count(outputs) > 1 && synapse_steps >= WORTH_SPLITTING
}

/// Adds the chunks' parts of `partials`, `[chunks, size]`, up in order.
pub(super) fn sum_in_order<R: Real>(partials: &[R], chunks: usize, sum: &mut [R]) {
    let mut partials = partials[..chunks * sum.len()].chunks_exact(sum.len());
    sum.copy_from_slice(partials.next().expect("a layer has rows"));
    for partial in partials {
        for (sum, &part) in zip_eq(&mut *sum, partial) {
            *sum += part;
        }
    }
}
