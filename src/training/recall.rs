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
