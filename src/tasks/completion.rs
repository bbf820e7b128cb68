//! Pattern completion (Miconi 2016).

use super::draw::{DRAWS, Draw};
use super::pattern::{MAX_BITS, check_bits, sign, signs};
use super::sizes::Sizes;
use super::task::{Paper, Setup, Task, TaskKernel, TaskSetting};
use crate::error::Result;
use crate::network::{Activation, Bias, Layer, Loss, Network, Plastic, Rate};
use crate::optimiser::{Optimiser, Schedule};
use std::sync::Arc;
use toml::Table;

/// Pattern completion: step 0 shows a pattern of ±1, step 1 one random bit of it and zeros; the target at step 1 is the
/// whole pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Completion {
    bits: usize,
}

impl Completion {
    /// With the paper's sizes: 8 bits.
    pub const PAPER: Self = Self { bits: 8 };

    /// With patterns of `bits` bits, which are also the inputs and outputs of the network.
    ///
    /// # Errors
    /// If there is no bit, or more than [`MAX_BITS`].
    pub fn new(bits: usize) -> Result<Self> {
        check_bits(bits)?;
        Ok(Self { bits })
    }

    /// The bit that a random word chooses.
    fn shown(&self, choice: u32) -> usize {
        (((choice >> 16) * self.bits as u32) >> 16) as usize
    }
}

impl Task for Completion {
    fn name(&self) -> &str {
        "completion"
    }

    fn inputs(&self) -> usize {
        self.bits
    }

    fn outputs(&self) -> usize {
        self.bits
    }

    fn steps(&self) -> usize {
        2
    }

    fn loss(&self) -> Loss {
        Loss::SquaredError
    }

    fn solved_below(&self) -> f64 {
        0.1
    }

    fn counts(&self, step: usize) -> bool {
        step == 1
    }

    fn fill(&self, draw: Draw, input: &mut [f32], target: &mut [f32]) {
        let pattern = draw.words(0, 0);
        let shown = self.shown(draw.words(1, 0)[0]);
        let (first, second) = input.split_at_mut(self.bits);
        for j in 0..self.bits {
            first[j] = sign(&pattern, j);
            second[j] = if j == shown { first[j] } else { 0.0 };
        }
        for target in target.chunks_exact_mut(self.bits) {
            target.copy_from_slice(first);
        }
    }

    fn fill_side_by_side(&self, draws: &[Draw], input: &mut [f32], target: &mut [f32]) {
        let size = self.bits * draws.len();
        let (first, second) = input.split_at_mut(size);
        second.fill(0.0);
        for (number, some) in draws.chunks(DRAWS).enumerate() {
            let patterns = Draw::words_of_each(some, 0, 0);
            for (j, signs_of_bit) in first.chunks_exact_mut(draws.len()).enumerate() {
                signs(
                    &patterns,
                    j,
                    &mut signs_of_bit[number * DRAWS..][..some.len()],
                );
            }
            let [choices, ..] = Draw::words_of_each(some, 1, 0);
            for (n, &choice) in choices.iter().enumerate().take(some.len()) {
                let at = self.shown(choice) * draws.len() + number * DRAWS + n;
                second[at] = first[at];
            }
        }
        for target in target.chunks_exact_mut(size) {
            target.copy_from_slice(first);
        }
    }

    /// Of bits.
    fn chance(&self) -> Option<f64> {
        Some(0.5)
    }

    fn paper(&self) -> Option<Paper> {
        Some(Paper::MICONI_2016)
    }

    fn title(&self) -> String {
        "Pattern completion".to_owned()
    }

    fn summary(&self) -> String {
        "Complete a pattern seen once from one of its bits".to_owned()
    }

    fn account(&self) -> String {
        format!(
            "In every episode a network sees a new random pattern of {} bits for one step, then one bit of it alone. From \
             that bit it must bring back the whole pattern, which only its traces can know.",
            self.bits
        )
    }

    fn input_name(&self, neuron: usize) -> String {
        format!("bit {}", neuron + 1)
    }

    fn output_name(&self, neuron: usize) -> String {
        format!("bit {}", neuron + 1)
    }

    fn settings(&self) -> Vec<TaskSetting> {
        let account = format!("bits of a pattern, at most {MAX_BITS}");
        vec![TaskSetting::size("bits", self.bits, account)]
    }

    fn with_settings(&self, settings: &Table) -> Result<Arc<dyn Task>> {
        let mut sizes = Sizes::of(self, settings);
        let task = Self::new(sizes.take("bits")?)?;
        sizes.end(task)
    }

    fn setup(&self) -> Result<Setup> {
        let bits = self.bits;
        let layers = [
            Layer::from(Plastic::new(bits, bits, Rate::fixed(0.5)).activation(Activation::Tanh)),
            Layer::from(Bias::new(bits)),
        ];
        let network = Network::new(self.loss(), layers)?;
        let optimiser = Optimiser {
            max_step: Some(0.1),
            l1: 1e-3,
            l2: 1e-4,
            ..Optimiser::rmsprop(0.03)
        };
        Ok(Setup::new(network, optimiser, 5_000))
    }

    /// No penalties, and a cosine schedule.
    fn reliable_setup(&self) -> Option<Result<Setup>> {
        let reliable = |setup: Setup| Setup {
            optimiser: Optimiser {
                schedule: Schedule::Cosine {
                    updates: setup.updates(),
                    floor: 0.0,
                },
                l1: 0.0,
                l2: 0.0,
                ..setup.optimiser
            },
            ..setup
        };
        Some(self.setup().map(reliable))
    }

    fn kernel(&self) -> Option<TaskKernel> {
        Some(TaskKernel {
            template: include_str!("../../shaders/tasks/completion.wgsl").into(),
            values: vec![("bits".into(), self.bits as u32)],
            words: 2,
            turns: 0,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::episodes::Objective;
    use crate::random::Purpose;
    use crate::tasks::EpisodeSource;
    use ndarray::s;

    #[test]
    fn completion_shows_one_bit() {
        let source = EpisodeSource {
            task: Arc::new(Completion::PAPER),
            seed: 3,
            purpose: Purpose::Training,
            batch: 40,
            seeds: None,
            first: 0,
        };
        let episodes = source.episodes(1, 0).unwrap();
        let Objective::Target { target, .. } = &episodes.objective else {
            unreachable!()
        };
        let mut seen = [false; 8];
        for b in 0..40 {
            let x = episodes.input.slice(s![0, b, .., ..]);
            let shown: Vec<usize> = (0..8).filter(|&j| x[[1, j]] != 0.0).collect();
            assert_eq!(shown.len(), 1);
            seen[shown[0]] = true;
            assert_eq!(x[[1, shown[0]]], x[[0, shown[0]]]);
            assert_eq!(x.row(0), target.slice(s![0, b, 1, ..]));
        }
        assert_eq!(seen, [true; 8]);
        assert_eq!(Completion::PAPER.counted_steps(), 1);
    }
}
