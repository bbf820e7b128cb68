//! Environments: episodes whose next input depends on the network's last output.

use super::draw::Draw;
use crate::number::Real;
use crate::random::{self, Purpose};
use std::ops::ControlFlow;

/// Episodes in a closed loop: what a network does decides what it sees next.
///
/// [`Session::act`](crate::engine::Session::act) runs a whole population through a batch of them;
/// `examples/environment.rs` has one. Episodes run in parallel and know nothing of each other: what is random in one is a
/// function of its [`Draw`] alone.
pub trait Environment<R: Real = f32>: Sync {
    /// One episode under way.
    type Episode: Send;

    /// Presynaptic neurons `I` that a network for this environment has.
    fn inputs(&self) -> usize;

    /// Postsynaptic neurons `O` that a network for this environment has.
    fn outputs(&self) -> usize;

    /// The most steps of an episode `T`.
    fn steps(&self) -> usize;

    /// Begins an episode and writes its first input, `[I]`, which is zero before.
    fn begin(&self, draw: Draw, input: &mut [R]) -> Self::Episode;

    /// Takes the output of a step, `[O]`, and writes the next input, `[I]`, which is zero before; or ends the episode. With
    /// the last of [`Environment::steps`] it ends in any case.
    fn respond(
        &self,
        episode: &mut Self::Episode,
        output: &[R],
        input: &mut [R],
    ) -> ControlFlow<()>;

    /// The loss of an episode that has ended, and its gradient on the outputs, which is zero before. Both `outputs` and
    /// `gradient` are `[T, O]`, of the steps that the episode had.
    ///
    /// The gradient reaches the parameters through the outputs, with every input as it was. What an output does to later
    /// inputs belongs into this gradient as far as the environment's own rule tells it.
    fn end(&self, episode: Self::Episode, outputs: &[R], gradient: &mut [R]) -> R;
}

/// Whose random words, and for what: those of a population whose network `n` has the seed `seed + n`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Draws {
    /// Seed of network 0.
    pub seed: u64,
    /// What the episodes are for.
    pub purpose: Purpose,
}

impl Draws {
    /// For training.
    pub fn training(seed: u64) -> Self {
        Self {
            seed,
            purpose: Purpose::Training,
        }
    }

    /// For an evaluation: none of the words of training.
    pub fn evaluation(seed: u64) -> Self {
        Self {
            seed,
            purpose: Purpose::Evaluation,
        }
    }

    /// Those of one episode: number `episode` of the batch of network `network` at a meta-step.
    pub fn draw(&self, network: usize, meta_step: u32, episode: u32) -> Draw {
        Draw::new(self.key(network), meta_step, episode)
    }

    /// The key of network `network`'s episodes.
    pub(super) fn key(&self, network: usize) -> [u32; 4] {
        random::key(self.seed.wrapping_add(network as u64), self.purpose)
    }
}
