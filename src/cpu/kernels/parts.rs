//! Parts of equal size of arrays.

/// Part `index` of `values`, `[…, size]`.
#[inline(always)]
pub(super) fn part<R>(values: &[R], index: usize, size: usize) -> &[R] {
    &values[index * size..][..size]
}

/// Part `index` of `values`, `[…, size]`, to be changed.
#[inline(always)]
pub(super) fn part_mut<R>(values: &mut [R], index: usize, size: usize) -> &mut [R] {
    &mut values[index * size..][..size]
}

/// Part `index` of `values`, `[…, size]`, where there are values.
#[inline(always)]
pub(super) fn part_if_any<R>(values: &[R], index: usize, size: usize) -> Option<&[R]> {
    (!values.is_empty()).then(|| part(values, index, size))
}
