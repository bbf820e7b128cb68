//! RMSprop as in Miconi 2016: the mean square begins at the first square.

#[cfg(feature = "gpu")]
use super::update::DEVICE_CONSTANTS;
use super::update::Update;
use crate::zip::zip_eq;

pub(super) fn step(
    constants: &[f64],
    update: Update,
    gradient: &mut [f32],
    [mean_square, _]: [&mut [f32]; 2],
) {
    let [mean_rate, epsilon] = [constants[0], constants[1]].map(|constant| constant as f32);
    for (g, mean_square) in zip_eq(gradient, mean_square) {
        let square = (*g * *g).min(f32::MAX);
        *mean_square = if update.count == 1 {
            square
        } else {
            *mean_square + mean_rate * (square - *mean_square)
        };
        *g = update.rate * *g / (*mean_square + epsilon).sqrt();
    }
}

#[cfg(feature = "gpu")]
pub(super) fn for_device(constants: &[f64]) -> [f64; DEVICE_CONSTANTS] {
    [constants[0], constants[1], 0.0, 0.0, 0.0]
}
