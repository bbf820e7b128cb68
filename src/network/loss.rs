//! The losses on a network's output.

use crate::named::named;
use crate::number::{Number, Real};

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
        assert!(output.len() == target.len() && output.len() == gradient.len());
        let mut step = OneStep {
            output,
            target,
            gradient,
        };
        self.formula(scale, &mut step)
    }

    /// The same over any number.
    #[inline(always)]
    pub(crate) fn formula<N: Number>(self, scale: N, step: &mut impl LossStep<N>) -> N {
        let outputs = step.outputs();
        let mut loss = scale.constant(0.0);
        match self {
            Self::None => {
                for o in 0..outputs {
                    step.set_gradient(o, scale.constant(0.0));
                }
            }
            Self::SquaredError => {
                for o in 0..outputs {
                    let difference = step.output(o) - step.target(o);
                    loss = loss + difference * difference;
                    step.set_gradient(o, scale * (difference + difference));
                }
            }
            Self::SoftmaxCrossEntropy => {
                let mut largest = scale.constant(f64::NEG_INFINITY);
                for o in 0..outputs {
                    let z = step.output(o);
                    // Of a NaN the sum tells.
                    largest = largest.where_less(z, z, largest);
                }
                let (mut sum, mut total) = (scale.constant(0.0), scale.constant(0.0));
                for o in 0..outputs {
                    let part = (step.output(o) - largest).exponential();
                    sum = sum + part;
                    total = total + step.target(o);
                    step.set_gradient(o, part);
                }
                let log_sum = sum.logarithm();
                for o in 0..outputs {
                    let (z, target) = (step.output(o), step.target(o));
                    loss = loss + target * (log_sum - (z - largest));
                    let gradient = scale * (total * (step.gradient(o) / sum) - target);
                    step.set_gradient(o, gradient);
                }
            }
        }
        loss
    }
}

/// What [`Loss::formula`] reads and writes, by output neuron.
pub(crate) trait LossStep<N> {
    /// How many output neurons there are.
    fn outputs(&self) -> usize;

    fn output(&self, o: usize) -> N;

    fn target(&self, o: usize) -> N;

    /// What was last set.
    fn gradient(&self, o: usize) -> N;

    fn set_gradient(&mut self, o: usize, gradient: N);
}

/// One step of one episode.
struct OneStep<'a, R> {
    output: &'a [R],
    target: &'a [R],
    gradient: &'a mut [R],
}

impl<R: Real> LossStep<R> for OneStep<'_, R> {
    #[inline(always)]
    fn outputs(&self) -> usize {
        self.output.len()
    }

    #[inline(always)]
    fn output(&self, o: usize) -> R {
        self.output[o]
    }

    #[inline(always)]
    fn target(&self, o: usize) -> R {
        self.target[o]
    }

    #[inline(always)]
    fn gradient(&self, o: usize) -> R {
        self.gradient[o]
    }

    #[inline(always)]
    fn set_gradient(&mut self, o: usize, gradient: R) {
        self.gradient[o] = gradient;
    }
}
