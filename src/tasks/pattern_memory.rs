//! Pattern memory (Miconi, Stanley and Clune 2018): a recurrent network sees patterns and brings one back from half of it.

use super::association::MAX_PATTERNS;
use super::draw::{Draw, Sequence};
use super::right::right_signs;
use super::sizes::Sizes;
use super::task::{Paper, Setup, Task, TaskSetting};
use crate::error::{Error, Result};
use crate::network::{Activation, Loss, Network, Rate, Recurrent};
use crate::optimiser::Optimiser;
use crate::parameters::Initial;
use crate::zip::zip_eq;
use std::sync::Arc;
use toml::{Table, Value};

/// The most bits that a pattern may have: an even number.
const MAX_BITS: usize = 1 << 16;

/// The most steps that an episode may have.
const MAX_STEPS: usize = 1 << 20;

/// Pattern memory: some random patterns, each with as many bits of +1 as of −1, are shown one after the other, with empty
/// steps between them; then one of them without half of its bits. The target at the last step is the whole pattern.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PatternMemory {
    bits: usize,
    patterns: usize,
    /// How often all patterns are shown, each time in another order.
    cycles: usize,
    /// Steps for which a pattern is shown.
    show: usize,
    /// Empty steps after each pattern.
    gap: usize,
    /// Steps for which the cue is shown.
    test: usize,
    /// What each bit of ±1 is multiplied by in the input.
    gain: f64,
}

impl PatternMemory {
    /// The paper's smaller one: 2 patterns of 50 bits, 11 steps.
    pub const SMALL: Self = Self {
        bits: 50,
        patterns: 2,
        cycles: 1,
        show: 3,
        gap: 1,
        test: 3,
        gain: 20.0,
    };

    /// The paper's larger one: 5 patterns of 1,000 bits, 106 steps.
    pub const LARGE: Self = Self {
        bits: 1_000,
        patterns: 5,
        cycles: 2,
        show: 6,
        gap: 4,
        test: 6,
        gain: 20.0,
    };

    fn check(&self) -> Result<()> {
        if !self.bits.is_multiple_of(2) || !(2..=MAX_BITS).contains(&self.bits) {
            let reason = format!(
                "{}, expected an even number, of which half can be zeroed, from 2 to {MAX_BITS}",
                self.bits
            );
            return Err(Error::setting("task.bits", reason));
        }
        if !(1..=MAX_PATTERNS).contains(&self.patterns) {
            let reason = format!("{}, expected 1 to {MAX_PATTERNS}", self.patterns);
            return Err(Error::setting("task.patterns", reason));
        }
        for (name, steps) in [
            ("cycles", self.cycles),
            ("show", self.show),
            ("test", self.test),
        ] {
            if steps == 0 {
                let reason = "0, expected at least 1";
                return Err(Error::setting(format!("task.{name}"), reason));
            }
        }
        // Each on its own, so that their product fits.
        let sizes = [self.cycles, self.show, self.gap, self.test];
        if sizes.iter().any(|size| *size > MAX_STEPS) || self.steps() > MAX_STEPS {
            let [cycles, show, gap, test] = sizes;
            let reason = format!(
                "cycles ({cycles}) × patterns ({}) × (show ({show}) + gap ({gap})) + test ({test}), at most {MAX_STEPS} \
                 are supported",
                self.patterns
            );
            return Err(Error::setting("steps of the task", reason));
        }
        if !(self.gain as f32).is_normal() {
            let reason = format!("{}, expected a value in the range of f32", self.gain);
            return Err(Error::setting("task.gain", reason));
        }
        Ok(())
    }

    /// Bits of a pattern that the cue has not; as many have the value +1.
    fn half(&self) -> usize {
        self.bits / 2
    }
}

impl Task for PatternMemory {
    fn name(&self) -> &str {
        "pattern-memory"
    }

    fn inputs(&self) -> usize {
        self.bits
    }

    fn outputs(&self) -> usize {
        self.bits
    }

    fn steps(&self) -> usize {
        self.cycles * self.patterns * (self.show + self.gap) + self.test
    }

    fn loss(&self) -> Loss {
        Loss::SquaredError
    }

    /// Of the bits that the cue has not.
    fn solved_below(&self) -> f64 {
        0.01
    }

    fn is_judged_by_answers(&self) -> bool {
        true
    }

    fn counts(&self, step: usize) -> bool {
        step + 1 == self.steps()
    }

    fn fill(&self, draw: Draw, input: &mut [f32], target: &mut [f32]) {
        let mut random = draw.sequence();
        let mut patterns = vec![-1.0; self.patterns * self.bits];
        for pattern in patterns.chunks_exact_mut(self.bits) {
            choose(&mut random, self.half(), pattern, 1.0);
        }
        let pattern = |k: usize| &patterns[k * self.bits..][..self.bits];
        let gain = self.gain as f32;
        let mut order: Vec<_> = (0..self.patterns).collect();
        let mut steps = input.chunks_exact_mut(self.bits);
        for _ in 0..self.cycles {
            shuffle(&mut random, &mut order);
            for &k in &order {
                for step in steps.by_ref().take(self.show) {
                    zip_eq(step, pattern(k)).for_each(|(input, bit)| *input = gain * bit);
                }
                steps.by_ref().take(self.gap).for_each(drop);
            }
        }
        let tested = pattern(random.below(self.patterns as u32) as usize);
        let mut cue = tested.to_vec();
        choose(&mut random, self.half(), &mut cue, 0.0);
        for step in steps {
            zip_eq(step, &cue).for_each(|(input, bit)| *input = gain * bit);
        }
        for target in target.chunks_exact_mut(self.bits) {
            target.copy_from_slice(tested);
        }
    }

    /// Of the bits that are zero in the input; of all, where none is.
    fn right(&self, input: &[f64], output: &[f64], target: &[f64]) -> f64 {
        let zeroed = |values: &[f64]| -> Vec<f64> {
            let pairs = zip_eq(values, input).filter(|(_, input)| **input == 0.0);
            pairs.map(|(value, _)| *value).collect()
        };
        match zeroed(output).as_slice() {
            [] => right_signs(output, target),
            some => right_signs(some, &zeroed(target)),
        }
    }

    fn recall_step(&self) -> Option<usize> {
        Some(self.steps() - 1)
    }

    /// Of bits.
    fn chance(&self) -> Option<f64> {
        Some(0.5)
    }

    fn paper(&self) -> Option<Paper> {
        Some(Paper::new(
            "Miconi, Stanley and Clune 2018",
            "https://arxiv.org/abs/1804.02464",
        ))
    }

    fn title(&self) -> String {
        "Pattern memory".to_owned()
    }

    fn summary(&self) -> String {
        "Remember patterns seen once or twice, and bring one back from half of it".to_owned()
    }

    fn account(&self) -> String {
        format!(
            "In every episode a recurrent network sees {} new random patterns of {} bits, then one of them without half of \
             its bits. It must bring back the other half, which only its traces can know.",
            self.patterns, self.bits
        )
    }

    fn input_name(&self, neuron: usize) -> String {
        format!("bit {}", neuron + 1)
    }

    fn output_name(&self, neuron: usize) -> String {
        format!("bit {}", neuron + 1)
    }

    fn settings(&self) -> Vec<TaskSetting> {
        let bits = "bits of a pattern, an even number";
        vec![
            TaskSetting::size("bits", self.bits, bits),
            TaskSetting::size("patterns", self.patterns, "patterns of an episode"),
            TaskSetting::size("cycles", self.cycles, "times that all patterns are shown"),
            TaskSetting::size("show", self.show, "steps for which a pattern is shown"),
            TaskSetting::size("gap", self.gap, "empty steps after each pattern"),
            TaskSetting::size("test", self.test, "steps for which half a pattern is shown"),
            TaskSetting::new("gain", self.gain, "what bits of ±1 are multiplied by"),
        ]
    }

    /// Where so many bits are asked for as the paper's larger one has, in the place of the smaller one, what is not given is as
    /// it is there.
    fn with_settings(&self, settings: &Table) -> Result<Arc<dyn Task>> {
        let large = Value::Integer(Self::LARGE.bits as i64);
        let is_large = *self == Self::SMALL && settings.get("bits") == Some(&large);
        let base = if is_large { &Self::LARGE } else { self };
        let mut sizes = Sizes::of(base, settings);
        let task = Self {
            bits: sizes.take("bits")?,
            patterns: sizes.take("patterns")?,
            cycles: sizes.take("cycles")?,
            show: sizes.take("show")?,
            gap: sizes.take("gap")?,
            test: sizes.take("test")?,
            gain: sizes.take_real("gain")?,
        };
        task.check()?;
        sizes.end(task)
    }

    /// The paper's network and settings. A plastic bias is the paper's one neuron more that a strong input holds at 1: what
    /// others hear of it is the same, but for the first step, when the paper's is still 0.
    fn setup(&self) -> Result<Setup> {
        let layer = Recurrent::new(self.bits, self.bits, Rate::learned(0.01))
            .identity_input()
            .activation(Activation::Tanh)
            .plastic_bias()
            .without_bias();
        let network = Network::new(self.loss(), [layer])?;
        // The smaller ones learn within a minute on two processor cores.
        let is_large = self.bits >= Self::LARGE.bits;
        let (population, episodes) = if is_large { (1, 2_000) } else { (20, 75_000) };
        let setup = Setup {
            population,
            ..Setup::new(network, Optimiser::adam(3e-4), episodes)
        };
        Ok(setup.initial(Initial {
            scale: 0.01,
            ..Initial::default()
        }))
    }
}

/// Sets `count` of the values, any of them as likely as any other.
fn choose(random: &mut Sequence, mut count: usize, values: &mut [f32], value: f32) {
    let all = values.len();
    for (index, place) in values.iter_mut().enumerate() {
        // So many of the places that are left are still to be set.
        if (random.below((all - index) as u32) as usize) < count {
            *place = value;
            count -= 1;
        }
    }
}

/// Puts values into any order, each as likely.
fn shuffle<T>(random: &mut Sequence, values: &mut [T]) {
    for last in (1..values.len()).rev() {
        values.swap(last, random.below(last as u32 + 1) as usize);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Purpose;
    use crate::tasks::EpisodeSource;

    /// Input and target of an episode of network `network`.
    fn episode(task: PatternMemory, seed: u64, network: usize, index: u32) -> [Vec<f32>; 2] {
        let source = EpisodeSource {
            task: Arc::new(task),
            seed,
            purpose: Purpose::Training,
            batch: 4,
            seeds: None,
            first: 0,
        };
        let size = task.steps() * task.bits;
        let [mut input, mut target] = [vec![0.0; size], vec![0.0; size]];
        source.fill(network, 5, index, &mut input, &mut target);
        [input, target]
    }

    fn count(values: &[f32], value: f32) -> usize {
        values.iter().filter(|other| **other == value).count()
    }

    #[test]
    fn episodes_have_the_papers_steps() {
        assert_eq!(PatternMemory::SMALL.steps(), 11);
        assert_eq!(PatternMemory::LARGE.steps(), 106);
        for task in [PatternMemory::SMALL, PatternMemory::LARGE] {
            assert_eq!(task.counted_steps(), 1);
            assert!(task.counts(task.steps() - 1));
        }
    }

    #[test]
    fn balanced_patterns_are_shown_and_one_comes_back_by_half() {
        let mut tested = [false; 5];
        let mut orders = Vec::new();
        let task = PatternMemory {
            bits: 20,
            ..PatternMemory::LARGE
        };
        for index in 0..40 {
            let [input, target] = episode(task, 3, 0, index);
            let steps: Vec<_> = input.chunks_exact(20).collect();
            let shown: Vec<_> = (0..10).map(|k| steps[10 * k]).collect();
            for (k, &pattern) in shown.iter().enumerate() {
                assert_eq!((count(pattern, 20.0), count(pattern, -20.0)), (10, 10));
                assert!((1..6).all(|t| steps[10 * k + t] == pattern));
                assert!((6..10).all(|t| count(steps[10 * k + t], 0.0) == 20));
                // Each once in either cycle.
                let (own, other) = (&shown[..5], &shown[5..]);
                assert!(own.contains(&pattern) && other.contains(&pattern));
            }
            let places = (0..5).map(|k| shown[5..].iter().position(|it| *it == shown[k]));
            orders.push(places.collect::<Vec<_>>());
            let cue = steps[100];
            assert!((100..106).all(|t| steps[t] == cue));
            assert_eq!(count(cue, 0.0), 10);
            let whole: Vec<f32> = target[..20].iter().map(|bit| 20.0 * bit).collect();
            assert!((0..20).all(|j| cue[j] == 0.0 || cue[j] == whole[j]));
            let which = shown[..5].iter().position(|pattern| *pattern == whole);
            tested[which.expect("it was shown")] = true;
            assert!(target.chunks_exact(20).all(|step| *step == target[..20]));
        }
        assert_eq!(tested, [true; 5]);
        orders.sort();
        orders.dedup();
        assert!(orders.len() > 20);
    }

    #[test]
    fn every_bit_is_as_likely_as_any_other() {
        let task = PatternMemory::SMALL;
        let (mut positive, mut zeroed) = ([0; 50], [0; 50]);
        for index in 0..2_000 {
            let [input, target] = episode(task, 9, 0, index);
            let cue = &input[10 * 50..];
            for j in 0..50 {
                positive[j] += usize::from(target[j] == 1.0);
                zeroed[j] += usize::from(cue[j] == 0.0);
            }
        }
        // Six standard deviations of 2,000 tosses.
        let is_near = |count: &usize| count.abs_diff(1_000) < 135;
        assert!(positive.iter().all(is_near), "{positive:?}");
        assert!(zeroed.iter().all(is_near), "{zeroed:?}");
    }

    #[test]
    fn network_n_of_a_seed_is_network_0_of_seed_plus_n() {
        let task = PatternMemory::SMALL;
        assert_eq!(episode(task, 3, 4, 1), episode(task, 7, 0, 1));
        assert_ne!(episode(task, 3, 4, 1), episode(task, 3, 4, 2));
        assert_ne!(episode(task, 3, 4, 1), episode(task, 3, 5, 1));
    }

    #[test]
    fn bits_that_are_shown_are_no_merit() {
        let task = PatternMemory::SMALL;
        let (input, target) = ([20.0, 0.0, 0.0, -20.0], [1.0, 1.0, -1.0, -1.0]);
        assert_eq!(task.right(&input, &[-1.0, 0.3, 0.2, 1.0], &target), 0.5);
        assert_eq!(task.right(&[20.0; 4], &[1.0, 0.3, 0.2, 1.0], &target), 0.5);
    }

    #[test]
    fn many_bits_have_the_papers_other_sizes_unless_they_are_given() {
        let sized = |text: &str| {
            let task = PatternMemory::SMALL.with_settings(&text.parse().unwrap());
            let task = task.unwrap();
            (task.inputs(), task.steps())
        };
        assert_eq!(sized("bits = 1000"), (1_000, 106));
        assert_eq!(sized("bits = 1000\ncycles = 1"), (1_000, 56));
        assert_eq!(sized("bits = 52\ngap = 0"), (52, 9));
    }

    #[test]
    fn sizes_out_of_range_are_named() {
        for (text, parts) in [
            ("bits = 51", ["task.bits", "even"]),
            ("bits = 0", ["task.bits", "0"]),
            ("bits = 65538", ["task.bits", "65538"]),
            ("patterns = 65", ["task.patterns", "65"]),
            ("patterns = -1", ["task.patterns", "-1"]),
            ("cycles = 0", ["task.cycles", "0"]),
            ("show = 0", ["task.show", "0"]),
            ("test = 0", ["task.test", "0"]),
            (
                "gap = 9223372036854775807",
                ["steps", "9223372036854775807"],
            ),
            ("cycles = 1048576", ["steps", "1048576"]),
            ("gain = nan", ["task.gain", "NaN"]),
            ("gain = 0", ["task.gain", "0"]),
            ("gain = 1e39", ["task.gain", "1000"]),
            ("gain = \"much\"", ["task.gain", "much"]),
            ("size = 3", ["task.size", "unknown"]),
        ] {
            let error = PatternMemory::SMALL.with_settings(&text.parse().unwrap());
            let error = error.unwrap_err().to_string();
            assert!(parts.iter().all(|part| error.contains(part)), "{error}");
        }
    }
}
