//! The tasks of Miconi 2016: what the random episodes are.
//!
//! Every episode is a function of (seed of the network, purpose, meta-step, index in the batch), made from the
//! counter-based generator, so that any of them can be made alone, in any order. `shaders/episodes.wgsl` makes the
//! same, bit for bit.

use crate::episodes::{Episodes, Mask};
use crate::error::{Error, Result};
use crate::memory;
use crate::network::{Loss, Network};
use crate::random::{self, Purpose};
use crate::zip::zip_eq;
use ndarray::{Array1, Array4};
use serde::{Deserialize, Serialize};

/// The most bits that a pattern may have: one block of random words.
pub const MAX_BITS: usize = 128;

/// The most patterns that an episode may have.
pub const MAX_PATTERNS: usize = 64;

/// A task: a distribution of episodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Task {
    /// Pattern completion: step 0 shows a pattern of ±1, step 1 one random bit of it and zeros; the target at step 1 is
    /// the whole pattern.
    Completion(Completion),
    /// One-shot learning: patterns are shown in turn, each with its label the first time only; the target is the label.
    OneShot(Association),
    /// Reversal: as one-shot, but in the middle of the episode the labels move on by one pattern and are shown again.
    Reversal(Association),
}

/// The sizes of pattern completion.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Completion {
    /// Bits of a pattern; inputs and outputs of the network.
    pub bits: usize,
}

/// The sizes of one-shot learning and reversal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Association {
    /// Bits of a pattern.
    pub bits: usize,
    /// Patterns of an episode, all different; also the label bits that follow the pattern in the input, and the
    /// network's outputs.
    pub patterns: usize,
    /// Steps of an episode. Step `t` shows pattern `t mod patterns`.
    pub steps: usize,
}

impl Association {
    /// 8 bits, 2 patterns, 20 steps.
    pub const PAPER: Self = Self {
        bits: 8,
        patterns: 2,
        steps: 20,
    };
}

impl Task {
    /// The name in files and on the command line.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Completion(_) => "completion",
            Self::OneShot(_) => "one-shot",
            Self::Reversal(_) => "reversal",
        }
    }

    /// Bits of a pattern.
    pub fn bits(&self) -> usize {
        match self {
            Self::Completion(task) => task.bits,
            Self::OneShot(task) | Self::Reversal(task) => task.bits,
        }
    }

    /// Patterns of an episode.
    pub fn patterns(&self) -> usize {
        match self {
            Self::Completion(_) => 1,
            Self::OneShot(task) | Self::Reversal(task) => task.patterns,
        }
    }

    /// Presynaptic neurons that a network for this task has.
    pub fn inputs(&self) -> usize {
        match self {
            Self::Completion(task) => task.bits,
            Self::OneShot(task) | Self::Reversal(task) => task.bits.saturating_add(task.patterns),
        }
    }

    /// Postsynaptic neurons that a network for this task has.
    pub fn outputs(&self) -> usize {
        match self {
            Self::Completion(task) => task.bits,
            Self::OneShot(task) | Self::Reversal(task) => task.patterns,
        }
    }

    /// Steps of an episode `T`.
    pub fn steps(&self) -> usize {
        match self {
            Self::Completion(_) => 2,
            Self::OneShot(task) | Self::Reversal(task) => task.steps,
        }
    }

    /// The step at which the labels move on, for reversal.
    pub fn reversal_step(&self) -> Option<usize> {
        match self {
            Self::Reversal(task) => Some(task.steps / 2),
            _ => None,
        }
    }

    /// The loss that the task is trained with.
    pub fn loss(&self) -> Loss {
        match self {
            Self::Completion(_) => Loss::SquaredError,
            Self::OneShot(_) | Self::Reversal(_) => Loss::SoftmaxCrossEntropy,
        }
    }

    /// The error below which a network counts as having solved the task.
    pub fn solved_below(&self) -> f64 {
        match self {
            Self::Completion(_) => 0.1,
            Self::OneShot(_) | Self::Reversal(_) => 0.05,
        }
    }

    /// Whether a label is part of the input at step `t`; those steps do not count.
    fn shows_label(&self, t: usize) -> bool {
        t < self.patterns()
            || self.reversal_step().is_some_and(|reversal| {
                (reversal..reversal.saturating_add(self.patterns())).contains(&t)
            })
    }

    /// Whether step `t` counts towards the loss.
    pub fn counts(&self, t: usize) -> bool {
        match self {
            Self::Completion(_) => t == 1,
            Self::OneShot(_) | Self::Reversal(_) => !self.shows_label(t),
        }
    }

    /// Which steps count towards the loss, `[T]`: 1 where a step counts, else 0.
    pub(crate) fn mask(&self) -> Array1<f32> {
        (0..self.steps())
            .map(|t| if self.counts(t) { 1.0 } else { 0.0 })
            .collect()
    }

    /// How many steps count.
    pub fn counted_steps(&self) -> usize {
        let steps = self.steps();
        // The labels are shown at the start and at the reversal; those two may meet.
        let shown = |from: usize| from.min(steps)..from.saturating_add(self.patterns()).min(steps);
        match (self, self.reversal_step()) {
            (Self::Completion(_), _) => 1,
            (_, None) => steps - shown(0).len(),
            (_, Some(reversal)) => {
                let (first, second) = (shown(0), shown(reversal));
                steps - first.len() - (second.end - second.start.max(first.end).min(second.end))
            }
        }
    }

    /// Fails unless every size is in its range.
    ///
    /// # Errors
    /// Names the first size that is not.
    pub fn check_sizes(&self) -> Result<()> {
        let bits = self.bits();
        if bits == 0 {
            return Err(Error::ZeroSize {
                field: "task.bits".into(),
            });
        }
        if bits > MAX_BITS {
            return Err(Error::setting(
                "task.bits",
                format!("{bits}, at most {MAX_BITS} are supported"),
            ));
        }
        if let Self::OneShot(task) | Self::Reversal(task) = self {
            let patterns = task.patterns;
            if !(2..=MAX_PATTERNS).contains(&patterns) || (bits < 8 && patterns > 1 << bits) {
                return Err(Error::setting(
                    "task.patterns",
                    format!(
                        "{patterns}, expected 2 to {MAX_PATTERNS}, all different with {bits} bits"
                    ),
                ));
            }
            let halves = if self.reversal_step().is_some() { 2 } else { 1 };
            if task.steps / halves <= patterns || task.steps > 1 << 20 {
                return Err(Error::setting(
                    "task.steps",
                    format!(
                        "{}, expected more than {} (every label shown, and a step that counts) and at most {}",
                        task.steps,
                        halves * patterns,
                        1 << 20
                    ),
                ));
            }
        }
        Ok(())
    }

    /// Fails unless every size is in its range and the task fits the network.
    ///
    /// # Errors
    /// Names the first size that is not, or does not fit.
    pub fn check(&self, network: &Network) -> Result<()> {
        self.check_sizes()?;
        for (field, network, task) in [
            ("inputs of the network", network.inputs(), self.inputs()),
            ("outputs of the network", network.outputs(), self.outputs()),
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

    /// Fails unless the network is trained with the loss that the task is judged by: [`Task::solved_below`] is an error of
    /// that loss.
    ///
    /// # Errors
    /// Names both.
    pub(crate) fn check_loss(&self, network: &Network) -> Result<()> {
        let (trained, judged) = (network.loss().name(), self.loss().name());
        if trained == judged {
            return Ok(());
        }
        Err(Error::setting(
            "network.loss.kind",
            format!(
                "the network has \"{trained}\", but {} is judged by \"{judged}\"",
                self.name()
            ),
        ))
    }

    /// Writes one episode: `input` is `[T, inputs]`, `target` is `[T, outputs]`. The sizes have been checked: of patterns
    /// that are too short to differ, there is no end.
    pub(crate) fn fill(
        &self,
        key: [u32; 4],
        meta_step: u32,
        episode: u32,
        input: &mut [f32],
        target: &mut [f32],
    ) {
        match self {
            Self::Completion(task) => task.fill(key, meta_step, episode, input, target),
            Self::OneShot(task) => task.fill(key, meta_step, episode, usize::MAX, input, target),
            Self::Reversal(task) => {
                task.fill(key, meta_step, episode, task.steps / 2, input, target)
            }
        }
    }
}

impl Completion {
    fn fill(
        &self,
        key: [u32; 4],
        meta_step: u32,
        episode: u32,
        input: &mut [f32],
        target: &mut [f32],
    ) {
        let pattern = random::threefry(key, [meta_step, episode, 0, 0]);
        let choice = random::threefry(key, [meta_step, episode, 1, 0])[0];
        let shown = (((choice >> 16) * self.bits as u32) >> 16) as usize;
        let (first, second) = input.split_at_mut(self.bits);
        for j in 0..self.bits {
            first[j] = sign(&pattern, j);
            second[j] = if j == shown { first[j] } else { 0.0 };
        }
        for target in target.chunks_exact_mut(self.bits) {
            target.copy_from_slice(first);
        }
    }
}

impl Association {
    fn fill(
        &self,
        key: [u32; 4],
        meta_step: u32,
        episode: u32,
        reversal: usize,
        input: &mut [f32],
        target: &mut [f32],
    ) {
        let mut patterns = [[0; 4]; MAX_PATTERNS];
        for k in 0..self.patterns {
            let mut attempt = 0;
            // Drawn again until it differs from every earlier one.
            loop {
                let words = random::threefry(key, [meta_step, episode, k as u32, attempt]);
                patterns[k] = std::array::from_fn(|word| words[word] & bit_mask(self.bits, word));
                if !patterns[..k].contains(&patterns[k]) {
                    break;
                }
                attempt += 1;
            }
        }
        let rows = input.chunks_exact_mut(self.bits + self.patterns);
        let rows = zip_eq(rows, target.chunks_exact_mut(self.patterns));
        for (t, (input, target)) in rows.enumerate() {
            let shown = t % self.patterns;
            let reversed = t >= reversal;
            let label = (shown + usize::from(reversed)) % self.patterns;
            let labelled = t < self.patterns || (reversed && t - reversal < self.patterns);
            let (bits, labels) = input.split_at_mut(self.bits);
            for (j, bit) in bits.iter_mut().enumerate() {
                *bit = sign(&patterns[shown], j);
            }
            target.fill(0.0);
            target[label] = 1.0;
            labels.fill(0.0);
            if labelled {
                labels[label] = 1.0;
            }
        }
    }
}

/// Bit `j` of a pattern as ±1.
fn sign(pattern: &[u32; 4], j: usize) -> f32 {
    if pattern[j / 32] >> (j % 32) & 1 == 1 {
        1.0
    } else {
        -1.0
    }
}

/// The bits of word `word` that a pattern of `bits` bits uses.
pub(crate) fn bit_mask(bits: usize, word: usize) -> u32 {
    match bits.saturating_sub(32 * word) {
        0 => 0,
        used if used < 32 => (1 << used) - 1,
        _ => u32::MAX,
    }
}

/// Where a run's episodes come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EpisodeSource {
    /// The task.
    pub task: Task,
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
    /// As [`Task::check`], or if the batch is empty or beyond 2³¹.
    pub fn check(&self, network: &Network) -> Result<()> {
        self.check_batch()?;
        self.task.check(network)
    }

    fn check_batch(&self) -> Result<()> {
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
        Ok(())
    }

    /// The key of network `index`'s episodes.
    pub fn key(&self, index: usize) -> [u32; 4] {
        random::key(self.seed.wrapping_add(index as u64), self.purpose)
    }

    /// The episodes of one meta-step for a population, as arrays.
    ///
    /// # Errors
    /// If there is no network or no episode, a size of the task is out of its range, or memory is short.
    pub fn episodes(&self, population: usize, meta_step: u32) -> Result<Episodes<'static, f32>> {
        if population == 0 {
            return Err(Error::ZeroSize {
                field: "population".into(),
            });
        }
        self.check_batch()?;
        self.task.check_sizes()?;
        let (steps, inputs, outputs) = (self.task.steps(), self.task.inputs(), self.task.outputs());
        let values = memory::elements(
            "episodes",
            &[population, self.batch, steps, inputs + outputs],
        )?;
        memory::require("episodes", values as u128 * size_of::<f32>() as u128)?;
        let mut input = Array4::zeros((population, self.batch, steps, inputs));
        let mut target = Array4::zeros((population, self.batch, steps, outputs));
        let slices = [&mut input, &mut target].map(|array: &mut Array4<f32>| {
            let size = array.dim().2 * array.dim().3;
            let values = array.as_slice_mut().expect("fresh arrays are contiguous");
            values.chunks_exact_mut(size)
        });
        let [inputs, targets] = slices;
        for (index, (input, target)) in zip_eq(inputs, targets).enumerate() {
            let (network, episode) = (index / self.batch, index % self.batch);
            self.task
                .fill(self.key(network), meta_step, episode as u32, input, target);
        }
        Ok(Episodes::new(input).with_masked_target(target, Mask::Steps(self.task.mask())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::episodes::Objective;
    use ndarray::s;

    fn source(task: Task) -> EpisodeSource {
        EpisodeSource {
            task,
            seed: 3,
            purpose: Purpose::Training,
            batch: 40,
        }
    }

    fn target<'e, 'a>(
        episodes: &'e Episodes<'a, f32>,
    ) -> &'e ndarray::CowArray<'a, f32, ndarray::Ix4> {
        match &episodes.objective {
            Objective::Target { target, .. } => target,
            _ => unreachable!(),
        }
    }

    #[test]
    fn one_shot_shows_two_patterns_in_turn_and_labels_them_once() {
        let task = Task::OneShot(Association::PAPER);
        let episodes = source(task).episodes(2, 7).unwrap();
        for p in 0..2 {
            for b in 0..40 {
                let x = episodes.input.slice(s![p, b, .., ..]);
                let labels = target(&episodes).slice(s![p, b, .., ..]);
                assert_ne!(x.slice(s![0, ..8]), x.slice(s![1, ..8]));
                for t in 0..20 {
                    assert_eq!(x.slice(s![t, ..8]), x.slice(s![t % 2, ..8]));
                    assert!(x.slice(s![t, ..8]).iter().all(|bit| bit.abs() == 1.0));
                    assert_eq!(labels[[t, t % 2]], 1.0);
                    assert_eq!(labels.row(t).sum(), 1.0);
                    let shown = if t < 2 {
                        labels.row(t).to_owned()
                    } else {
                        Array1::zeros(2)
                    };
                    assert_eq!(x.slice(s![t, 8..]), shown);
                }
            }
        }
        assert_eq!(task.counted_steps(), 18);
    }

    #[test]
    fn reversal_swaps_the_labels_half_way() {
        let task = Task::Reversal(Association::PAPER);
        let episodes = source(task).episodes(1, 0).unwrap();
        let (x, labels) = (&episodes.input, target(&episodes));
        assert_eq!(labels[[0, 0, 9, 1]], 1.0);
        assert_eq!(labels[[0, 0, 10, 1]], 1.0);
        assert_eq!(
            x.slice(s![0, 0, 10..12, 8..]),
            labels.slice(s![0, 0, 10..12, ..])
        );
        assert_eq!(x.slice(s![0, 0, 12.., 8..]).sum(), 0.0);
        assert_eq!(task.counted_steps(), 16);
        assert_eq!(task.mask()[10] + task.mask()[11], 0.0);
    }

    #[test]
    fn completion_shows_one_bit() {
        let task = Task::Completion(Completion { bits: 8 });
        let episodes = source(task).episodes(1, 0).unwrap();
        let mut seen = [false; 8];
        for b in 0..40 {
            let x = episodes.input.slice(s![0, b, .., ..]);
            let shown: Vec<usize> = (0..8).filter(|&j| x[[1, j]] != 0.0).collect();
            assert_eq!(shown.len(), 1);
            seen[shown[0]] = true;
            assert_eq!(x[[1, shown[0]]], x[[0, shown[0]]]);
            assert_eq!(x.row(0), target(&episodes).slice(s![0, b, 1, ..]));
        }
        assert_eq!(seen, [true; 8]);
        assert_eq!(task.counted_steps(), 1);
    }

    #[test]
    fn an_episode_can_be_made_alone() {
        let task = Task::OneShot(Association {
            bits: 40,
            patterns: 6,
            steps: 30,
        });
        let source = source(task);
        let many = source.episodes(3, 9).unwrap();
        let mut input = vec![0.0; 30 * 46];
        let mut label = vec![0.0; 30 * 6];
        task.fill(
            random::key(3 + 2, Purpose::Training),
            9,
            31,
            &mut input,
            &mut label,
        );
        assert_eq!(
            many.input
                .slice(s![2, 31, .., ..])
                .iter()
                .copied()
                .collect::<Vec<_>>(),
            input
        );
        assert_eq!(
            target(&many)
                .slice(s![2, 31, .., ..])
                .iter()
                .copied()
                .collect::<Vec<_>>(),
            label
        );
    }

    #[test]
    fn all_patterns_differ_even_where_there_are_few() {
        let task = Task::OneShot(Association {
            bits: 2,
            patterns: 4,
            steps: 8,
        });
        let episodes = source(task).episodes(1, 1).unwrap();
        for b in 0..40 {
            let x = episodes.input.slice(s![0, b, ..4, ..2]);
            for (i, j) in [(0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3)] {
                assert_ne!(x.row(i), x.row(j));
            }
        }
    }

    #[test]
    fn what_cannot_be_made_is_refused() {
        let association = |bits, patterns, steps| Association {
            bits,
            patterns,
            steps,
        };
        let tasks = [
            // Of two patterns of one bit, the third is never found.
            ("task.patterns", Task::OneShot(association(1, 3, 8))),
            ("task.patterns", Task::Reversal(association(8, 0, 8))),
            ("task.patterns", Task::OneShot(association(128, 65, 200))),
            (
                "task.patterns",
                Task::OneShot(association(8, usize::MAX, 8)),
            ),
            ("task.bits", Task::OneShot(association(129, 2, 20))),
            ("task.bits", Task::OneShot(association(usize::MAX, 2, 20))),
            ("task.bits", Task::Completion(Completion { bits: 0 })),
            ("task.steps", Task::OneShot(association(8, 2, 2))),
            ("task.steps", Task::Reversal(association(8, 2, usize::MAX))),
        ];
        let refused = |source: EpisodeSource, population: usize, part: &str| {
            let error = source.episodes(population, 0).unwrap_err().to_string();
            assert!(error.contains(part), "{source:?}: {error}");
        };
        for (part, task) in tasks {
            refused(source(task), 1, part);
        }
        let paper = source(Task::OneShot(Association::PAPER));
        let of = |batch| EpisodeSource {
            batch,
            ..paper.clone()
        };
        refused(of(0), 1, "batch: zero");
        refused(of(usize::MAX), 1, "batch");
        refused(of(1), 0, "population: zero");
        refused(of(1 << 30), 1 << 20, "episodes: ");
    }

    #[test]
    fn steps_that_count_are_counted() {
        for patterns in 1..6 {
            for steps in 0..14 {
                let task = Association {
                    bits: 8,
                    patterns,
                    steps,
                };
                for task in [Task::OneShot(task), Task::Reversal(task)] {
                    let counted = (0..steps).filter(|&t| task.counts(t)).count();
                    assert_eq!(task.counted_steps(), counted, "{task:?}");
                }
            }
        }
        let completion = Task::Completion(Completion { bits: 8 });
        assert_eq!(completion.counted_steps(), 1);
        let absurd = Association {
            bits: usize::MAX,
            patterns: usize::MAX,
            steps: usize::MAX,
        };
        assert_eq!(Task::Reversal(absurd).counted_steps(), 0);
        assert_eq!(Task::OneShot(absurd).inputs(), usize::MAX);
    }
}
