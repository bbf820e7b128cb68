//! Where a run's episodes come from: a task, a seed, a purpose.

use super::draw::Draw;
use super::environment::Draws;
use super::task::Task;
use crate::episodes::{Episodes, Mask};
use crate::error::{Error, Result};
use crate::memory;
use crate::network::{Dynamic, Loss, Network};
use crate::random::Purpose;
use ndarray::{Array1, Array3, Array4, ArrayView1};
use rayon::prelude::*;
use std::ops::Range;
use std::sync::Arc;

/// Episodes of a network that an evaluation makes at once, whatever their number in all, so that an episode is the same in any.
pub(crate) const EVALUATED: usize = 64;

/// The most neurons, or steps, that a task may have.
const MOST: usize = 1 << 24;

/// A task, and whose episodes of it.
#[derive(Clone, Debug)]
pub struct EpisodeSource {
    /// The task.
    pub task: Arc<dyn Task>,
    /// Seed of network 0; network `n` has `seed + n`, unless seeds begin again.
    pub seed: u64,
    /// What the episodes are for.
    pub purpose: Purpose,
    /// Episodes per network and meta-step `B`.
    pub batch: usize,
    /// After how many networks seeds begin again, so that the ones that follow see the same episodes; at least 1. `None`: never.
    pub seeds: Option<usize>,
    /// Which network of a larger population network 0 is; 0 where it is the first.
    pub first: usize,
}

impl EpisodeSource {
    /// Fails unless the task fits the network, there is an episode, and it can be made.
    ///
    /// # Errors
    /// Names the first size that is out of range or does not fit.
    pub fn check(&self, network: &Network) -> Result<()> {
        self.check_sizes()?;
        check_network(&*self.task, network)?;
        self.task.prepare()
    }

    /// Fails unless there is an episode, as many as the task can have in a batch.
    pub(crate) fn check_sizes(&self) -> Result<()> {
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
        if let Some(most) = self.task.most_in_batch()
            && self.purpose == Purpose::Training
            && self.batch > most
        {
            let reason = format!("{}, but there are {most} episodes to draw from", self.batch);
            return Err(Error::setting("batch", reason));
        }
        check_task(&*self.task)
    }

    /// The same for a population that has this one's networks from number `first` on.
    pub(crate) fn beginning_with(&self, first: usize) -> Self {
        Self {
            first: self.first + first,
            ..self.clone()
        }
    }

    /// The key of network `index`'s episodes.
    pub fn key(&self, index: usize) -> [u32; 4] {
        let (seed, purpose) = (self.seed, self.purpose);
        let index = self.first + index;
        let index = self.seeds.map_or(index, |seeds| index % seeds.max(1));
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
        self.task.prepare()?;
        let (steps, inputs, outputs) = (self.task.steps(), self.task.inputs(), self.task.outputs());
        let population = networks.len();
        let masks = usize::from(self.task.counts_by_episode());
        let values = memory::elements(
            "episodes",
            &[population, self.batch, steps, inputs + outputs + masks],
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
        let mask = self.mask_of(networks, meta_step);
        Ok(Episodes::new(input).with_masked_target(target, mask))
    }

    /// Which steps of one meta-step's episodes count.
    fn mask_of(&self, networks: Range<usize>, meta_step: u32) -> Mask<f32> {
        if !self.task.counts_by_episode() {
            return Mask::Steps(mask(&*self.task));
        }
        let mut counts = vec![false; self.task.steps()];
        let mut all = Array3::zeros((networks.len(), self.batch, counts.len()));
        for (network, mut of_network) in networks.zip(all.outer_iter_mut()) {
            for (episode, mut of_episode) in (0..).zip(of_network.outer_iter_mut()) {
                self.fill_counts(network, meta_step, episode, &mut counts);
                of_episode.zip_mut_with(&ArrayView1::from(&counts), |mask, &counts| {
                    *mask = f32::from(counts);
                });
            }
        }
        Mask::Episodes(all)
    }

    /// For each network of a population, how many steps count in some meta-steps: of each, the mean over the batch.
    pub(crate) fn counted_steps(&self, population: usize, meta_steps: Range<u32>) -> Vec<f64> {
        if !self.task.counts_by_episode() {
            let counted = meta_steps.len() * self.task.counted_steps();
            return vec![counted as f64; population];
        }
        let of_network = |network| {
            let mut counts = vec![false; self.task.steps()];
            let mut counted = 0;
            for meta_step in meta_steps.clone() {
                for episode in 0..self.batch as u32 {
                    self.fill_counts(network, meta_step, episode, &mut counts);
                    counted += counts.iter().filter(|&&counts| counts).count();
                }
            }
            counted as f64 / self.batch as f64
        };
        (0..population).into_par_iter().map(of_network).collect()
    }

    /// Writes which steps of one episode of network `network` count, `[T]`.
    pub(crate) fn fill_counts(
        &self,
        network: usize,
        meta_step: u32,
        episode: u32,
        counts: &mut [bool],
    ) {
        let draw = Draw::new(self.key(network), meta_step, episode);
        self.task.fill_counts(draw, counts);
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
        let mut draws: Vec<_> = networks.map(draw).collect();
        draws.resize(lanes, draws[0]);
        self.task.fill_side_by_side(&draws, input, target);
    }
}

/// Which steps count towards the loss, `[T]`: 1 where a step counts, else 0.
pub(crate) fn mask(task: &dyn Task) -> Array1<f32> {
    (0..task.steps())
        .map(|step| f32::from(task.counts(step)))
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
    for (index, layer) in network.layers().iter().enumerate() {
        if layer.given_shape(Dynamic::Modulator, 1).is_some() {
            return Err(Error::setting(
                format!("layer{index}.modulation.from"),
                "episodes, but the task gives no modulators",
            ));
        }
    }
    Ok(())
}

/// Fails unless the network is trained with the loss that the task is judged by: [`Task::solved_below`] is mostly an
/// error of that loss.
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::{Modulation, Plastic, Rate};
    use crate::tasks::{Association, Completion};

    /// Each in its lane, the first again in those that are left: for the tasks' own ways and for the way that every task has.
    #[test]
    fn episodes_side_by_side_are_those_of_each_network() {
        // Patterns of two bits are drawn again and again until they differ.
        let few_bits = Association::reversal(2, 3, 12).unwrap();
        let tasks: [Arc<dyn Task>; 5] = [
            Arc::new(Completion::PAPER),
            Arc::new(Association::ONE_SHOT),
            Arc::new(Association::REVERSAL),
            Arc::new(few_bits),
            Arc::new(Plain(few_bits)),
        ];
        for (task, count) in tasks
            .iter()
            .flat_map(|task| [1, 5, 16, 17, 32].map(|count| (task, count)))
        {
            let source = EpisodeSource {
                task: task.clone(),
                seed: 7,
                purpose: Purpose::Training,
                batch: 4,
                seeds: None,
                first: 0,
            };
            let sizes = [task.inputs(), task.outputs()].map(|size| task.steps() * size);
            let [mut input, mut target] = sizes.map(|size| vec![f32::NAN; size * 32]);
            source.fill_side_by_side(3..3 + count, (11, 2), 32, &mut input, &mut target);
            for lane in 0..32 {
                let network = if lane < count { 3 + lane } else { 3 };
                let [mut one_input, mut one_target] = sizes.map(|size| vec![0.0; size]);
                source.fill(network, 11, 2, &mut one_input, &mut one_target);
                for (all, one) in [(&input, &one_input), (&target, &one_target)] {
                    let here: Vec<_> = all.chunks_exact(32).map(|lanes| lanes[lane]).collect();
                    assert_eq!(here, *one, "{} of {count}, lane {lane}", task.name());
                }
            }
        }
    }

    #[test]
    fn a_task_gives_no_modulators() {
        let task = Association::ONE_SHOT;
        let check = |modulation: Option<Modulation>| {
            let mut layer = Plastic::new(task.inputs(), task.outputs(), Rate::fixed(0.1));
            layer.modulation = modulation;
            check_network(&task, &Network::new(task.loss(), [layer]).unwrap())
        };
        check(None).unwrap();
        check(Some(Modulation::from_network())).unwrap();
        let error = check(Some(Modulation::from_episodes())).unwrap_err();
        assert!(
            error.to_string().contains("layer0.modulation.from"),
            "{error}"
        );
    }

    /// A task without a faster way.
    #[derive(Debug)]
    struct Plain(Association);

    impl Task for Plain {
        fn name(&self) -> &str {
            "plain"
        }

        fn inputs(&self) -> usize {
            self.0.inputs()
        }

        fn outputs(&self) -> usize {
            self.0.outputs()
        }

        fn steps(&self) -> usize {
            self.0.steps()
        }

        fn loss(&self) -> Loss {
            self.0.loss()
        }

        fn solved_below(&self) -> f64 {
            self.0.solved_below()
        }

        fn fill(&self, draw: Draw, input: &mut [f32], target: &mut [f32]) {
            self.0.fill(draw, input, target);
        }

        fn setup(&self) -> Result<super::super::Setup> {
            self.0.setup()
        }
    }
}
