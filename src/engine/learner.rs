//! A population in training: parameters and optimiser state that stay on the engine's device.

use super::changes::Changes;
use super::dispatch::Engine;
use super::optimisers::one_for_each;
use crate::computation::{Failure, Held, LearnerBackend, TrainingState};
use crate::cpu::CpuLearner;
use crate::episodes::{Episodes, Objective};
use crate::error::{Error, Result};
#[cfg(feature = "gpu")]
use crate::gpu::GpuLearner;
use crate::network::Network;
use crate::number::{PerPrecision, Real};
use crate::optimiser::Optimiser;
use crate::parameters::{Layout, Parameters};
use crate::tasks::EpisodeSource;
use std::marker::PhantomData;
use std::ops::Range;
use std::sync::Arc;

/// A population of networks in training. Its calls may come in any order, with batches of any size. Once the device has failed
/// in the middle of one, networks may be at different meta-steps: what can be read can still be read, but every further
/// change is refused with [`Error::Unfinished`].
#[derive(Debug)]
pub struct Learner<R: Real = f32> {
    network: Network,
    layout: Arc<Layout>,
    population: usize,
    backend: Box<dyn LearnerBackend<R>>,
    changes: Changes,
}

/// Episodes that an engine keeps for a learner, in the form that it computes on ([`Learner::hold`]).
#[derive(Debug)]
pub struct HeldEpisodes<R: Real = f32> {
    held: Held,
    network: Network,
    population: usize,
    precision: PhantomData<R>,
}

/// [`Engine::learner`] in one precision.
struct Open;

impl PerPrecision for Open {
    type Of<R: Real> =
        fn(&Engine, &Network, &Parameters<R>, Vec<Optimiser>) -> Result<Box<dyn LearnerBackend<R>>>;
}

fn open_in_single(
    engine: &Engine,
    network: &Network,
    parameters: &Parameters<f32>,
    optimisers: Vec<Optimiser>,
) -> Result<Box<dyn LearnerBackend<f32>>> {
    Ok(match engine {
        Engine::Cpu(cpu) => Box::new(CpuLearner::new(cpu, network, parameters, optimisers)?),
        #[cfg(feature = "gpu")]
        Engine::Gpu(gpu) => Box::new(GpuLearner::new(gpu, network, parameters, optimisers)?),
        Engine::Several(several) => {
            several.learner(open_in_single, network, parameters, optimisers)?
        }
    })
}

fn open_in_double(
    engine: &Engine,
    network: &Network,
    parameters: &Parameters<f64>,
    optimisers: Vec<Optimiser>,
) -> Result<Box<dyn LearnerBackend<f64>>> {
    Ok(match engine {
        Engine::Cpu(cpu) => Box::new(CpuLearner::new(cpu, network, parameters, optimisers)?),
        #[cfg(feature = "gpu")]
        Engine::Gpu(_) => return Err(super::dispatch::single_precision_only()),
        Engine::Several(several) => {
            several.learner(open_in_double, network, parameters, optimisers)?
        }
    })
}

impl Engine {
    /// Takes `parameters` to the device and keeps them there, with the optimiser's state, to be trained.
    ///
    /// `optimisers` holds one optimiser for the whole population, or one for each of its networks.
    ///
    /// # Errors
    /// If the parameters do not fit the network, an optimiser's setting is out of range, or memory is short. The GPU engine
    /// computes in `f32` only.
    pub fn learner<R: Real>(
        &self,
        network: &Network,
        parameters: &Parameters<R>,
        optimisers: &[Optimiser],
    ) -> Result<Learner<R>> {
        Learner::new(self, network, parameters, optimisers)
    }
}

impl<R: Real> Learner<R> {
    fn new(
        engine: &Engine,
        network: &Network,
        parameters: &Parameters<R>,
        optimisers: &[Optimiser],
    ) -> Result<Self> {
        parameters.check(network)?;
        let optimisers = one_for_each(optimisers, parameters)?;
        let open = R::choose::<Open>(open_in_single, open_in_double);
        Ok(Self {
            backend: open(engine, network, parameters, optimisers)?,
            network: network.clone(),
            layout: parameters.shared_layout().clone(),
            population: parameters.population(),
            changes: Changes::default(),
        })
    }

    /// One meta-step on the caller's episodes: forward, gradient, optimiser. Returns each network's loss.
    ///
    /// # Errors
    /// If the episodes do not fit the network or have no target, or the device fails. A loss or gradient that is not
    /// finite is no error: see [`Learner::failures`].
    pub fn step(&mut self, episodes: &Episodes<'_, R>) -> Result<Vec<R>> {
        require_batch(&self.network, self.population, episodes)?;
        self.change(|backend| backend.step(episodes))
    }

    /// One meta-step on each of the caller's batches, one after the other: the bits of [`Learner::step`] on each. On a GPU the
    /// next batch is asked for and made ready while the device computes on the one before, and nothing comes back in
    /// between. Returns each network's loss, mean over all batches.
    ///
    /// # Errors
    /// As [`Learner::step`], or if there is no batch. Where a batch is refused, those before it have been learned.
    pub fn train_on<'a>(
        &mut self,
        batches: impl IntoIterator<Item = Episodes<'a, R>>,
    ) -> Result<Vec<f64>>
    where
        R: 'a,
    {
        let (network, population) = (self.network.clone(), self.population);
        let (mut count, mut refused) = (0u64, None);
        let mut fitting = batches.into_iter().map_while(|episodes| {
            refused = require_batch(&network, population, &episodes).err();
            let fits = refused.is_none();
            count += u64::from(fits);
            fits.then_some(episodes)
        });
        let sums = self.change(|backend| backend.steps(&mut fitting))?;
        match (refused, count) {
            (Some(error), _) => Err(error),
            (None, 0) => Err(Error::ZeroSize {
                field: "batches".into(),
            }),
            _ => Ok(sums.into_iter().map(|sum| sum / count as f64).collect()),
        }
    }

    /// Takes episodes to the engine's device and keeps them there, to be used for many meta-steps.
    ///
    /// # Errors
    /// As [`Learner::step`], or if memory is short.
    pub fn hold(&mut self, episodes: &Episodes<'_, R>) -> Result<HeldEpisodes<R>> {
        require_batch(&self.network, self.population, episodes)?;
        Ok(HeldEpisodes {
            held: self.change(|backend| backend.hold(episodes))?,
            network: self.network.clone(),
            population: self.population,
            precision: PhantomData,
        })
    }

    /// One meta-step on episodes that are on the device: the bits of [`Learner::step`] on them. Returns each network's loss.
    ///
    /// # Errors
    /// If they are held for another network, on another engine or within another profile, or for groups of networks that a larger
    /// batch has split since (hold them again), or the device fails.
    pub fn step_on(&mut self, held: &HeldEpisodes<R>) -> Result<Vec<R>> {
        if (&held.network, held.population) != (&self.network, self.population) {
            return Err(Error::setting(
                "episodes",
                "held for another network, or for another number of networks",
            ));
        }
        self.change(|backend| backend.step_on(&held.held))
    }

    /// One optimiser update with the caller's gradients.
    ///
    /// # Errors
    /// If the gradients belong to another network or population, or the device fails.
    pub fn apply(&mut self, gradients: &Parameters<R>) -> Result<()> {
        gradients.check_shape("gradients", &self.layout, self.population)?;
        self.change(|backend| backend.apply(gradients))
    }

    /// Meta-steps `meta_steps` on episodes that the engine generates. Returns each network's loss per counted step,
    /// mean over all these episodes.
    ///
    /// # Errors
    /// If the task does not fit the network, the range is empty, or the device fails.
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
    /// of one call, bit for bit. So a program can stop for a moment between parts of a long call.
    ///
    /// # Errors
    /// As [`Learner::train`].
    pub fn go_on(
        &mut self,
        source: &EpisodeSource,
        since: u32,
        meta_steps: Range<u32>,
        learn: bool,
    ) -> Result<Vec<f64>> {
        source.check(&self.network)?;
        if meta_steps.is_empty() {
            return Err(Error::setting(
                "meta_steps",
                format!("{meta_steps:?} has none, expected at least 1"),
            ));
        }
        self.change(|backend| backend.run(source, since, meta_steps, learn))
    }

    /// A call that may change what is on the device.
    fn change<T>(
        &mut self,
        call: impl FnOnce(&mut dyn LearnerBackend<R>) -> Result<T>,
    ) -> Result<T> {
        self.changes.require_finished()?;
        let result = call(&mut *self.backend);
        let under_way = self.backend.population().is_under_way();
        self.changes.note(&result, under_way);
        result
    }

    /// The parameters as they are now, read from the device.
    ///
    /// # Errors
    /// If the device fails.
    pub fn parameters(&self) -> Result<Parameters<R>> {
        self.backend.population().parameters()
    }

    /// The networks that stopped learning because a loss or gradient was not finite, in order.
    ///
    /// # Errors
    /// If the device fails.
    pub fn failures(&self) -> Result<Vec<Failure>> {
        self.backend.population().failures()
    }

    /// Everything that the population is now. A learner of the same network, population and optimisers goes on from there, with
    /// the same bits on the same engine and device.
    ///
    /// # Errors
    /// If memory is short or the device fails.
    pub fn state(&self) -> Result<TrainingState<R>> {
        self.backend.population().state()
    }

    /// Goes on from `state`.
    ///
    /// # Errors
    /// If it is one of another network or population or not finite, or the device fails.
    pub fn set_state(&mut self, state: &TrainingState<R>) -> Result<()> {
        state.check(&self.layout, self.population)?;
        self.change(|backend| backend.population_mut().set_state(state))
    }
}

/// Fails unless a meta-step can be made of the episodes.
fn require_batch<R: Real>(
    network: &Network,
    population: usize,
    episodes: &Episodes<'_, R>,
) -> Result<()> {
    episodes.check(network, population)?;
    match &episodes.objective {
        Objective::Target { .. } => Ok(()),
        _ => Err(Error::objective(
            "objective",
            "no target, but a meta-step learns from the network's loss; gradients of another objective go to `apply`",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::{Activation, Layer, Loss, Plastic, Rate};
    use crate::parameters::Initial;
    use crate::random::Purpose;
    use crate::tasks::{Association, Task};
    use ndarray::Array4;

    #[test]
    fn nothing_goes_on_where_the_device_failed() {
        let layer = Layer::from(Plastic::new(3, 2, Rate::fixed(0.1)).activation(Activation::Tanh));
        let network = Network::new(Loss::SquaredError, [layer]).unwrap();
        let parameters = Parameters::<f32>::new(&network, 1).unwrap();
        let optimisers = [Optimiser::sgd(0.1, 0.0)];
        let mut learner = Engine::cpu()
            .learner(&network, &parameters, &optimisers)
            .unwrap();
        let episodes = Episodes::new(Array4::ones((1, 2, 3, 3)));
        let episodes = episodes.with_target(Array4::ones((1, 2, 3, 2)));
        // A refusal leaves everything as it was, a failure does not.
        let memory = Error::Memory {
            what: "an array".into(),
            requested: 2,
            available: 1,
        };
        let refused = Error::Device {
            device: "a device".into(),
            operation: "allocating 4 bytes".into(),
            reason: "there are none".into(),
        };
        let lost = Error::DeviceLost {
            device: "a device".into(),
            reason: "it was taken away".into(),
        };
        learner.change(|_| Err::<(), _>(memory)).unwrap_err();
        learner.change(|_| Err::<(), _>(refused)).unwrap_err();
        learner.step(&episodes).unwrap();
        learner.change(|_| Err::<(), _>(lost)).unwrap_err();
        let error = learner.step(&episodes).unwrap_err();
        assert!(matches!(error, Error::Unfinished { .. }), "{error}");
        assert!(error.to_string().contains("a device"), "{error}");
        learner.apply(&parameters).unwrap_err();
        learner.parameters().unwrap();
        assert_eq!(learner.failures().unwrap(), []);
    }

    #[test]
    fn the_mean_of_a_report_goes_on_from_a_state() {
        let task = Association::ONE_SHOT;
        let network = Network::new(
            task.loss(),
            [Layer::from(
                Plastic::new(task.inputs(), task.outputs(), Rate::learned(0.1))
                    .activation(Activation::Tanh),
            )],
        );
        let (network, optimisers) = (network.unwrap(), [Optimiser::adam(0.01)]);
        let initial = Initial::default();
        let parameters = Parameters::<f32>::initialise(&network, &initial, 2, 0).unwrap();
        let open = || {
            Engine::cpu()
                .learner(&network, &parameters, &optimisers)
                .unwrap()
        };
        let source = EpisodeSource {
            task: Arc::new(task),
            seed: 1,
            purpose: Purpose::Training,
            batch: 3,
            seeds: None,
            first: 0,
        };
        let whole = open().train(&source, 4..10).unwrap();
        let mut first = open();
        first.go_on(&source, 4, 4..7, true).unwrap();
        let mut second = open();
        second.set_state(&first.state().unwrap()).unwrap();
        let mean = second.go_on(&source, 4, 7..10, true).unwrap();
        assert_eq!(mean, whole);
    }
}
