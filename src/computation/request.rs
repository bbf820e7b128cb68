//! A computation as data.

use super::outcome::Want;
use crate::episodes::{Episodes, Mask, Objective};
use crate::network::Network;
use crate::number::Real;

/// What is computed, the same for every network of a population: all that an engine's plan depends on beside the network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Request {
    /// Episodes of each network.
    pub batch: usize,
    /// Steps of an episode.
    pub steps: usize,
    /// Whether gradients are taken, or only the forward sweep.
    pub gradient: bool,
    /// Results beyond the loss and the gradients of the parameters.
    pub want: Want,
    /// What the gradient is taken of.
    pub objective: ObjectiveKind,
    /// Which traces are given, by layer.
    pub traces: Vec<GivenTraces>,
}

/// The kind of an [`Objective`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ObjectiveKind {
    /// Nothing on the output.
    None,
    /// The caller's gradient on the output.
    OutputGradient,
    /// The network's loss against a target.
    Target {
        /// Whether each episode has a mask of its own.
        mask_per_episode: bool,
    },
}

/// What is given of a layer's trace.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct GivenTraces {
    /// The trace at the first step.
    pub initial: bool,
    /// The gradient on the trace after the last step.
    pub gradient: bool,
}

impl Request {
    /// The computation on the caller's `episodes`.
    pub fn on<R: Real>(
        network: &Network,
        episodes: &Episodes<R>,
        want: Want,
        gradient: bool,
    ) -> Self {
        let given = |layer| GivenTraces {
            initial: episodes.initial_trace(layer).is_some(),
            gradient: episodes.trace_gradient(layer).is_some(),
        };
        Self {
            batch: episodes.batch(),
            steps: episodes.steps(),
            gradient,
            want: Want {
                input_gradient: gradient && want.input_gradient,
                ..want
            },
            objective: ObjectiveKind::of(&episodes.objective),
            traces: (0..network.layers().len()).map(given).collect(),
        }
    }

    /// A meta-step on a target, from which nothing is wanted but the gradients of the parameters.
    pub fn training(network: &Network, batch: usize, steps: usize) -> Self {
        Self {
            batch,
            steps,
            gradient: true,
            want: Want::NOTHING,
            objective: ObjectiveKind::Target {
                mask_per_episode: false,
            },
            traces: vec![GivenTraces::default(); network.layers().len()],
        }
    }
}

impl ObjectiveKind {
    fn of<R>(objective: &Objective<R>) -> Self {
        match objective {
            Objective::None => Self::None,
            Objective::OutputGradient(_) => Self::OutputGradient,
            Objective::Target { mask, .. } => Self::Target {
                mask_per_episode: matches!(mask, Mask::Episodes(_)),
            },
        }
    }
}
