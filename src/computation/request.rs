//! A computation as data.

use super::outcome::Want;
use crate::episodes::{Episodes, Mask, Objective};
use crate::network::{Dynamic, Network};
use crate::number::Real;
use ndarray::Axis;

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
    /// What is given, by layer.
    pub given: Vec<GivenDynamics>,
    /// Whether the gradients of what is given are results, too.
    pub given_gradients: bool,
    /// Which arrays are given once for all networks.
    pub in_common: InCommon,
}

/// Which of the arrays that are given are common to all networks of a population.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct InCommon {
    /// The input.
    pub input: bool,
    /// The target.
    pub target: bool,
    /// The mask, where each episode has its own.
    pub mask: bool,
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

/// What is given of what a layer has that changes over an episode.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct GivenDynamics {
    /// Traces, eligibility traces and activities at the first step, and the modulator.
    pub initial: Which,
    /// Gradients on traces, eligibility traces and activities after the last step.
    pub gradient: Which,
}

/// Some of what a layer has that changes over an episode.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Which([bool; Dynamic::ALL.len()]);

impl Which {
    /// Those of which this is so.
    pub fn are(mut is_so: impl FnMut(Dynamic) -> bool) -> Self {
        Self(Dynamic::ALL.map(&mut is_so))
    }

    /// That one alone.
    #[cfg(all(test, feature = "gpu"))]
    pub fn one(dynamic: Dynamic) -> Self {
        Self::are(|it| it == dynamic)
    }

    pub fn has(self, dynamic: Dynamic) -> bool {
        self.0[dynamic as usize]
    }
}

impl Request {
    /// The computation on the caller's `episodes`.
    pub fn on<R: Real>(
        network: &Network,
        episodes: &Episodes<R>,
        want: Want,
        gradient: bool,
    ) -> Self {
        let given = |layer| GivenDynamics {
            initial: Which::are(|dynamic| episodes.given.has(layer, dynamic)),
            gradient: Which::are(|dynamic| episodes.final_gradients.has(layer, dynamic)),
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
            given: (0..network.layers().len()).map(given).collect(),
            given_gradients: gradient,
            in_common: InCommon::of(episodes),
        }
    }

    /// A meta-step on the caller's `episodes`, from which nothing is wanted but the gradients of the parameters.
    pub fn meta_step<R: Real>(network: &Network, episodes: &Episodes<R>) -> Self {
        Self {
            given_gradients: false,
            ..Self::on(network, episodes, Want::NOTHING, true)
        }
    }

    /// Whether the gradient of what layer `layer` is given is a result.
    pub fn wants_gradient_of(&self, layer: usize, dynamic: Dynamic) -> bool {
        self.given_gradients && self.given[layer].initial.has(dynamic)
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
            given: vec![GivenDynamics::default(); network.layers().len()],
            given_gradients: false,
            in_common: InCommon::default(),
        }
    }
}

impl InCommon {
    fn of<R>(episodes: &Episodes<R>) -> Self {
        let input = episodes.input.len_of(Axis(0)) == 1;
        match &episodes.objective {
            Objective::Target { target, mask } => Self {
                input,
                target: target.len_of(Axis(0)) == 1,
                mask: matches!(mask, Mask::Episodes(mask) if mask.len_of(Axis(0)) == 1),
            },
            Objective::OutputGradient(_) | Objective::None => Self {
                input,
                ..Self::default()
            },
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::{Loss, Plastic, Rate};
    use ndarray::{Array3, Array4};

    #[test]
    fn arrays_of_one_network_are_in_common() {
        let layer = Plastic::new(3, 2, Rate::fixed(0.1));
        let network = Network::new(Loss::SquaredError, [layer]).unwrap();
        let in_common = |input: usize, target: usize, mask: Mask<f32>| {
            let episodes = Episodes::new(Array4::zeros((input, 4, 5, 3)));
            let episodes = episodes.with_masked_target(Array4::zeros((target, 4, 5, 2)), mask);
            let request = Request::on(&network, &episodes, Want::NOTHING, true);
            let InCommon {
                input,
                target,
                mask,
            } = request.in_common;
            [input, target, mask]
        };
        let mask = |networks| Mask::Episodes(Array3::zeros((networks, 4, 5)));
        assert_eq!(in_common(6, 6, mask(6)), [false; 3]);
        assert_eq!(in_common(1, 6, mask(6)), [true, false, false]);
        assert_eq!(in_common(6, 1, mask(6)), [false, true, false]);
        assert_eq!(in_common(6, 6, mask(1)), [false, false, true]);
        assert_eq!(in_common(1, 1, Mask::All), [true, true, false]);
    }
}
