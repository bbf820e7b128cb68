//! Gradient descent with momentum.

#[cfg(feature = "gpu")]
use super::update::DEVICE_CONSTANTS;
use super::update::{Formula, NUMBERS, Update, clamp};
use crate::number::Number;

/// The method.
pub(super) struct Rule;

impl Formula for Rule {
    const MOMENTS: usize = 1;

    fn numbers(constants: &[f64], _: u32) -> [f64; NUMBERS] {
        [constants[0], 0.0, 0.0, 0.0, 0.0]
    }

    #[inline(always)]
    fn step<N: Number>(update: &Update<N>, g: N, [velocity, other]: [N; 2]) -> (N, [N; 2]) {
        let ([momentum, ..], most) = (update.numbers, update.most);
        let velocity = clamp(momentum * velocity + g, -most, most);
        (update.rate * velocity, [velocity, other])
    }
}

#[cfg(feature = "gpu")]
pub(super) fn for_device(constants: &[f64]) -> [f64; DEVICE_CONSTANTS] {
    [constants[0], 0.0, 0.0, 0.0, 0.0]
}
