//! What a computation returns.

use crate::dynamics::Dynamics;
use crate::number::Real;
use crate::parameters::Parameters;
use ndarray::{Array, Array1, Array4, Dimension};

/// The forward half: what the networks did.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Outcome<R: 'static> {
    /// The loss of each network, `[P]`: the mean over its episodes of the masked sum over steps. `None` without a
    /// target.
    pub loss: Option<Array1<R>>,
    /// The last layer's output, before the softmax of a cross-entropy loss, `[P, B, T, O]`, if wanted.
    pub output: Option<Array4<R>>,
    /// If wanted, traces, eligibility traces and activities after the last step, and at every step the modulators that networks
    /// compute.
    pub finals: Dynamics<'static, R>,
}

/// The forward half and every gradient.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Gradients<R: 'static> {
    /// The forward half.
    pub outcome: Outcome<R>,
    /// The gradient of every parameter; zero for rates that are not learned.
    pub parameters: Parameters<R>,
    /// The gradient of the input, `[P, B, T, I]`, if wanted.
    pub input: Option<Array4<R>>,
    /// The gradients of what layers were given: traces, eligibility traces and activities at the first step, and modulators.
    pub given: Dynamics<'static, R>,
}

/// The gradients of what episodes are given as.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct EpisodeGradients<R: 'static> {
    /// The gradient of the input, `[P, B, T, I]`, if wanted.
    pub input: Option<Array4<R>>,
    /// The gradients of what layers were given: traces, eligibility traces and activities at the first step, and modulators.
    pub given: Dynamics<'static, R>,
}

/// Which results are wanted beyond the loss and the gradients of the parameters: by default the output.
///
/// ```
/// use metaplastic::Want;
///
/// let want = Want::default().input_gradient();
/// assert!(want.output && want.input_gradient && !want.final_traces);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Want {
    /// The last layer's output: `P·B·T·O` numbers, which the GPU engine has to read back.
    pub output: bool,
    /// The gradient of the input; a forward run has none.
    pub input_gradient: bool,
    /// Traces, eligibility traces and activities after the last step, and modulators: `P·B·O·J` numbers of each trace, which
    /// nothing else takes room for.
    pub final_traces: bool,
}

impl Default for Want {
    fn default() -> Self {
        Self {
            output: true,
            ..Self::NOTHING
        }
    }
}

impl Want {
    /// The loss and the gradients of the parameters alone.
    pub const NOTHING: Self = Self {
        output: false,
        input_gradient: false,
        final_traces: false,
    };

    /// Everything there is.
    pub const ALL: Self = Self {
        output: true,
        input_gradient: true,
        final_traces: true,
    };

    /// The same with the output.
    #[must_use]
    pub const fn output(self) -> Self {
        Self {
            output: true,
            ..self
        }
    }

    /// The same with the gradient of the input.
    #[must_use]
    pub const fn input_gradient(self) -> Self {
        Self {
            input_gradient: true,
            ..self
        }
    }

    /// The same with the traces after the last step, and what else [`Want::final_traces`] names.
    #[must_use]
    pub const fn final_traces(self) -> Self {
        Self {
            final_traces: true,
            ..self
        }
    }
}

fn cast<R: Real, S: Real, D: Dimension>(array: &Array<R, D>) -> Array<S, D> {
    array.map(|value| S::from_f64(value.as_f64()))
}

impl<R: Real> Outcome<R> {
    /// The same values in another precision.
    pub fn cast<S: Real>(&self) -> Outcome<S> {
        Outcome {
            loss: self.loss.as_ref().map(cast),
            output: self.output.as_ref().map(cast),
            finals: self.finals.cast(),
        }
    }
}

impl<R: Real> Gradients<R> {
    /// The same values in another precision.
    pub fn cast<S: Real>(&self) -> Gradients<S> {
        Gradients {
            outcome: self.outcome.cast(),
            parameters: self.parameters.cast(),
            input: self.input.as_ref().map(cast),
            given: self.given.cast(),
        }
    }
}
