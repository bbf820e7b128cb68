//! The losses on a network's output.

use crate::named::named;
use crate::number::Real;
use crate::zip::zip_eq;

named! {
    /// The loss of one step on the last layer's output `z`; a network's loss is the mean over its episodes of the masked
    /// sum over steps.
    #[derive(Default)]
    #[non_exhaustive]
    pub enum Loss ("loss") {
        /// No loss: the caller supplies the gradient on the output.
        #[default]
        None = "none",
        /// `Σ_o (z_o − target_o)²`.
        SquaredError = "squared-error",
        /// `−Σ_o target_o · log softmax(z)_o`.
        SoftmaxCrossEntropy = "softmax-cross-entropy",
    }
}

impl Loss {
    /// The same in WGSL, of one step: `shaders/step_loss.wgsl` says with which names. No kernel has a loss that is none.
    #[cfg(feature = "gpu")]
    pub(crate) fn wgsl(self) -> Option<&'static str> {
        match self {
            Self::None => None,
            Self::SquaredError => Some(include_str!("../../shaders/losses/squared-error.wgsl")),
            Self::SoftmaxCrossEntropy => Some(include_str!(
                "../../shaders/losses/softmax-cross-entropy.wgsl"
            )),
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
