//! RMSprop as in Miconi 2016: the mean square begins at the first square.

#[cfg(feature = "gpu")]
use super::update::DEVICE_CONSTANTS;
use super::update::Update;
use crate::number::Real;
use crate::zip::zip_eq;

pub(super) fn step<R: Real>(
    constants: &[f64],
    update: Update<R>,
    gradient: &mut [R],
    [mean_square, _]: [&mut [R]; 2],
) {
    let [mean_rate, epsilon] = [constants[0], constants[1]].map(R::from_f64);
    for (g, mean_square) in zip_eq(gradient, mean_square) {
        let square = (*g * *g).min(R::max_value());
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
