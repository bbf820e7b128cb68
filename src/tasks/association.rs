//! One-shot learning and reversal learning (Miconi 2016): which of some patterns has which label.

use super::draw::{DRAWS, Draw};
use super::pattern::{MAX_BITS, bit_mask, check_bits, sign, signs};
use super::sizes::Sizes;
use super::task::{Paper, Setup, Task, TaskKernel, TaskSetting};
use crate::error::{Error, Result};
use crate::network::{Activation, Dense, Layer, Loss, Network, Plastic, Rate};
use crate::optimiser::{Optimiser, Schedule};
use crate::parameters::{Initial, Sign};
use crate::zip::zip_eq;
use std::sync::Arc;
use toml::Table;

/// The most patterns that an episode may have.
pub const MAX_PATTERNS: usize = 64;

/// The most steps that an episode may have.
const MAX_STEPS: usize = 1 << 20;

/// One-shot learning: patterns, all different, are shown in turn, each with its label the first time only; the target is
/// the label. With a reversal, the labels move on by one pattern in the middle of the episode and are shown again.
///
/// The input is a pattern's bits, then one for each label. Step `t` shows pattern `t mod patterns`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Association {
    bits: usize,
    patterns: usize,
    steps: usize,
    reverses: bool,
}

impl Association {
    /// One-shot learning with the paper's sizes: 8 bits, 2 patterns, 20 steps.
    pub const ONE_SHOT: Self = Self {
        bits: 8,
        patterns: 2,
        steps: 20,
        reverses: false,
    };

    /// Reversal learning with the paper's sizes: 8 bits, 2 patterns, 20 steps.
    pub const REVERSAL: Self = Self {
        reverses: true,
        ..Self::ONE_SHOT
    };

    /// One-shot learning: `bits` bits of a pattern, `patterns` patterns of an episode, which are also its labels and the
    /// network's outputs, and `steps` steps.
    ///
    /// # Errors
    /// Names the first size that is out of its range.
    pub fn one_shot(bits: usize, patterns: usize, steps: usize) -> Result<Self> {
        Self::ONE_SHOT.sized(bits, patterns, steps)
    }

    /// Reversal learning, with sizes as for [`Association::one_shot`].
    ///
    /// # Errors
    /// As [`Association::one_shot`].
    pub fn reversal(bits: usize, patterns: usize, steps: usize) -> Result<Self> {
        Self::REVERSAL.sized(bits, patterns, steps)
    }

    fn sized(self, bits: usize, patterns: usize, steps: usize) -> Result<Self> {
        check_bits(bits)?;
        if !(2..=MAX_PATTERNS).contains(&patterns) || (bits < 8 && patterns > 1 << bits) {
            return Err(Error::setting(
                "task.patterns",
                format!("{patterns}, expected 2 to {MAX_PATTERNS}, all different with {bits} bits"),
            ));
        }
        let halves = if self.reverses { 2 } else { 1 };
        if steps / halves <= patterns || steps > MAX_STEPS {
            return Err(Error::setting(
                "task.steps",
                format!(
                    "{steps}, expected more than {} (every label shown, and a step that counts) and at most {MAX_STEPS}",
                    halves * patterns
                ),
            ));
        }
        Ok(Self {
            bits,
            patterns,
            steps,
            ..self
        })
    }

    /// The step at which the labels move on; beyond the last where they do not.
    fn reversal_step(&self) -> usize {
        match self.reverses {
            true => self.steps / 2,
            false => usize::MAX,
        }
    }

    /// Whether a label is part of the input at a step; those steps do not count.
    fn shows_label(&self, step: usize) -> bool {
        let since_reversal = step.checked_sub(self.reversal_step());
        step < self.patterns || since_reversal.is_some_and(|since| since < self.patterns)
    }
}

impl Association {
    /// Which label is right at a step.
    fn label(&self, step: usize) -> usize {
        (step % self.patterns + usize::from(step >= self.reversal_step())) % self.patterns
    }

    /// The patterns of each draw's episode, by pattern and word.
    fn patterns_of_each(&self, draws: &[Draw]) -> Vec<[[u32; DRAWS]; 4]> {
        let mut patterns: Vec<[[u32; DRAWS]; 4]> = Vec::with_capacity(self.patterns);
        for k in 0..self.patterns as u32 {
            let masked = |word: usize, words: u32| words & bit_mask(self.bits, word);
            let mut words = Draw::words_of_each(draws, k, 0);
            for (word, words) in words.iter_mut().enumerate() {
                *words = words.map(|it| masked(word, it));
            }
            for (n, draw) in draws.iter().enumerate() {
                let is_new = |words: &[[u32; DRAWS]; 4]| {
                    let mut earlier = patterns.iter();
                    earlier.all(|earlier| (0..4).any(|word| earlier[word][n] != words[word][n]))
                };
                let mut attempt = 0;
                // As in `fill`.
                while !is_new(&words) {
                    attempt += 1;
                    for (word, drawn) in draw.words(k, attempt).into_iter().enumerate() {
                        words[word][n] = masked(word, drawn);
                    }
                }
            }
            patterns.push(words);
        }
        patterns
    }
}

impl Task for Association {
    fn name(&self) -> &str {
        match self.reverses {
            true => "reversal",
            false => "one-shot",
        }
    }

    fn inputs(&self) -> usize {
        self.bits + self.patterns
    }

    fn outputs(&self) -> usize {
        self.patterns
    }

    fn steps(&self) -> usize {
        self.steps
    }

    fn loss(&self) -> Loss {
        Loss::SoftmaxCrossEntropy
    }

    fn solved_below(&self) -> f64 {
        0.05
    }

    fn counts(&self, step: usize) -> bool {
        step < self.steps && !self.shows_label(step)
    }

    fn fill(&self, draw: Draw, input: &mut [f32], target: &mut [f32]) {
        let mut patterns = [[0; 4]; MAX_PATTERNS];
        for k in 0..self.patterns {
            let mut attempt = 0;
            // Drawn again until it differs from every earlier one.
            loop {
                let words = draw.words(k as u32, attempt);
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
            let label = self.label(t);
            let (bits, labels) = input.split_at_mut(self.bits);
            for (j, bit) in bits.iter_mut().enumerate() {
                *bit = sign(&patterns[t % self.patterns], j);
            }
            target.fill(0.0);
            target[label] = 1.0;
            labels.fill(0.0);
            if self.shows_label(t) {
                labels[label] = 1.0;
            }
        }
    }

    fn fill_side_by_side(&self, draws: &[Draw], input: &mut [f32], target: &mut [f32]) {
        let lanes = draws.len();
        let (bits, labels) = (self.bits * lanes, self.patterns * lanes);
        let row = bits + labels;
        for (number, some) in draws.chunks(DRAWS).enumerate() {
            let patterns = self.patterns_of_each(some);
            // Step `k` is the first to show pattern `k`.
            for (patterns, input) in patterns.iter().zip(input.chunks_exact_mut(row)) {
                for (j, signs_of_bit) in input[..bits].chunks_exact_mut(lanes).enumerate() {
                    signs(
                        patterns,
                        j,
                        &mut signs_of_bit[number * DRAWS..][..some.len()],
                    );
                }
            }
        }
        for t in 0..self.steps {
            if let Some(before) = t.checked_sub(self.patterns) {
                input.copy_within(before * row..before * row + bits, t * row);
            }
            let label = self.label(t);
            let put = |to: &mut [f32], is_there: bool| {
                to.fill(0.0);
                if is_there {
                    to[label * lanes..][..lanes].fill(1.0);
                }
            };
            put(&mut target[t * labels..][..labels], true);
            put(&mut input[t * row + bits..][..labels], self.shows_label(t));
        }
    }

    fn changes(&self) -> Vec<(usize, String)> {
        let words = match self.patterns {
            2 => "labels swap",
            _ => "labels move on",
        };
        let step = self.reverses.then(|| self.reversal_step());
        step.map(|step| (step, words.to_owned()))
            .into_iter()
            .collect()
    }

    fn input_name(&self, neuron: usize) -> String {
        match neuron.checked_sub(self.bits) {
            None => format!("bit {}", neuron + 1),
            Some(label) => self.output_name(label),
        }
    }

    fn output_name(&self, neuron: usize) -> String {
        format!("label {}", neuron + 1)
    }

    fn pattern_inputs(&self) -> usize {
        self.bits
    }

    fn paper(&self) -> Option<Paper> {
        Some(Paper::MICONI_2016)
    }

    fn title(&self) -> String {
        match self.reverses {
            true => "Reversal learning".to_owned(),
            false => "One-shot learning".to_owned(),
        }
    }

    fn summary(&self) -> String {
        match self.reverses {
            true => "As one-shot, but the labels swap half-way".to_owned(),
            false => "Remember which of two patterns has which label, told once".to_owned(),
        }
    }

    fn account(&self) -> String {
        let count = match self.patterns {
            2 => "two".to_owned(),
            count => count.to_string(),
        };
        match self.reverses {
            true => {
                "As one-shot learning, but half-way through the episode the labels swap and are shown once more: what was \
                 learned must be unlearned at once."
                    .to_owned()
            }
            false => format!(
                "In every episode a network sees {count} new random patterns in turn, each with its label the first time \
                 only. From then on it must give the label of the pattern it sees."
            ),
        }
    }

    fn settings(&self) -> Vec<TaskSetting> {
        let bits = format!("bits of a pattern, at most {MAX_BITS}");
        let patterns = "patterns of an episode; also its label bits, and outputs of the network";
        vec![
            TaskSetting::size("bits", self.bits, bits),
            TaskSetting::size("patterns", self.patterns, patterns),
            TaskSetting::size("steps", self.steps, "steps of an episode"),
        ]
    }

    fn with_settings(&self, settings: &Table) -> Result<Arc<dyn Task>> {
        let mut sizes = Sizes::of(self, settings);
        let task = self.sized(
            sizes.take("bits")?,
            sizes.take("patterns")?,
            sizes.take("steps")?,
        )?;
        sizes.end(task)
    }

    /// The paper's network, with as many inputs and outputs as the task has.
    fn setup(&self) -> Result<Setup> {
        let layers = [
            Layer::from(
                Plastic::new(self.inputs(), 2, Rate::fixed(0.02)).activation(Activation::Tanh),
            ),
            Layer::from(Dense::new(2, self.outputs())),
        ];
        let network = Network::new(self.loss(), layers)?;
        let optimiser = Optimiser {
            max_step: Some(0.01),
            l1: 1e-4,
            ..Optimiser::rmsprop(0.01)
        };
        Ok(Setup::new(network, optimiser, 10_000).initial(Initial {
            positive_output: true,
            ..Initial::default()
        }))
    }

    /// Plasticity coefficients start negative, since a neuron whose coefficients are all positive reinforces what it
    /// recalls, mistakes included, and seldom becomes one whose coefficients are negative; the other parameters start small,
    /// each neuron learns its plasticity rate, and the last fifth of the updates are a tenth of the size.
    fn reliable_setup(&self) -> Option<Result<Setup>> {
        let reliable = |setup: Setup| {
            let layers = [
                Layer::from(
                    Plastic::new(self.inputs(), 2, Rate::learned(0.02).per_neuron())
                        .activation(Activation::Tanh),
                ),
                Layer::from(Dense::new(2, self.outputs())),
            ];
            Ok(Setup {
                network: Network::new(self.loss(), layers)?,
                initial: Initial {
                    scale: 0.02,
                    plasticity_scale: Some(0.5),
                    plasticity_sign: Sign::Negative,
                    positive_output: true,
                },
                optimiser: Optimiser {
                    schedule: Schedule::Step {
                        every: setup.updates() / 5 * 4,
                        factor: 0.1,
                    },
                    ..setup.optimiser
                },
                ..setup
            })
        };
        Some(self.setup().and_then(reliable))
    }

    fn kernel(&self) -> Option<TaskKernel> {
        let masks = (0..4).map(|word| (format!("mask{word}").into(), bit_mask(self.bits, word)));
        let sizes = [
            ("bits", self.bits),
            ("patterns", self.patterns),
            ("reversal", self.reversal_step().min(u32::MAX as usize)),
        ];
        let sizes = sizes.map(|(name, size)| (name.into(), size as u32));
        Some(TaskKernel {
            template: include_str!("../../shaders/tasks/association.wgsl").into(),
            values: sizes.into_iter().chain(masks).collect(),
            words: self.patterns,
            turns: self.turns(),
        })
    }
}

impl Association {
    /// Turns of the loops that draw the patterns. One that equals an earlier one is drawn again: twice as many draws are
    /// counted as come in the mean to a pattern that is the last. The look that ends a loop is one turn more.
    fn turns(&self) -> u64 {
        let patterns = self.patterns as u64;
        let all = 1u64.checked_shl(self.bits as u32).unwrap_or(u64::MAX);
        let free = all.saturating_sub(patterns).saturating_add(1);
        let comparisons = patterns + 1;
        let attempts = (2 * all.div_ceil(free))
            .saturating_mul(comparisons + 1)
            .saturating_add(1);
        patterns
            .saturating_mul(attempts.saturating_add(1))
            .saturating_add(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::episodes::{Episodes, Objective};
    use crate::random::{self, Purpose};
    use crate::tasks::EpisodeSource;
    use ndarray::{Array1, CowArray, Ix4, s};

    fn source(task: Association) -> EpisodeSource {
        EpisodeSource {
            task: Arc::new(task),
            seed: 3,
            purpose: Purpose::Training,
            batch: 40,
            seeds: None,
            first: 0,
        }
    }

    fn target<'e, 'a>(episodes: &'e Episodes<'a, f32>) -> &'e CowArray<'a, f32, Ix4> {
        match &episodes.objective {
            Objective::Target { target, .. } => target,
            _ => unreachable!(),
        }
    }

    #[test]
    fn one_shot_shows_two_patterns_in_turn_and_labels_them_once() {
        let task = Association::ONE_SHOT;
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
        let task = Association::REVERSAL;
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
        assert!(!task.counts(10) && !task.counts(11) && task.counts(12) && !task.counts(20));
    }

    #[test]
    fn an_episode_can_be_made_alone() {
        let task = Association::one_shot(40, 6, 30).unwrap();
        let many = source(task).episodes(3, 9).unwrap();
        let mut input = vec![0.0; 30 * 46];
        let mut label = vec![0.0; 30 * 6];
        let key = random::key(3 + 2, Purpose::Training);
        task.fill(Draw::new(key, 9, 31), &mut input, &mut label);
        let of_many = |array: &CowArray<'_, f32, Ix4>| -> Vec<f32> {
            array.slice(s![2, 31, .., ..]).iter().copied().collect()
        };
        assert_eq!(of_many(&many.input), input);
        assert_eq!(of_many(target(&many)), label);
    }

    #[test]
    fn all_patterns_differ_even_where_there_are_few() {
        let task = Association::one_shot(2, 4, 8).unwrap();
        let episodes = source(task).episodes(1, 1).unwrap();
        for b in 0..40 {
            let x = episodes.input.slice(s![0, b, ..4, ..2]);
            for (i, j) in [(0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3)] {
                assert_ne!(x.row(i), x.row(j));
            }
        }
    }

    #[test]
    fn sizes_out_of_range_are_named() {
        let one_shot = Association::one_shot;
        let reversal = Association::reversal;
        for (field, refused) in [
            // Of two patterns of one bit, the third is never found.
            ("task.patterns", one_shot(1, 3, 8)),
            ("task.patterns", reversal(8, 0, 8)),
            ("task.patterns", one_shot(128, 65, 200)),
            ("task.patterns", one_shot(8, usize::MAX, 8)),
            ("task.bits", one_shot(129, 2, 20)),
            ("task.bits", one_shot(usize::MAX, 2, 20)),
            ("task.bits", reversal(0, 2, 20)),
            ("task.steps", one_shot(8, 2, 2)),
            ("task.steps", reversal(8, 2, 5)),
            ("task.steps", reversal(8, 2, usize::MAX)),
        ] {
            let error = refused.unwrap_err().to_string();
            assert!(error.starts_with(field), "{error}");
        }
    }
}
