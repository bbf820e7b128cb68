//! Adam, with its correction of the moments' bias.

#[cfg(feature = "gpu")]
use super::update::DEVICE_CONSTANTS;
use super::update::Update;
use crate::number::Real;
use crate::zip::zip_eq;

pub(super) fn step<R: Real>(
    constants: &[f64],
    update: Update<R>,
    gradient: &mut [R],
    [mean, mean_square]: [&mut [R]; 2],
) {
    let (betas, epsilon) = ([constants[0], constants[1]], R::from_f64(constants[2]));
    let corrections = betas.map(|beta| R::from_f64(1.0 - beta.powi(update.count as i32)));
    let follows = betas.map(|beta| R::from_f64(1.0 - beta));
    for ((g, mean), mean_square) in zip_eq(zip_eq(gradient, mean), mean_square) {
        let square = (*g * *g).min(R::max_value());
        *mean += follows[0] * (*g - *mean);
        *mean_square += follows[1] * (square - *mean_square);
        let corrected = *mean / corrections[0];
        let corrected_square = (*mean_square / corrections[1]).min(R::max_value());
        *g = update.rate * corrected / (corrected_square.sqrt() + epsilon);
    }
}

/// The shader takes powers of the betas from their logarithms.
#[cfg(feature = "gpu")]
pub(super) fn for_device(constants: &[f64]) -> [f64; DEVICE_CONSTANTS] {
    let [beta1, beta2, epsilon] = [constants[0], constants[1], constants[2]];
    [1.0 - beta1, 1.0 - beta2, epsilon, beta1.ln(), beta2.ln()]
}
