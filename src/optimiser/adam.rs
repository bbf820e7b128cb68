//! Adam, with its correction of the moments' bias.

#[cfg(feature = "gpu")]
use super::update::DEVICE_CONSTANTS;
use super::update::{Formula, NUMBERS, Update, at_most, clamp};
use crate::number::Number;

/// The method.
pub(super) struct Rule;

impl Formula for Rule {
    const MOMENTS: usize = 2;

    fn numbers(constants: &[f64], count: u32) -> [f64; NUMBERS] {
        let (betas, epsilon) = ([constants[0], constants[1]], constants[2]);
        let [correction, of_square] =
            betas.map(|beta| 1.0 - beta.powi(count.min(i32::MAX as u32) as i32));
        let [follows, square_follows] = betas.map(|beta| 1.0 - beta);
        [follows, square_follows, correction, of_square, epsilon]
    }

    #[inline(always)]
    fn step<N: Number>(update: &Update<N>, g: N, [mean, mean_square]: [N; 2]) -> (N, [N; 2]) {
        let [follows, square_follows, correction, of_square, epsilon] = update.numbers;
        let most = update.most;
        let square = at_most(g * g, most);
        let mean = clamp(mean + follows * (g - mean), -most, most);
        let mean_square = mean_square + square_follows * (square - mean_square);
        let corrected = clamp(mean / correction, -most, most);
        let corrected_square = at_most(mean_square / of_square, most);
        let step = update.rate * corrected / (corrected_square.square_root() + epsilon);
        (step, [mean, mean_square])
    }
}

/// The shader takes powers of the betas from their logarithms.
#[cfg(feature = "gpu")]
pub(super) fn for_device(constants: &[f64]) -> [f64; DEVICE_CONSTANTS] {
    let [beta1, beta2, epsilon] = [constants[0], constants[1], constants[2]];
    [1.0 - beta1, 1.0 - beta2, epsilon, beta1.ln(), beta2.ln()]
}
