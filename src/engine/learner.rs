//! A population in training: parameters and optimiser state that stay on the engine's device.

use super::Engine;
use crate::cpu::CpuLearner;
#[cfg(feature = "gpu")]
use crate::gpu::GpuLearner;
use crate::task::EpisodeSource;
use crate::{Episodes, Error, Network, Optimiser, Parameters, Result, memory};
use std::ops::Range;

/// Why a network of a population stopped learning: its loss or a gradient was not finite. That update was skipped and
/// the network keeps the parameters it had.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Failure {
    /// Index of the network in the population.
    pub network: usize,
    /// Episodes that the network had seen before the batch that failed.
    pub episode: u64,
    /// The tensor that was not finite: `loss`, or `gradient.layer0.weight`, ….
    pub tensor: String,
}

/// A population of networks in training.
#[derive(Debug)]
pub struct Learner {
    engine: LearnerEngine,
}

#[derive(Debug)]
enum LearnerEngine {
    Cpu(Box<CpuLearner>),
    #[cfg(feature = "gpu")]
    Gpu(Box<GpuLearner>),
}

/// Calls the same method of whichever engine there is.
macro_rules! on_engine {
    ($self:expr, $learner:ident => $call:expr) => {
        match $self {
            LearnerEngine::Cpu($learner) => $call,
            #[cfg(feature = "gpu")]
            LearnerEngine::Gpu($learner) => $call,
        }
    };
}

impl Learner {
    pub(super) fn new(
        engine: &Engine,
        network: &Network,
        parameters: &Parameters<f32>,
        optimisers: &[Optimiser],
    ) -> Result<Self> {
        parameters.check(network)?;
        let population = parameters.population();
        if optimisers.len() != 1 && optimisers.len() != population {
            return Err(Error::setting(
                "optimisers",
                format!(
                    "{} given, expected 1 or one for each of the {population} networks",
                    optimisers.len()
                ),
            ));
        }
        for optimiser in optimisers {
            optimiser.check()?;
        }
        memory::require(
            "the optimisers' settings",
            population as u128 * size_of::<Optimiser>() as u128,
        )?;
        let optimisers: Vec<_> = optimisers
            .iter()
            .cloned()
            .cycle()
            .take(population)
            .collect();
        for (index, optimiser) in optimisers.iter().enumerate() {
            optimiser.check_start(index, parameters)?;
        }
        let engine = match engine {
            Engine::Cpu(_) => {
                LearnerEngine::Cpu(Box::new(CpuLearner::new(network, parameters, optimisers)?))
            }
            #[cfg(feature = "gpu")]
            Engine::Gpu(gpu) => LearnerEngine::Gpu(Box::new(GpuLearner::new(
                gpu, network, parameters, optimisers,
            )?)),
        };
        Ok(Self { engine })
    }

    /// One meta-step on the caller's episodes: forward, gradient, optimiser. Returns each network's loss.
    ///
    /// # Errors
    /// If the episodes do not fit the network or have no target, or the device fails. A loss or gradient that is not
    /// finite is no error: see [`Learner::failures`].
    pub fn step(&mut self, episodes: &Episodes<f32>) -> Result<Vec<f32>> {
        on_engine!(&mut self.engine, learner => learner.step(episodes))
    }

    /// One optimiser update with the caller's gradients.
    ///
    /// # Errors
    /// If the gradients belong to another network or population, or the device fails.
    pub fn apply(&mut self, gradients: &Parameters<f32>) -> Result<()> {
        on_engine!(&mut self.engine, learner => learner.apply(gradients))
    }

    /// Meta-steps `meta_steps` on episodes that the engine generates. Returns each network's loss per counted step,
    /// mean over all these episodes.
    ///
    /// # Errors
    /// If the task does not fit the network, or the device fails.
    pub fn train(&mut self, source: &EpisodeSource, meta_steps: Range<u32>) -> Result<Vec<f64>> {
        self.go_on(source, meta_steps.start, meta_steps, true)
    }

    /// As [`Learner::train`], with frozen parameters.
    ///
    /// # Errors
    /// As [`Learner::train`].
    pub fn evaluate(&mut self, source: &EpisodeSource, meta_steps: Range<u32>) -> Result<Vec<f64>> {
        self.go_on(source, meta_steps.start, meta_steps, false)
    }

    /// As [`Learner::train`] or, unless `learn`, [`Learner::evaluate`]; but the mean is over all episodes since meta-step
    /// `since`, where the calls before this one went from there without a gap. However many they were, the result is that
    /// of one call, bit for bit.
    pub(crate) fn go_on(
        &mut self,
        source: &EpisodeSource,
        since: u32,
        meta_steps: Range<u32>,
        learn: bool,
    ) -> Result<Vec<f64>> {
        on_engine!(&mut self.engine, learner => learner.run(source, since, meta_steps, learn))
    }

    /// The parameters as they are now, read from the device.
    ///
    /// # Errors
    /// If the device fails.
    pub fn parameters(&self) -> Result<Parameters<f32>> {
        on_engine!(&self.engine, learner => learner.parameters())
    }

    /// The networks that stopped learning because a loss or gradient was not finite, in order.
    ///
    /// # Errors
    /// If the device fails.
    pub fn failures(&self) -> Result<Vec<Failure>> {
        on_engine!(&self.engine, learner => learner.failures())
    }
}
