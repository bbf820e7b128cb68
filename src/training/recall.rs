//! What a network brings back of patterns that it is shown in part.

use crate::computation::Want;
use crate::engine::Engine;
use crate::episodes::Objective;
use crate::error::Result;
use crate::network::Network;
use crate::parameters::Parameters;
use crate::random::Purpose;
use crate::tasks::{EpisodeSource, Task, check_network};
use ndarray::{Array2, ArrayView3, Axis};
use std::sync::Arc;

/// Some fresh episodes at the step of [`Task::recall_step`].
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Recall {
    /// What the network is shown of each pattern, `[B, O]`: the bits that are not shown are 0.
    pub cue: Array2<f32>,
    /// What it brings back, `[B, O]`.
    pub output: Array2<f32>,
    /// The pattern, `[B, O]`: each bit is ±1.
    pub pattern: Array2<f32>,
}

impl Recall {
    /// Runs `episodes` fresh episodes of `task`, those of seed `seed`, through the only network of `parameters`. `None` where
    /// the task has no step at which a pattern is brought back.
    ///
    /// # Errors
    /// If the task or the parameters do not fit the network, there is no episode, memory is short, or the device fails.
    pub fn new(
        engine: &Engine,
        network: &Network,
        parameters: &Parameters<f32>,
        task: &Arc<dyn Task>,
        seed: u64,
        episodes: usize,
    ) -> Result<Option<Self>> {
        let Some(step) = task.recall_step() else {
            return Ok(None);
        };
        check_network(&**task, network)?;
        let source = EpisodeSource {
            task: task.clone(),
            seed,
            purpose: Purpose::Evaluation,
            batch: episodes,
            seeds: None,
            first: 0,
        };
        let made = source.episodes(1, 0)?;
        let outcome = engine.forward(network, parameters, &made, Want::default())?;
        let Objective::Target { target, .. } = &made.objective else {
            unreachable!("a task's episodes have a target");
        };
        let at_step =
            |values: ArrayView3<'_, f32>| values.index_axis_move(Axis(1), step).to_owned();
        let output = outcome.output.as_ref().expect("it is wanted");
        Ok(Some(Self {
            cue: at_step(made.input.index_axis(Axis(0), 0)),
            output: at_step(output.index_axis(Axis(0), 0)),
            pattern: at_step(target.index_axis(Axis(0), 0)),
        }))
    }

    /// Whether a bit is one that is not shown.
    pub fn is_hidden(&self, episode: usize, bit: usize) -> bool {
        self.cue[[episode, bit]] == 0.0
    }

    /// Whether a bit that is not shown comes back with another sign than the pattern's, or none.
    pub fn is_wrong(&self, episode: usize, bit: usize) -> bool {
        let at = [episode, bit];
        let has_its_sign = self.output[at] * self.pattern[at] > 0.0;
        self.is_hidden(episode, bit) && !has_its_sign
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parameters::Initial;
    use crate::tasks::{Completion, PatternMemory};
    use crate::training::{Evaluation, Recipe};

    fn recall(task: Arc<dyn Task>, episodes: usize) -> (Option<Recall>, f64) {
        let Recipe { network, task, .. } = Recipe::new(task).unwrap();
        let parameters = Parameters::initialise(&network, &Initial::default(), 1, 4).unwrap();
        let engine = Engine::cpu();
        let recall = Recall::new(&engine, &network, &parameters, &task, 4, episodes).unwrap();
        let count = episodes as u64;
        let evaluation = Evaluation::new(&engine, &network, &parameters, &task, 4, count).unwrap();
        (recall, evaluation.mean_accuracy()[0])
    }

    #[test]
    fn half_of_the_bits_are_hidden_and_as_many_wrong_as_in_an_evaluation() {
        let (recall, right) = recall(Arc::new(PatternMemory::SMALL), 4);
        let recall = recall.unwrap();
        let (mut hidden, mut wrong) = (0, 0);
        for ((episode, bit), pattern) in recall.pattern.indexed_iter() {
            let cue = recall.cue[[episode, bit]];
            assert!(cue == 0.0 || cue == 20.0 * pattern);
            hidden += usize::from(recall.is_hidden(episode, bit));
            wrong += usize::from(recall.is_wrong(episode, bit));
        }
        assert_eq!((recall.pattern.dim(), hidden), ((4, 50), 100));
        assert!((wrong as f64 / 100.0 - (1.0 - right)).abs() < 1e-9);
        assert!(wrong > 0);
    }

    #[test]
    fn other_tasks_have_no_patterns_to_bring_back() {
        assert_eq!(recall(Arc::new(Completion::PAPER), 1).0, None);
    }
}
