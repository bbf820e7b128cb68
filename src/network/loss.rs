//! The losses on a network's output.

use crate::number::Real;
use crate::zip::zip_eq;
use serde::{Deserialize, Serialize};

/// The loss of one step on the last layer's output `z`; a network's loss is the mean over its episodes of the masked
/// sum over steps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Loss {
    /// No loss: the caller supplies the gradient on the output.
    #[default]
    None,
    /// `Σ_o (z_o − target_o)²`.
    SquaredError,
    /// `−Σ_o target_o · log softmax(z)_o`.
    SoftmaxCrossEntropy,
}

impl Loss {
    /// Every loss.
    pub const ALL: [Self; 3] = [Self::None, Self::SquaredError, Self::SoftmaxCrossEntropy];

    /// The name in files and shaders.
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::SquaredError => "squared-error",
            Self::SoftmaxCrossEntropy => "softmax-cross-entropy",
        }
    }

    /// The loss of one step; writes `scale · ∂loss/∂z` to `gradient`. All slices have one element per output.
    ///
    /// # Panics
    /// If the slices are of different lengths.
    #[inline(always)]
    pub fn step<R: Real>(self, output: &[R], target: &[R], scale: R, gradient: &mut [R]) -> R {
        match self {
            Self::None => {
                gradient.fill(R::zero());
                R::zero()
            }
            Self::SquaredError => {
                let mut loss = R::zero();
                for ((&z, &target), gradient) in zip_eq(zip_eq(output, target), gradient) {
                    let difference = z - target;
                    loss += difference * difference;
                    *gradient = scale * (difference + difference);
                }
                loss
            }
            Self::SoftmaxCrossEntropy => {
                let largest = output.iter().copied().fold(R::neg_infinity(), R::max);
                let mut sum = R::zero();
                for (&z, gradient) in zip_eq(output, &mut *gradient) {
                    *gradient = (z - largest).exp();
                    sum += *gradient;
                }
                let log_sum = sum.ln();
                let total: R = target.iter().copied().sum();
                let mut loss = R::zero();
                for ((&z, &target), gradient) in zip_eq(zip_eq(output, target), gradient) {
                    loss += target * (log_sum - (z - largest));
                    *gradient = scale * (total * (*gradient / sum) - target);
                }
                loss
            }
        }
    }
}
