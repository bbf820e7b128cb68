//! Checks of arrays, their shapes and values; errors name the tensor.

use crate::error::{Error, Result};
use crate::number::Real;
use ndarray::{ArrayView, Dimension};
use rayon::prelude::*;

pub(crate) fn shape_error(name: &str, expected: impl Into<String>, actual: &[usize]) -> Error {
    Error::Shape {
        name: name.to_owned(),
        expected: expected.into(),
        actual: actual.to_vec(),
    }
}

pub(crate) fn require_shape(
    name: &str,
    actual: &[usize],
    axes: &str,
    expected: &[usize],
) -> Result<()> {
    if actual == expected {
        return Ok(());
    }
    Err(shape_error(name, format!("{axes} = {expected:?}"), actual))
}

/// As [`require_shape`]; but the first axis, of networks, may have length 1, for what they have in common.
pub(crate) fn require_shape_of_networks(
    name: &str,
    actual: &[usize],
    axes: &str,
    expected: &[usize],
) -> Result<()> {
    let common = [&[1], &expected[1..]].concat();
    if actual == common {
        return Ok(());
    }
    require_shape(name, actual, axes, expected)
}

/// Whether all values are finite.
pub(crate) fn all_finite<R: Real>(values: &[R]) -> bool {
    // Without an early end, whole vectors are looked at.
    let part = |values: &[R]| values.iter().fold(true, |all, x| all & x.is_finite());
    values.par_chunks(1 << 14).all(part)
}

/// Fails, with the first offending element, unless all are finite.
pub(crate) fn require_finite<R: Real, D: Dimension>(
    name: &str,
    array: &ndarray::ArrayRef<R, D>,
) -> Result<()> {
    let is_finite = match array.as_slice() {
        Some(values) => all_finite(values),
        None => array.iter().all(|value| value.is_finite()),
    };
    if is_finite {
        return Ok(());
    }
    let view: ArrayView<'_, R, _> = array.view().into_dyn();
    let mut offending = view.indexed_iter().filter(|(_, value)| !value.is_finite());
    let (index, value) = offending.next().expect("some element is not finite");
    Err(Error::NotFinite {
        name: name.to_owned(),
        index: ndarray::IntoDimension::into_dimension(index)
            .slice()
            .to_vec(),
        value: value.as_f64(),
        count: 1 + offending.count(),
        total: array.len(),
    })
}
