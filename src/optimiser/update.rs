//! The form of a method's step: what it is given, and what it changes.

use crate::number::Number;

/// Numbers that a method may have on the device.
#[cfg(feature = "gpu")]
pub(crate) const DEVICE_CONSTANTS: usize = 5;

/// Numbers that the steps of an update may have in common.
pub(crate) const NUMBERS: usize = 5;

/// What the steps of one update have in common.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Update<N> {
    /// The method's, as [`Formula::numbers`] gives them.
    pub numbers: [N; NUMBERS],
    /// The learning rate, with the schedule's factor and the parameters' own.
    pub rate: N,
    /// The largest float. A value beyond it counts as that, so that no parameter ever stops being finite.
    pub most: N,
}

/// A method's step of one parameter, or of one in each lane.
pub(crate) trait Formula {
    /// How many numbers are remembered of each parameter.
    const MOMENTS: usize;

    /// What the steps of an update have in common, from the method's constants and how many updates there have been, this one
    /// included.
    fn numbers(constants: &[f64], count: u32) -> [f64; NUMBERS];

    /// The step for a gradient, and what is remembered of the parameter from then on.
    fn step<N: Number>(update: &Update<N>, gradient: N, moments: [N; 2]) -> (N, [N; 2]);
}

/// Something that is done with a method's formula.
pub(crate) trait WithFormula {
    fn run<F: Formula>(self);
}

/// `value`, but no less than `low` and no more than `high`. A NaN stays one.
#[inline(always)]
pub(crate) fn clamp<N: Number>(value: N, low: N, high: N) -> N {
    let value = value.where_less(low, low, value);
    at_most(value, high)
}

/// `value`, but no more than `bound`. A NaN stays one.
#[inline(always)]
pub(super) fn at_most<N: Number>(value: N, bound: N) -> N {
    bound.where_less(value, bound, value)
}
