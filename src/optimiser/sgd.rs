//! Gradient descent with momentum.

#[cfg(feature = "gpu")]
use super::update::DEVICE_CONSTANTS;
use super::update::Update;
use crate::zip::zip_eq;

pub(super) fn step(
    constants: &[f64],
    update: Update,
    gradient: &mut [f32],
    [velocity, _]: [&mut [f32]; 2],
) {
    let momentum = constants[0] as f32;
    for (g, velocity) in zip_eq(gradient, velocity) {
        *velocity = (momentum * *velocity + *g).clamp(-f32::MAX, f32::MAX);
        *g = update.rate * *velocity;
    }
}

#[cfg(feature = "gpu")]
pub(super) fn for_device(constants: &[f64]) -> [f64; DEVICE_CONSTANTS] {
    [constants[0], 0.0, 0.0, 0.0, 0.0]
}
