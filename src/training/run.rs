//! A run: training, then the frozen end that measures the final error.

use super::{Recipe, Statistics};
use crate::engine::{Failure, Learner};
use crate::random::Purpose;
use crate::zip::zip_eq;
use crate::{Engine, Parameters, Result, memory};
use serde::Serialize;
use std::ops::ControlFlow;

/// Reports of a run with enough episodes.
const REPORTS: u32 = 200;

/// The most synapse-steps between reports: a second or less on two processor cores, so that whoever waits sees progress
/// and can stop, and a millisecond on a large GPU, beside which the report takes little.
const SYNAPSE_STEPS_PER_REPORT: u64 = 1 << 30;

/// What a part of a run was for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// Parameters followed their gradients.
    Training,
    /// Parameters stood still, to measure the final error.
    Frozen,
}

/// One part of a run.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// Episodes that each network has seen by now.
    pub episode: u64,
    /// What this part was for.
    pub phase: Phase,
    /// Per network, the error per counted step, mean over the episodes since the last report.
    pub error: Vec<f64>,
    /// Networks that have failed by now.
    pub failed: usize,
}

/// What came of one network.
#[derive(Clone, Debug, PartialEq)]
pub struct NetworkResult {
    /// Its seed.
    pub seed: u64,
    /// Mean error per counted step over the frozen episodes; `None` if the run was stopped before their end.
    pub final_error: Option<f64>,
    /// Whether the final error is below the task's threshold, and the network has not failed.
    pub solved: bool,
}

/// What came of a run.
#[derive(Clone, Debug)]
pub struct Trained {
    /// The parameters at the end.
    pub parameters: Parameters<f32>,
    /// Every report, in order.
    pub history: Vec<Report>,
    /// Every network, in order.
    pub networks: Vec<NetworkResult>,
    /// Networks that stopped learning because a loss or gradient was not finite.
    pub failures: Vec<Failure>,
    /// Whether the observer stopped the run before its end.
    pub stopped: bool,
}

impl Trained {
    /// How many networks solved the task.
    pub fn solved(&self) -> usize {
        self.networks
            .iter()
            .filter(|network| network.solved)
            .count()
    }

    /// The statistics of the final errors; `None` if the run was stopped.
    pub fn final_error(&self) -> Option<Statistics> {
        let errors: Option<Vec<f64>> = self.networks.iter().map(|n| n.final_error).collect();
        Statistics::of(&errors?)
    }
}

/// A run that is about to start: everything is checked and on the device.
#[derive(Debug)]
pub struct Training {
    recipe: Recipe,
    learner: Learner,
}

impl Training {
    /// Checks the recipe, draws the initial parameters and takes them to the device.
    ///
    /// # Errors
    /// If a setting is out of range, memory is short, or the device fails.
    pub fn new(engine: &Engine, recipe: &Recipe) -> Result<Self> {
        recipe.check()?;
        let reports = u128::from(recipe.meta_steps() / meta_steps_per_report(recipe)) + 2;
        memory::require(
            &format!("population of {} (reports of the run)", recipe.population),
            reports * recipe.population as u128 * size_of::<f64>() as u128,
        )?;
        let Recipe {
            network,
            initial,
            population,
            seed,
            ..
        } = recipe;
        let parameters = Parameters::initialise(network, initial, *population, *seed)?;
        let learner = engine.learner(
            network,
            &parameters,
            std::slice::from_ref(&recipe.optimiser),
        )?;
        Ok(Self {
            recipe: recipe.clone(),
            learner,
        })
    }

    /// Runs to the end, or until `observe`, which is called after every report, says to stop.
    ///
    /// # Errors
    /// If the device fails.
    pub fn run(self, mut observe: impl FnMut(&Report) -> ControlFlow<()>) -> Result<Trained> {
        let Self {
            recipe,
            mut learner,
        } = self;
        let source = recipe.source(Purpose::Training);
        let total = recipe.meta_steps();
        let frozen_from = total - recipe.frozen_meta_steps();
        let piece = meta_steps_per_report(&recipe);
        let mut history = Vec::new();
        let mut frozen_sums = vec![0.0; recipe.population];
        let mut at = 0;
        let mut stopped = false;
        while at < total && !stopped {
            let phase = if at < frozen_from {
                Phase::Training
            } else {
                Phase::Frozen
            };
            let end = match phase {
                Phase::Training => frozen_from.min(at.saturating_add(piece)),
                Phase::Frozen => total.min(at.saturating_add(piece)),
            };
            let error = match phase {
                Phase::Training => learner.train(&source, at..end)?,
                Phase::Frozen => learner.evaluate(&source, at..end)?,
            };
            if phase == Phase::Frozen {
                for (sum, error) in zip_eq(&mut frozen_sums, &error) {
                    *sum += error * f64::from(end - at);
                }
            }
            at = end;
            let report = Report {
                episode: u64::from(at) * recipe.batch as u64,
                phase,
                error,
                failed: learner.failures()?.len(),
            };
            stopped = observe(&report).is_break() && at < total;
            history.push(report);
        }
        let failures = learner.failures()?;
        let frozen = f64::from(recipe.frozen_meta_steps());
        let networks = frozen_sums
            .iter()
            .enumerate()
            .map(|(index, sum)| {
                let final_error = (!stopped).then_some(sum / frozen);
                let failed = failures.iter().any(|failure| failure.network == index);
                NetworkResult {
                    seed: recipe.seed.wrapping_add(index as u64),
                    final_error,
                    solved: !failed
                        && final_error.is_some_and(|error| error < recipe.task.solved_below()),
                }
            })
            .collect();
        Ok(Trained {
            parameters: learner.parameters()?,
            history,
            networks,
            failures,
            stopped,
        })
    }
}

/// Meta-steps from one report to the next: a function of the recipe alone, so that equal runs report equally.
fn meta_steps_per_report(recipe: &Recipe) -> u32 {
    let by_count = recipe.meta_steps().div_ceil(REPORTS);
    let by_work = SYNAPSE_STEPS_PER_REPORT / recipe.synapse_steps().max(1);
    by_count
        .min(u32::try_from(by_work).unwrap_or(u32::MAX))
        .max(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Error;
    use crate::training::Experiment;

    fn run(recipe: &Recipe) -> Trained {
        let training = Training::new(&Engine::cpu(), recipe).unwrap();
        training.run(|_| ControlFlow::Continue(())).unwrap()
    }

    fn short() -> Recipe {
        Recipe {
            population: 3,
            episodes: 400,
            ..Recipe::paper(Experiment::OneShot)
        }
    }

    #[test]
    fn a_run_reports_every_episode_once_and_freezes_at_the_end() {
        let trained = run(&short());
        assert_eq!(trained.history.last().unwrap().episode, 400);
        let frozen: Vec<_> = trained
            .history
            .iter()
            .filter(|report| report.phase == Phase::Frozen)
            .collect();
        assert_eq!(frozen[0].episode, 360 + 2);
        let mean = frozen.iter().map(|report| report.error[1]).sum::<f64>() / frozen.len() as f64;
        assert!((trained.networks[1].final_error.unwrap() - mean).abs() < 1e-12);
        assert!(!trained.stopped && trained.failures.is_empty());
    }

    #[test]
    fn equal_runs_are_equal_and_a_network_is_the_same_alone() {
        let (first, second) = (run(&short()), run(&short()));
        assert_eq!(first.parameters, second.parameters);
        assert_eq!(first.history, second.history);
        let alone = run(&Recipe {
            population: 1,
            seed: 2,
            ..short()
        });
        assert_eq!(alone.parameters.network(0), first.parameters.network(2));
        assert_eq!(alone.networks[0], first.networks[2]);
    }

    #[test]
    fn the_observer_can_stop_a_run() {
        let training = Training::new(&Engine::cpu(), &short()).unwrap();
        let mut reports = 0;
        let trained = training
            .run(|_| {
                reports += 1;
                if reports == 5 {
                    ControlFlow::Break(())
                } else {
                    ControlFlow::Continue(())
                }
            })
            .unwrap();
        assert!(trained.stopped);
        assert_eq!(trained.history.len(), 5);
        assert_eq!(trained.final_error(), None);
        assert_eq!(trained.solved(), 0);
    }

    #[test]
    fn networks_that_are_not_finite_are_reported_and_keep_their_parameters() {
        let recipe = Recipe {
            initial: crate::Initial {
                scale: 1e25,
                ..Default::default()
            },
            ..Recipe::paper(Experiment::Completion)
        };
        let trained = run(&Recipe {
            population: 2,
            episodes: 50,
            ..recipe
        });
        let failed: Vec<_> = trained.failures.iter().map(|f| f.network).collect();
        assert_eq!(failed, [0, 1]);
        assert_eq!(trained.failures[0].episode, 0);
        assert_eq!(trained.failures[0].tensor, "loss");
        assert_eq!(trained.solved(), 0);
        assert_eq!(trained.final_error().unwrap().median, f64::INFINITY);
        assert!(trained.parameters.values().iter().all(|v| v.is_finite()));
    }

    #[test]
    fn what_no_memory_holds_is_refused() {
        let recipe = Recipe {
            population: 1 << 50,
            ..short()
        };
        let error = Training::new(&Engine::cpu(), &recipe).unwrap_err();
        assert!(matches!(error, Error::Memory { .. }), "{error}");
    }
}
