//! Every setting of a training run.

use crate::error::{Error, Result};
use crate::network::{Activation, Layer, Loss, Network, Rate};
use crate::number::require_in_range;
use crate::optimiser::{Optimiser, Schedule};
use crate::parameters::{Initial, Layout, Sign};
use crate::task::{Association, Completion, EpisodeSource, Task};
use serde::{Deserialize, Serialize};

/// The experiments of Miconi 2016.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Experiment {
    /// Pattern completion.
    Completion,
    /// One-shot learning.
    OneShot,
    /// Reversal learning.
    Reversal,
}

impl Experiment {
    /// Every experiment.
    pub const ALL: [Self; 3] = [Self::Completion, Self::OneShot, Self::Reversal];

    /// The name in files and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Completion => "completion",
            Self::OneShot => "one-shot",
            Self::Reversal => "reversal",
        }
    }
}

/// Every setting of a training run; together with the version and the engine it determines the result.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recipe {
    /// Seed of network 0; network `n` is network 0 of seed `seed + n`.
    pub seed: u64,
    /// Networks that are trained side by side `P`.
    pub population: usize,
    /// Episodes that each network sees, the frozen ones included; rounded up to whole batches.
    pub episodes: u64,
    /// Episodes per network and update `B`.
    pub batch: usize,
    /// Episodes at the end that run with frozen parameters and measure the final error, rounded up to whole batches. If
    /// not given: 500, or the last tenth of fewer than 1,000 episodes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub frozen: Option<u64>,
    /// The distribution of episodes.
    pub task: Task,
    /// How parameters start.
    pub initial: Initial,
    /// How parameters follow their gradients.
    pub optimiser: Optimiser,
    /// The network.
    pub network: Network,
}

impl Recipe {
    /// The settings of the paper, for 20 networks.
    pub fn paper(experiment: Experiment) -> Self {
        let completion = experiment == Experiment::Completion;
        let task = match experiment {
            Experiment::Completion => Task::Completion(Completion { bits: 8 }),
            Experiment::OneShot => Task::OneShot(Association::PAPER),
            Experiment::Reversal => Task::Reversal(Association::PAPER),
        };
        let network = if completion {
            Network::new(
                Loss::SquaredError,
                [Layer::plastic(8, 8, Rate::fixed(0.5)), Layer::bias(8)],
            )
        } else {
            Network::new(
                Loss::SoftmaxCrossEntropy,
                [
                    Layer::plastic(10, 2, Rate::fixed(0.02)),
                    Layer::dense(2, 2, Activation::Linear),
                ],
            )
        };
        let (learning_rate, max_step, l1, l2) = if completion {
            (0.03, 0.1, 1e-3, 1e-4)
        } else {
            (0.01, 0.01, 1e-4, 0.0)
        };
        Self {
            seed: 0,
            population: 20,
            episodes: if completion { 5_000 } else { 10_000 },
            batch: 1,
            frozen: None,
            task,
            initial: Initial {
                positive_output: !completion,
                ..Initial::default()
            },
            optimiser: Optimiser {
                max_step: Some(max_step),
                l1,
                l2,
                ..Optimiser::rmsprop(learning_rate)
            },
            network: network.expect("the paper's networks are valid"),
        }
    }

    /// Settings that solve the paper's tasks from every one of 1,000 seeds and more, with its networks and its number of
    /// episodes.
    ///
    /// One-shot and reversal: plasticity coefficients start negative, since a neuron whose coefficients are all positive
    /// reinforces what it recalls, mistakes included, and seldom becomes one whose coefficients are negative; the other
    /// parameters start small, each neuron learns its plasticity rate, and the last fifth of the updates are a tenth of
    /// the size. Completion: no penalties, and a cosine schedule.
    ///
    /// The schedules fit the paper's number of episodes: a recipe with another number needs another `updates` or
    /// `every`, and with ten times as many also a smaller `l1`, which shrinks parameters at every update, whatever the
    /// learning rate is by then.
    pub fn reliable(experiment: Experiment) -> Self {
        let paper = Self::paper(experiment);
        let updates = paper.meta_steps() - paper.frozen_meta_steps();
        if experiment == Experiment::Completion {
            return Self {
                optimiser: Optimiser {
                    schedule: Schedule::Cosine {
                        updates,
                        floor: 0.0,
                    },
                    l1: 0.0,
                    l2: 0.0,
                    ..paper.optimiser
                },
                ..paper
            };
        }
        let rate = Rate::learned(0.02).per_neuron();
        let network = Network::new(
            Loss::SoftmaxCrossEntropy,
            [
                Layer::plastic(10, 2, rate),
                Layer::dense(2, 2, Activation::Linear),
            ],
        );
        Self {
            initial: Initial {
                scale: 0.02,
                plasticity_scale: Some(0.5),
                plasticity_sign: Sign::Negative,
                positive_output: true,
            },
            optimiser: Optimiser {
                schedule: Schedule::Step {
                    every: updates / 5 * 4,
                    factor: 0.1,
                },
                ..paper.optimiser
            },
            network: network.expect("the paper's network with other rates is valid"),
            ..paper
        }
    }

    /// Fails unless every setting is in its range and they fit each other.
    ///
    /// # Errors
    /// Names the first setting that is not.
    pub fn check(&self) -> Result<()> {
        for (field, size) in [
            ("population", self.population as u64),
            ("episodes", self.episodes),
            ("batch", self.batch as u64),
        ] {
            if size == 0 {
                return Err(Error::ZeroSize {
                    field: field.into(),
                });
            }
        }
        // So that every seed can be written as TOML.
        if self.seed > i64::MAX as u64 {
            return Err(Error::setting(
                "seed",
                format!("{}, at most {} is supported", self.seed, i64::MAX),
            ));
        }
        self.source(crate::random::Purpose::Training)
            .check(&self.network)?;
        self.task.check_loss(&self.network)?;
        self.initial.check()?;
        self.optimiser.check()?;
        self.optimiser
            .check_parameters(&Layout::new(&self.network)?)?;
        for (index, layer) in self.network.layers().iter().enumerate() {
            if let Some(plastic) = layer.as_plastic() {
                let field = format!("layer{index}.rate.value");
                require_in_range::<f32>(&field, plastic.rate.value)?;
            }
        }
        let batches = self.episodes.div_ceil(self.batch as u64);
        if batches > u64::from(u32::MAX) {
            return Err(Error::setting(
                "episodes",
                format!(
                    "{} are {batches} batches of {}, at most {} are supported",
                    self.episodes,
                    self.batch,
                    u32::MAX
                ),
            ));
        }
        let frozen = self.frozen_batches();
        if frozen == 0 {
            return Err(Error::ZeroSize {
                field: "frozen".into(),
            });
        }
        if frozen >= batches {
            return Err(Error::setting(
                "episodes",
                format!(
                    "{} are {batches} batches of {}, of which {frozen} run frozen: none is left to learn from",
                    self.episodes, self.batch
                ),
            ));
        }
        Ok(())
    }

    /// Gives the network the inputs and outputs that the task has.
    ///
    /// # Errors
    /// If a size of the task is out of range, or the network cannot have such ends.
    pub fn fit_network(&mut self) -> Result<()> {
        self.task.check_sizes()?;
        self.network = self
            .network
            .with_ends(self.task.inputs(), self.task.outputs())?;
        Ok(())
    }

    /// Meta-steps in all, the frozen ones included.
    pub fn meta_steps(&self) -> u32 {
        let batches = self.episodes.div_ceil(self.batch.max(1) as u64);
        u32::try_from(batches).unwrap_or(u32::MAX)
    }

    /// Meta-steps with frozen parameters, the last ones.
    pub fn frozen_meta_steps(&self) -> u32 {
        u32::try_from(self.frozen_batches()).unwrap_or(u32::MAX)
    }

    fn frozen_batches(&self) -> u64 {
        let default = if self.episodes >= 1_000 {
            500
        } else {
            (self.episodes / 10).max(1)
        };
        self.frozen
            .unwrap_or(default)
            .div_ceil(self.batch.max(1) as u64)
    }

    /// Synapse-steps of one meta-step over the whole population, `P·B·T·Σ O·I`.
    pub fn synapse_steps(&self) -> u64 {
        [self.batch, self.task.steps(), self.network.synapses()]
            .iter()
            .fold(self.population as u64, |product, &size| {
                product.saturating_mul(size as u64)
            })
    }

    /// Where the episodes come from.
    pub fn source(&self, purpose: crate::random::Purpose) -> EpisodeSource {
        EpisodeSource {
            task: self.task,
            seed: self.seed,
            purpose,
            batch: self.batch,
        }
    }

    /// The TOML form, every setting written out.
    ///
    /// # Panics
    /// If a count or the seed is beyond 2⁶³ − 1, which TOML cannot write.
    pub fn to_toml(&self) -> String {
        toml::to_string(self).expect("counts and seed are within the range of TOML")
    }

    /// Reads the TOML form; `origin` names the text in errors.
    ///
    /// # Errors
    /// If the text is not TOML, has unknown or missing keys, or its settings are not valid (see [`Recipe::check`]).
    pub fn from_toml(text: &str, origin: &str) -> Result<Self> {
        let recipe: Self = toml::from_str(text).map_err(|source| Error::Toml {
            origin: origin.to_owned(),
            source: Box::new(source),
        })?;
        recipe.check().map_err(|error| error.within(origin))?;
        Ok(recipe)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_recipes_are_valid_and_survive_toml() {
        for experiment in [
            Experiment::Completion,
            Experiment::OneShot,
            Experiment::Reversal,
        ] {
            for recipe in [Recipe::paper(experiment), Recipe::reliable(experiment)] {
                recipe.check().unwrap();
                let text = recipe.to_toml();
                assert_eq!(Recipe::from_toml(&text, "test").unwrap(), recipe, "{text}");
            }
        }
    }

    #[test]
    fn the_reliable_recipes_keep_the_papers_tasks_sizes_and_episodes() {
        for experiment in [
            Experiment::Completion,
            Experiment::OneShot,
            Experiment::Reversal,
        ] {
            let (paper, reliable) = (Recipe::paper(experiment), Recipe::reliable(experiment));
            assert_eq!(reliable.task, paper.task);
            assert_eq!(reliable.synapse_steps(), paper.synapse_steps());
            assert_eq!(reliable.meta_steps(), paper.meta_steps());
        }
    }

    #[test]
    fn how_many_episodes_run_frozen() {
        let frozen = |episodes, batch, frozen| {
            let recipe = Recipe {
                episodes,
                batch,
                frozen,
                ..Recipe::paper(Experiment::OneShot)
            };
            (recipe.frozen_meta_steps(), recipe.meta_steps())
        };
        assert_eq!(frozen(10_000, 1, None), (500, 10_000));
        assert_eq!(frozen(1_000, 1, None), (500, 1_000));
        assert_eq!(frozen(999, 1, None), (99, 999));
        assert_eq!(frozen(2, 1, None), (1, 2));
        assert_eq!(frozen(100, 16, None), (1, 7));
        assert_eq!(frozen(10_000, 8, Some(9)), (2, 1_250));
    }

    #[test]
    fn settings_out_of_range_are_named_with_their_numbers() {
        type Change = fn(&mut Recipe);
        let bad: [(&[&str], Change); 12] = [
            (&["population", "zero"], |r| r.population = 0),
            (&["episodes", "zero"], |r| r.episodes = 0),
            (&["episodes", "none is left"], |r| r.episodes = 1),
            (&["batch", "zero"], |r| r.batch = 0),
            (&["frozen", "zero"], |r| r.frozen = Some(0)),
            (&["episodes", "1099511627776"], |r| r.episodes = 1 << 40),
            (&["seed", "18446744073709551615"], |r| r.seed = u64::MAX),
            (&["initial.scale", "1e39", "range of f32"], |r| {
                r.initial.scale = 1e39
            }),
            (&["initial.plasticity_scale", "1e38", "draws"], |r| {
                r.initial.plasticity_scale = Some(1e38)
            }),
            (&["layer0.rate.value", "1e300", "range of f32"], |r| {
                let layer = Layer::plastic(10, 2, Rate::fixed(1e300));
                r.network = Network::new(Loss::SoftmaxCrossEntropy, [layer]).unwrap()
            }),
            (&["task.bits", "129"], |r| {
                r.task = Task::Completion(Completion { bits: 129 })
            }),
            // The threshold is one of cross-entropy.
            (&["loss.kind", "squared-error", "cross-entropy"], |r| {
                let layers = r.network.layers().to_vec();
                r.network = Network::new(Loss::SquaredError, layers).unwrap();
            }),
        ];
        for (parts, change) in bad {
            let mut recipe = Recipe::paper(Experiment::OneShot);
            change(&mut recipe);
            let error = recipe.check().unwrap_err().to_string();
            assert!(parts.iter().all(|part| error.contains(part)), "{error}");
        }
    }
}
