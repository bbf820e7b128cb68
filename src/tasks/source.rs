//! Where a run's episodes come from: a task, a seed, a purpose.

use super::draw::Draw;
use super::environment::Draws;
use super::task::Task;
use crate::episodes::{Episodes, Mask};
use crate::error::{Error, Result};
use crate::memory;
use crate::network::{Loss, Network};
use crate::random::Purpose;
use ndarray::{Array1, Array4};
use rayon::prelude::*;
use std::ops::Range;
use std::sync::Arc;

/// The most neurons, or steps, that a task may have.
const MOST: usize = 1 << 24;

/// A task, and whose episodes of it.
#[derive(Clone, Debug)]
pub struct EpisodeSource {
    /// The task.
    pub task: Arc<dyn Task>,
    /// Seed of network 0; network `n` has `seed + n`.
    pub seed: u64,
    /// What the episodes are for.
    pub purpose: Purpose,
    /// Episodes per network and meta-step `B`.
    pub batch: usize,
}

impl EpisodeSource {
    /// Fails unless the task fits the network and there is an episode.
    ///
    /// # Errors
    /// Names the first size that is out of range or does not fit.
    pub fn check(&self, network: &Network) -> Result<()> {
        self.check_sizes()?;
        check_network(&*self.task, network)
    }

    fn check_sizes(&self) -> Result<()> {
        if self.batch == 0 {
            return Err(Error::ZeroSize {
                field: "batch".into(),
            });
        }
        if self.batch > i32::MAX as usize {
            return Err(Error::setting(
                "batch",
                format!("{}, at most {} are supported", self.batch, i32::MAX),
            ));
        }
        check_task(&*self.task)
    }

    /// The key of network `index`'s episodes.
    pub fn key(&self, index: usize) -> [u32; 4] {
        let (seed, purpose) = (self.seed, self.purpose);
        Draws { seed, purpose }.key(index)
    }

    /// The episodes of one meta-step for a population, as arrays.
    ///
    /// # Errors
    /// If there is no network or no episode, a size is out of its range, or memory is short.
    pub fn episodes(&self, population: usize, meta_step: u32) -> Result<Episodes<'static, f32>> {
        self.episodes_of(0..population, meta_step)
    }

    /// The same for some networks of a population.
    pub(crate) fn episodes_of(
        &self,
        networks: Range<usize>,
        meta_step: u32,
    ) -> Result<Episodes<'static, f32>> {
        if networks.is_empty() {
            return Err(Error::ZeroSize {
                field: "population".into(),
            });
        }
        self.check_sizes()?;
        let (steps, inputs, outputs) = (self.task.steps(), self.task.inputs(), self.task.outputs());
        let population = networks.len();
        let values = memory::elements(
            "episodes",
            &[population, self.batch, steps, inputs + outputs],
        )?;
        memory::require("episodes", values as u128 * size_of::<f32>() as u128)?;
        let mut input = Array4::zeros((population, self.batch, steps, inputs));
        let mut target = Array4::zeros((population, self.batch, steps, outputs));
        let [inputs, targets] = [&mut input, &mut target].map(|array: &mut Array4<f32>| {
            let size = array.dim().2 * array.dim().3;
            let values = array.as_slice_mut().expect("fresh arrays are contiguous");
            values.par_chunks_exact_mut(size)
        });
        let pairs = inputs.zip_eq(targets).enumerate();
        pairs.for_each(|(index, (input, target))| {
            let (network, episode) = (index / self.batch, index % self.batch);
            self.fill(
                networks.start + network,
                meta_step,
                episode as u32,
                input,
                target,
            );
        });
        let mask = Mask::Steps(mask(&*self.task));
        Ok(Episodes::new(input).with_masked_target(target, mask))
    }

    /// Writes one episode of network `network`: `input` is `[T, I]`, `target` is `[T, O]`, both zero before.
    pub(crate) fn fill(
        &self,
        network: usize,
        meta_step: u32,
        episode: u32,
        input: &mut [f32],
        target: &mut [f32],
    ) {
        let draw = Draw::new(self.key(network), meta_step, episode);
        self.task.fill(draw, input, target);
    }
}

impl EpisodeSource {
    /// Writes an episode of each of several networks, which lie side by side: `input` is `[T, I, lanes]`, `target` is
    /// `[T, O, lanes]`. Lanes beyond the last network have that of the first.
    pub(crate) fn fill_side_by_side(
        &self,
        networks: Range<usize>,
        (meta_step, episode): (u32, u32),
        lanes: usize,
        input: &mut [f32],
        target: &mut [f32],
    ) {
        let draw = |index| Draw::new(self.key(index), meta_step, episode);
        let mut draws = vec![draw(networks.start); lanes];
        for (to, index) in draws.iter_mut().zip(networks) {
            *to = draw(index);
        }
        self.task.fill_side_by_side(&draws, input, target);
    }
}

/// Which steps count towards the loss, `[T]`: 1 where a step counts, else 0.
pub(crate) fn mask(task: &dyn Task) -> Array1<f32> {
    (0..task.steps())
        .map(|step| if task.counts(step) { 1.0 } else { 0.0 })
        .collect()
}

/// Fails unless every size of a task is in its range, a step counts, and there is a loss.
pub(crate) fn check_task(task: &dyn Task) -> Result<()> {
    for (field, size) in [
        ("inputs of the task", task.inputs()),
        ("outputs of the task", task.outputs()),
        ("steps of the task", task.steps()),
    ] {
        if size == 0 {
            return Err(Error::ZeroSize {
                field: field.into(),
            });
        }
        if size > MOST {
            let reason = format!("{size}, at most {MOST} are supported");
            return Err(Error::setting(field, reason));
        }
    }
    if task.counted_steps() == 0 {
        return Err(Error::ZeroSize {
            field: "steps of the task that count".into(),
        });
    }
    if task.loss() == Loss::None {
        return Err(Error::setting(
            "loss of the task",
            "none, but episodes have targets",
        ));
    }
    Ok(())
}

/// Fails unless the task fits the network.
pub(crate) fn check_network(task: &dyn Task, network: &Network) -> Result<()> {
    check_task(task)?;
    for (field, network, task) in [
        ("inputs of the network", network.inputs(), task.inputs()),
        ("outputs of the network", network.outputs(), task.outputs()),
    ] {
        if network != task {
            return Err(Error::setting(
                field,
                format!("{network}, but the task has {task}"),
            ));
        }
    }
    if network.loss() == Loss::None {
        return Err(Error::setting(
            "loss.kind",
            "none, but the task has a target",
        ));
    }
    Ok(())
}

/// Fails unless the network is trained with the loss that the task is judged by: [`Task::solved_below`] is an error of that
/// loss.
pub(crate) fn check_loss(task: &dyn Task, network: &Network) -> Result<()> {
    let (trained, judged) = (network.loss(), task.loss());
    if trained == judged {
        return Ok(());
    }
    Err(Error::setting(
        "network.loss.kind",
        format!(
            "the network has \"{trained}\", but {} is judged by \"{judged}\"",
            task.name()
        ),
    ))
}
