//! Adam, with its correction of the moments' bias.

#[cfg(feature = "gpu")]
use super::update::DEVICE_CONSTANTS;
use super::update::Update;
use crate::zip::zip_eq;

pub(super) fn step(
    constants: &[f64],
    update: Update,
    gradient: &mut [f32],
    [mean, mean_square]: [&mut [f32]; 2],
) {
    let (betas, epsilon) = ([constants[0], constants[1]], constants[2] as f32);
    let corrections = betas.map(|beta| (1.0 - beta.powi(update.count as i32)) as f32);
    let follows = betas.map(|beta| (1.0 - beta) as f32);
    for ((g, mean), mean_square) in zip_eq(zip_eq(gradient, mean), mean_square) {
        let square = (*g * *g).min(f32::MAX);
        *mean += follows[0] * (*g - *mean);
        *mean_square += follows[1] * (square - *mean_square);
        let corrected = *mean / corrections[0];
        let corrected_square = (*mean_square / corrections[1]).min(f32::MAX);
        *g = update.rate * corrected / (corrected_square.sqrt() + epsilon);
    }
}

/// The shader takes powers of the betas from their logarithms.
#[cfg(feature = "gpu")]
pub(super) fn for_device(constants: &[f64]) -> [f64; DEVICE_CONSTANTS] {
    let [beta1, beta2, epsilon] = [constants[0], constants[1], constants[2]];
    [1.0 - beta1, 1.0 - beta2, epsilon, beta1.ln(), beta2.ln()]
}
