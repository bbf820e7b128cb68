//! What a computation returns.

use crate::{Parameters, Real};
use ndarray::{Array, Array1, Array4, Dimension};

/// The forward half: what the networks did.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome<R> {
    /// The loss of each network, `[P]`: the mean over its episodes of the masked sum over steps. `None` without a
    /// target.
    pub loss: Option<Array1<R>>,
    /// The last layer's output, before the softmax of a cross-entropy loss, `[P, B, T, O]`.
    pub output: Array4<R>,
    /// Per layer, the trace after the last step, `[P, B, O, I]`, if wanted; `None` for layers without a trace.
    pub traces: Vec<Option<Array4<R>>>,
}

/// The forward half and every gradient.
#[derive(Clone, Debug, PartialEq)]
pub struct Gradients<R> {
    /// The forward half.
    pub outcome: Outcome<R>,
    /// The gradient of every parameter; zero for rates that are not learned.
    pub parameters: Parameters<R>,
    /// The gradient of the input, `[P, B, T, I]`, if wanted.
    pub input: Option<Array4<R>>,
    /// Per layer, the gradient of the initial trace, `[P, B, O, I]`, where one was given.
    pub initial_traces: Vec<Option<Array4<R>>>,
}

/// Which results are wanted beyond the loss, the output and the gradients of the parameters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Want {
    /// The gradient of the input; a forward run has none.
    pub input_gradient: bool,
    /// The traces after the last step: `P·B·O·I` numbers of each plastic layer, which nothing else takes room for.
    pub final_traces: bool,
}

impl Want {
    /// Everything there is.
    pub const ALL: Self = Self {
        input_gradient: true,
        final_traces: true,
    };
}

fn cast<R: Real, S: Real, D: Dimension>(array: &Array<R, D>) -> Array<S, D> {
    array.map(|value| S::from_f64(value.as_f64()))
}

impl<R: Real> Outcome<R> {
    /// The same values in another precision.
    pub fn cast<S: Real>(&self) -> Outcome<S> {
        Outcome {
            loss: self.loss.as_ref().map(cast),
            output: cast(&self.output),
            traces: self
                .traces
                .iter()
                .map(|trace| trace.as_ref().map(cast))
                .collect(),
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
            initial_traces: self
                .initial_traces
                .iter()
                .map(|trace| trace.as_ref().map(cast))
                .collect(),
        }
    }
}
