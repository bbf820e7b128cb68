//! RMSprop as in Miconi 2016: the mean square begins at the first square.

#[cfg(feature = "gpu")]
use super::update::DEVICE_CONSTANTS;
use super::update::{Formula, NUMBERS, Update, at_most};
use crate::number::Number;

/// The method.
pub(super) struct Rule;

impl Formula for Rule {
    const MOMENTS: usize = 1;

    fn numbers(constants: &[f64], count: u32) -> [f64; NUMBERS] {
        let [mean_rate, epsilon] = [constants[0], constants[1]];
        // The mean square is zero before the first update, which takes it all the way.
        let mean_rate = if count == 1 { 1.0 } else { mean_rate };
        [mean_rate, epsilon, 0.0, 0.0, 0.0]
    }

    #[inline(always)]
    fn step<N: Number>(update: &Update<N>, g: N, [mean_square, other]: [N; 2]) -> (N, [N; 2]) {
        let [mean_rate, epsilon, ..] = update.numbers;
        let square = at_most(g * g, update.most);
        let mean_square = mean_square + mean_rate * (square - mean_square);
        let step = update.rate * g / (mean_square + epsilon).square_root();
        (step, [mean_square, other])
    }
}

#[cfg(feature = "gpu")]
pub(super) fn for_device(constants: &[f64]) -> [f64; DEVICE_CONSTANTS] {
    [constants[0], constants[1], 0.0, 0.0, 0.0]
}
