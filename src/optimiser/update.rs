//! What a method's step is, for the engines.

/// Numbers that a method may have on the device.
#[cfg(feature = "gpu")]
pub(crate) const DEVICE_CONSTANTS: usize = 5;

/// What a step is taken with, beside the gradient.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Update {
    /// Updates made, this one included.
    pub count: u32,
    /// The learning rate, with the schedule's factor and the parameters' own.
    pub rate: f32,
}

/// One step of some parameters with a method's constants: `gradient` has the gradient at first and the step in the end, and
/// `moments` what the method remembers of each parameter. A value beyond the largest float counts as that, so that no
/// parameter ever stops being finite.
pub(crate) type Step =
    fn(constants: &[f64], update: Update, gradient: &mut [f32], moments: [&mut [f32]; 2]);
