//! How large a session's episodes are.

use crate::computation::{GivenDynamics, InCommon, ObjectiveKind, Request, Want, Which};
use crate::error::{Error, Result};
use crate::network::{Dynamic, Layer, Network};

/// How large the episodes of a session are, and what it makes of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Extent {
    /// Episodes of each network `B`.
    pub batch: usize,
    /// The most steps of an episode `T`.
    pub steps: usize,
    /// Whether steps are run one at a time, for which the engine holds every episode's trace.
    pub step_by_step: bool,
    /// Whether episodes begin with given traces, eligibility traces and activities, which gradients are taken of; with zeros
    /// otherwise.
    pub initial_states: bool,
    /// Whether there may be gradients on traces, eligibility traces and activities after the last step.
    pub state_gradients: bool,
    /// Whether the states after the last step are there to be asked for ([`Session::states`](super::Session::states)). Where they are
    /// wanted ([`Want::final_traces`]), [`Session::forward`](super::Session::forward) returns them, too: a copy of every episode's trace,
    /// which can take as long as half of the forward half.
    pub keep_states: bool,
    /// Results beyond the gradients of the parameters. A step returns its outputs in any case.
    pub want: Want,
}

impl Extent {
    /// `batch` episodes of each network, of `steps` steps.
    pub fn new(batch: usize, steps: usize) -> Self {
        Self {
            batch,
            steps,
            step_by_step: false,
            initial_states: false,
            state_gradients: false,
            keep_states: false,
            want: Want::default(),
        }
    }

    /// The same, run one step at a time, up to `steps` of them.
    #[must_use]
    pub fn step_by_step(self) -> Self {
        Self {
            step_by_step: true,
            ..self
        }
    }

    /// The same, beginning from given traces, eligibility traces and activities.
    #[must_use]
    pub fn with_initial_states(self) -> Self {
        Self {
            initial_states: true,
            ..self
        }
    }

    /// The same, with gradients on traces, eligibility traces and activities after the last step.
    #[must_use]
    pub fn with_state_gradients(self) -> Self {
        Self {
            state_gradients: true,
            ..self
        }
    }

    /// The same, whose states after the last step may be asked for.
    #[must_use]
    pub fn keep_states(self) -> Self {
        Self {
            keep_states: true,
            ..self
        }
    }

    /// The same with other results.
    #[must_use]
    pub fn want(self, want: Want) -> Self {
        Self { want, ..self }
    }

    /// Whether there are states to be asked for.
    pub(super) fn has_states(&self) -> bool {
        self.keep_states || self.want.final_traces
    }

    pub(super) fn request(&self, network: &Network) -> Result<Request> {
        for (field, size) in [("batch", self.batch), ("steps", self.steps)] {
            if size == 0 {
                return Err(Error::ZeroSize {
                    field: field.into(),
                });
            }
            if size > u32::MAX as usize / 2 {
                let reason = format!("{size}, at most {} are supported", u32::MAX / 2);
                return Err(Error::setting(field, reason));
            }
        }
        let layers = network.layers().iter();
        let given = |layer: &Layer| GivenDynamics {
            initial: Which::are(|dynamic| match dynamic {
                Dynamic::Modulator => layer.given_shape(dynamic, self.steps).is_some(),
                state => self.initial_states && layer.state_shape(state).is_some(),
            }),
            gradient: Which::are(|dynamic| {
                self.state_gradients && layer.state_shape(dynamic).is_some()
            }),
        };
        Ok(Request {
            batch: self.batch,
            steps: self.steps,
            gradient: true,
            want: Want {
                output: self.want.output || self.step_by_step,
                final_traces: self.has_states(),
                ..self.want
            },
            objective: ObjectiveKind::OutputGradient,
            given: layers.map(given).collect(),
            given_gradients: true,
            in_common: InCommon::default(),
        })
    }
}
