//! The form of a method's step: what it is given, and what it changes.

use crate::number::{PerPrecision, Real};

/// Numbers that a method may have on the device.
#[cfg(feature = "gpu")]
pub(crate) const DEVICE_CONSTANTS: usize = 5;

/// What a step is taken with, beside the gradient.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Update<R> {
    /// Updates made, this one included.
    pub count: u32,
    /// The learning rate, with the schedule's factor and the parameters' own.
    pub rate: R,
}

/// One step of some parameters with a method's constants: `gradient` has the gradient at first and the step in the end, and
/// `moments` what the method remembers of each parameter. A value beyond the largest float counts as that, so that no
/// parameter ever stops being finite.
pub(crate) type Step<R> =
    fn(constants: &[f64], update: Update<R>, gradient: &mut [R], moments: [&mut [R]; 2]);

/// [`Step`], by precision.
pub(crate) struct Steps;

impl PerPrecision for Steps {
    type Of<R: Real> = Step<R>;
}
