//! What trained networks do on fresh episodes, step by step.

use super::recipe::Recipe;
use crate::computation::Want;
use crate::engine::Engine;
use crate::episodes::{Mask, Objective};
use crate::error::{Error, Result};
use crate::memory;
use crate::network::Network;
use crate::parameters::Parameters;
use crate::random::Purpose;
use crate::tasks::{EVALUATED as BATCH, EpisodeSource, Task, check_loss, check_network};
use crate::zip::zip_eq;
use ndarray::{Array2, ArrayView1};
use std::sync::Arc;

/// The behaviour of networks with frozen parameters, mean over fresh episodes.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Evaluation {
    /// Episodes that each network saw.
    pub episodes: u64,
    /// The loss at each step, `[P, T]`; where the steps that count differ between episodes, of those in which it counts; 0 where
    /// it counts in none.
    pub error: Array2<f64>,
    /// The fraction of right answers at each step, `[P, T]`, of the same episodes: of labels, or of bits for completion.
    pub accuracy: Array2<f64>,
    /// Whether a step counts towards the loss, in some episode, `[T]`.
    pub counted: Vec<bool>,
    /// In how many episodes it does, `[P, T]`, where that differs between them.
    pub(crate) counts: Option<Array2<f64>>,
}

impl Evaluation {
    /// Runs `episodes` fresh episodes of `task` through every network. Network `n` sees those of seed `seed + n`.
    ///
    /// # Errors
    /// If the task or the parameters do not fit the network, the network has another loss than the task, there is no
    /// episode, memory is short, or the device fails.
    pub fn new(
        engine: &Engine,
        network: &Network,
        parameters: &Parameters<f32>,
        task: &Arc<dyn Task>,
        seed: u64,
        episodes: u64,
    ) -> Result<Self> {
        Self::with_seeds(engine, (network, parameters), task, (seed, None), episodes)
    }

    /// As [`Evaluation::new`], of the networks of a run. In a sweep, those of every point see the same episodes.
    ///
    /// # Errors
    /// As [`Evaluation::new`].
    pub fn of_run(
        engine: &Engine,
        recipe: &Recipe,
        parameters: &Parameters<f32>,
        seed: u64,
        episodes: u64,
    ) -> Result<Self> {
        let networks = (&recipe.network, parameters);
        let seeds = (seed, recipe.seeds());
        Self::with_seeds(engine, networks, &recipe.task, seeds, episodes)
    }

    fn with_seeds(
        engine: &Engine,
        (network, parameters): (&Network, &Parameters<f32>),
        task: &Arc<dyn Task>,
        (seed, seeds): (u64, Option<usize>),
        episodes: u64,
    ) -> Result<Self> {
        if episodes == 0 {
            return Err(Error::ZeroSize {
                field: "episodes".into(),
            });
        }
        let batches = u32::try_from(episodes.div_ceil(BATCH as u64)).map_err(|_| {
            let most = u64::from(u32::MAX) * BATCH as u64;
            Error::setting(
                "episodes",
                format!("{episodes}, at most {most} are supported"),
            )
        })?;
        check_network(&**task, network)?;
        check_loss(&**task, network)?;
        let (population, steps) = (parameters.population(), task.steps());
        require_memory(population, &**task)?;
        let mut sums = Sums {
            task: &**task,
            error: Array2::zeros((population, steps)),
            right: Array2::zeros((population, steps)),
            counts: Array2::zeros((population, steps)),
        };
        for batch in 0..batches {
            let left = episodes - u64::from(batch) * BATCH as u64;
            let source = EpisodeSource {
                task: task.clone(),
                seed,
                purpose: Purpose::Evaluation,
                batch: left.min(BATCH as u64) as usize,
                seeds,
                first: 0,
            };
            let made = source.episodes(population, batch)?;
            let outcome = engine.forward(network, parameters, &made, Want::default())?;
            let Objective::Target { target, mask } = &made.objective else {
                unreachable!("a task's episodes have a target");
            };
            // In the order [P, B, T].
            let output = outcome.output.as_ref().expect("it is wanted");
            let rows = zip_eq(made.input.rows(), zip_eq(output.rows(), target.rows()));
            for (index, (input, (output, target))) in rows.enumerate() {
                let (network, step) = (index / (source.batch * steps), index % steps);
                let episode = index / steps % source.batch;
                // Where the same steps count in all episodes, the others are shown, too.
                let is_there = match mask {
                    Mask::Episodes(mask) => mask[[network, episode, step]] != 0.0,
                    Mask::All | Mask::Steps(_) => true,
                };
                if is_there {
                    sums.add((network, step), [input, output, target]);
                }
            }
        }
        Ok(sums.over(episodes))
    }

    /// Per network, the error per counted step.
    pub fn mean_error(&self) -> Vec<f64> {
        self.over_counted_steps(&self.error)
    }

    /// Per network, the fraction of right answers over the counted steps.
    pub fn mean_accuracy(&self) -> Vec<f64> {
        self.over_counted_steps(&self.accuracy)
    }

    /// Per network, whether it has solved the task on these episodes: its error, or the fraction of wrong answers where the task
    /// judges by that, is below the task's threshold.
    pub fn solved(&self, task: &dyn Task) -> Vec<bool> {
        let judged = match task.is_judged_by_answers() {
            true => self
                .mean_accuracy()
                .iter()
                .map(|right| 1.0 - right)
                .collect(),
            false => self.mean_error(),
        };
        judged
            .into_iter()
            .map(|value| value < task.solved_below())
            .collect()
    }

    fn over_counted_steps(&self, values: &Array2<f64>) -> Vec<f64> {
        if let Some(counts) = &self.counts {
            let of_network = |(values, counts): (ArrayView1<'_, f64>, ArrayView1<'_, f64>)| {
                values.dot(&counts) / counts.sum()
            };
            return zip_eq(values.rows(), counts.rows())
                .map(of_network)
                .collect();
        }
        let count = self.counted.iter().filter(|&&counted| counted).count();
        let counted = |row: ArrayView1<'_, f64>| -> f64 {
            let pairs = row.into_iter().zip(&self.counted);
            pairs.filter(|(_, counted)| **counted).map(|(v, _)| v).sum()
        };
        let rows = values.rows().into_iter();
        rows.map(|row| counted(row) / count as f64).collect()
    }
}

/// Fails unless memory has room for the episodes that are made at once.
pub(super) fn require_memory(population: usize, task: &dyn Task) -> Result<()> {
    let neurons = task.inputs() + task.outputs();
    let values = memory::elements("episodes", &[population, BATCH, task.steps(), 3 * neurons])?;
    memory::require("episodes", values as u128 * size_of::<f32>() as u128)
}

struct Sums<'a> {
    task: &'a dyn Task,
    error: Array2<f64>,
    right: Array2<f64>,
    /// Episodes that were added.
    counts: Array2<f64>,
}

impl Sums<'_> {
    /// The means of so many episodes.
    fn over(self, episodes: u64) -> Evaluation {
        let Self { task, counts, .. } = self;
        // Nothing was added where no episode was.
        let count = counts.mapv(|count| count.max(1.0));
        let differ = task.counts_by_episode();
        let counted = |step| match differ {
            true => counts.column(step).iter().any(|&count| count > 0.0),
            false => task.counts(step),
        };
        Evaluation {
            episodes,
            error: self.error / &count,
            accuracy: self.right / &count,
            counted: (0..task.steps()).map(counted).collect(),
            counts: differ.then_some(counts),
        }
    }

    fn add(&mut self, at: (usize, usize), input_output_target: [ArrayView1<'_, f32>; 3]) {
        let double = |values: ArrayView1<'_, f32>| -> Vec<f64> {
            values.iter().map(|&value| f64::from(value)).collect()
        };
        let [input, output, target] = input_output_target.map(double);
        let mut gradient = vec![0.0; output.len()];
        self.error[at] += self.task.loss().step(&output, &target, 0.0, &mut gradient);
        self.right[at] += self.task.right(&input, &output, &target);
        self.counts[at] += 1.0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::Loss;
    use crate::tasks::{Association, all};
    use crate::training::{Recipe, Training};
    use std::ops::ControlFlow;

    fn paper(task: Association) -> Recipe {
        Recipe::new(Arc::new(task)).unwrap()
    }

    fn evaluate(recipe: &Recipe, parameters: &Parameters<f32>, episodes: u64) -> Evaluation {
        let Recipe {
            network,
            task,
            seed,
            ..
        } = recipe;
        Evaluation::new(&Engine::cpu(), network, parameters, task, *seed, episodes).unwrap()
    }

    fn initial(recipe: &Recipe) -> Parameters<f32> {
        Parameters::initialise(
            &recipe.network,
            &recipe.initial,
            recipe.population,
            recipe.seed,
        )
        .unwrap()
    }

    #[test]
    fn untrained_networks_answer_at_chance() {
        for task in all() {
            let recipe = Recipe {
                population: 2,
                ..Recipe::new(task).unwrap()
            };
            let evaluation = evaluate(&recipe, &initial(&recipe), 2_000);
            for accuracy in evaluation.mean_accuracy() {
                assert!(
                    (accuracy - 0.5).abs() < 0.15,
                    "{:?}: {accuracy}",
                    recipe.task
                );
            }
        }
    }

    #[test]
    fn trained_networks_answer_right_and_stumble_where_labels_swap() {
        let recipe = Recipe {
            population: 3,
            ..paper(Association::REVERSAL)
        };
        let training = Training::new(&Engine::cpu(), &recipe).unwrap();
        let trained = training.run(|_| ControlFlow::Continue(())).unwrap();
        let evaluation = evaluate(&recipe, &trained.parameters, 500);
        let solved = trained.networks.iter().position(|network| network.solved);
        let network = solved.expect("most networks solve reversal");
        assert!(evaluation.mean_error()[network] < 0.1);
        assert!(evaluation.mean_accuracy()[network] > 0.97);
        assert!(evaluation.accuracy[[network, 9]] > 0.97);
        assert!(evaluation.accuracy[[network, 19]] > 0.95);
        assert_eq!(
            evaluation
                .counted
                .iter()
                .filter(|&&counted| counted)
                .count(),
            16
        );
    }

    #[test]
    fn a_network_alone_and_fewer_episodes_are_the_same() {
        let recipe = Recipe {
            population: 3,
            ..paper(Association::ONE_SHOT)
        };
        let parameters = initial(&recipe);
        let many = evaluate(&recipe, &parameters, 100);
        let alone = Recipe {
            seed: 2,
            ..recipe.clone()
        };
        let one = evaluate(&alone, &parameters.slice(2..3), 100);
        assert_eq!(one.error.row(0), many.error.row(2));
        assert_eq!(one.accuracy.row(0), many.accuracy.row(2));
    }

    #[test]
    fn counts_out_of_range_are_refused() {
        let recipe = paper(Association::ONE_SHOT);
        let parameters = initial(&recipe);
        for episodes in [0, u64::MAX] {
            let Recipe { network, task, .. } = &recipe;
            let engine = Engine::cpu();
            let error = Evaluation::new(&engine, network, &parameters, task, 0, episodes);
            assert!(error.unwrap_err().to_string().contains("episodes"));
        }
    }

    #[test]
    fn a_network_with_another_loss_than_the_task_is_refused() {
        let recipe = paper(Association::ONE_SHOT);
        let parameters = initial(&recipe);
        for loss in [Loss::SquaredError, Loss::None] {
            let layers = recipe.network.layers().to_vec();
            let network = Network::new(loss, layers).unwrap();
            let engine = Engine::cpu();
            let error = Evaluation::new(&engine, &network, &parameters, &recipe.task, 0, 10);
            let error = error.unwrap_err().to_string();
            assert!(
                error.contains("loss") && error.contains(loss.name()),
                "{error}"
            );
        }
    }
}
