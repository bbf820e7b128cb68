//! How the steps of an episode are cut into segments, so that an input which many rows read stays in a near cache.

use super::chunks::CHUNK;
use crate::number::Real;
use std::ops::Range;

/// Bytes of a segment's input: they leave room in a second-level cache of half a mebibyte.
const BYTES: usize = 1 << 18;

/// The fewest steps of a segment: at its ends a row's trace and gradients go to memory and come back.
const FEWEST: usize = 16;

/// Steps of a segment, with `elements` of input a step. Part of the result's last bits.
fn length<R: Real>(elements: usize) -> usize {
    (BYTES / (elements * size_of::<R>())).max(FEWEST)
}

/// The segments of `steps`, in order.
pub(super) fn ranges<R: Real>(
    steps: Range<usize>,
    elements: usize,
) -> impl DoubleEndedIterator<Item = Range<usize>> + Clone {
    let length = length::<R>(elements);
    let count = steps.len().div_ceil(length);
    let start = move |segment: usize| (steps.start + segment * length).min(steps.end);
    (0..count).map(move |segment| start(segment)..start(segment + 1))
}

/// Rows of a chunk that wait for the next segment, of a layer with `outputs` rows.
pub(super) fn waiting<R: Real>(outputs: usize, steps: usize, elements: usize) -> usize {
    if steps <= length::<R>(elements) {
        0
    } else {
        outputs.min(CHUNK)
    }
}
