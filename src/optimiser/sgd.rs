//! Gradient descent with momentum.

#[cfg(feature = "gpu")]
use super::update::DEVICE_CONSTANTS;
use super::update::Update;
use crate::number::Real;
use crate::zip::zip_eq;

pub(super) fn step<R: Real>(
    constants: &[f64],
    update: Update<R>,
    gradient: &mut [R],
    [velocity, _]: [&mut [R]; 2],
) {
    let (momentum, most) = (R::from_f64(constants[0]), R::max_value());
    for (g, velocity) in zip_eq(gradient, velocity) {
        *velocity = num_traits::clamp(momentum * *velocity + *g, -most, most);
        *g = update.rate * *velocity;
    }
}

#[cfg(feature = "gpu")]
pub(super) fn for_device(constants: &[f64]) -> [f64; DEVICE_CONSTANTS] {
    [constants[0], 0.0, 0.0, 0.0, 0.0]
}
