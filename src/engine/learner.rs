//! A population in training: parameters and optimiser state that stay on the engine's device.

use super::dispatch::Engine;
use crate::computation::Failure;
use crate::cpu::CpuLearner;
use crate::episodes::{Episodes, Objective};
use crate::error::{Error, Result};
#[cfg(feature = "gpu")]
use crate::gpu::GpuLearner;
use crate::memory;
use crate::network::Network;
use crate::number::{PerPrecision, Real};
use crate::optimiser::Optimiser;
use crate::parameters::{Layout, Parameters};
use crate::tasks::EpisodeSource;
use std::fmt::Debug;
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
    engine: Box<dyn Backend<R>>,
    /// What the device said when it failed in the middle of a call, if it did.
    unfinished: Option<String>,
}

/// What an engine does of a learner.
trait Backend<R: Real>: Debug + Send {
    fn step(&mut self, episodes: &Episodes<'_, R>) -> Result<Vec<R>>;
    fn apply(&mut self, gradients: &Parameters<R>) -> Result<()>;
    fn run(
        &mut self,
        source: &EpisodeSource,
        since: u32,
        meta_steps: Range<u32>,
        learn: bool,
    ) -> Result<Vec<f64>>;
    /// Whether a call failed when it had begun to change something.
    fn is_under_way(&self) -> bool;
    fn parameters(&self) -> Result<Parameters<R>>;
    fn failures(&self) -> Result<Vec<Failure>>;
}

/// The methods of a [`Backend`] are those of the engine's learner by the same names.
macro_rules! backend {
    ($learner:ty, $real:ident $(, $generic:ident)?) => {
        impl$(<$generic: Real>)? Backend<$real> for $learner {
            fn step(&mut self, episodes: &Episodes<'_, $real>) -> Result<Vec<$real>> {
                self.step(episodes)
            }

            fn apply(&mut self, gradients: &Parameters<$real>) -> Result<()> {
                self.apply(gradients)
            }

            fn run(
                &mut self,
                source: &EpisodeSource,
                since: u32,
                meta_steps: Range<u32>,
                learn: bool,
            ) -> Result<Vec<f64>> {
                self.run(source, since, meta_steps, learn)
            }

            fn is_under_way(&self) -> bool {
                self.is_under_way()
            }

            fn parameters(&self) -> Result<Parameters<$real>> {
                self.parameters()
            }

            fn failures(&self) -> Result<Vec<Failure>> {
                self.failures()
            }
        }
    };
}

backend!(CpuLearner<R>, R, R);
#[cfg(feature = "gpu")]
backend!(GpuLearner, f32);

/// [`Engine::learner`] in one precision.
struct Open;

impl PerPrecision for Open {
    type Of<R: Real> =
        fn(&Engine, &Network, &Parameters<R>, Vec<Optimiser>) -> Result<Box<dyn Backend<R>>>;
}

fn open_in_single(
    engine: &Engine,
    network: &Network,
    parameters: &Parameters<f32>,
    optimisers: Vec<Optimiser>,
) -> Result<Box<dyn Backend<f32>>> {
    Ok(match engine {
        Engine::Cpu(_) => Box::new(CpuLearner::new(network, parameters, optimisers)?),
        #[cfg(feature = "gpu")]
        Engine::Gpu(gpu) => Box::new(GpuLearner::new(gpu, network, parameters, optimisers)?),
    })
}

fn open_in_double(
    engine: &Engine,
    network: &Network,
    parameters: &Parameters<f64>,
    optimisers: Vec<Optimiser>,
) -> Result<Box<dyn Backend<f64>>> {
    Ok(match engine {
        Engine::Cpu(_) => Box::new(CpuLearner::new(network, parameters, optimisers)?),
        #[cfg(feature = "gpu")]
        Engine::Gpu(_) => return Err(super::dispatch::single_precision_only()),
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
            optimiser.check_parameters(parameters.layout())?;
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
        let open = R::choose::<Open>(open_in_single, open_in_double);
        let engine = open(engine, network, parameters, optimisers)?;
        Ok(Self {
            network: network.clone(),
            layout: parameters.shared_layout().clone(),
            population,
            engine,
            unfinished: None,
        })
    }

    /// One meta-step on the caller's episodes: forward, gradient, optimiser. Returns each network's loss.
    ///
    /// # Errors
    /// If the episodes do not fit the network or have no target, or the device fails. A loss or gradient that is not
    /// finite is no error: see [`Learner::failures`].
    pub fn step(&mut self, episodes: &Episodes<'_, R>) -> Result<Vec<R>> {
        episodes.check(&self.network, self.population)?;
        if !matches!(episodes.objective, Objective::Target { .. }) {
            return Err(Error::objective(
                "objective",
                "no target, but a meta-step learns from the network's loss; gradients of another objective go to `apply`",
            ));
        }
        self.change(|engine| engine.step(episodes))
    }

    /// One optimiser update with the caller's gradients.
    ///
    /// # Errors
    /// If the gradients belong to another network or population, or the device fails.
    pub fn apply(&mut self, gradients: &Parameters<R>) -> Result<()> {
        gradients.check_shape("gradients", &self.layout, self.population)?;
        self.change(|engine| engine.apply(gradients))
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
    /// of one call, bit for bit.
    pub(crate) fn go_on(
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
        self.change(|engine| engine.run(source, since, meta_steps, learn))
    }

    /// A call that may change what is on the device. After one that failed when something had changed there is no other.
    fn change<T>(&mut self, call: impl FnOnce(&mut dyn Backend<R>) -> Result<T>) -> Result<T> {
        if let Some(reason) = &self.unfinished {
            return Err(Error::Unfinished {
                reason: reason.clone(),
            });
        }
        let result = call(&mut *self.engine);
        let under_way = self.engine.is_under_way();
        match &result {
            Err(error) if under_way || matches!(error, Error::DeviceLost { .. }) => {
                self.unfinished = Some(error.to_string());
            }
            _ => {}
        }
        result
    }

    /// The parameters as they are now, read from the device.
    ///
    /// # Errors
    /// If the device fails.
    pub fn parameters(&self) -> Result<Parameters<R>> {
        self.engine.parameters()
    }

    /// The networks that stopped learning because a loss or gradient was not finite, in order.
    ///
    /// # Errors
    /// If the device fails.
    pub fn failures(&self) -> Result<Vec<Failure>> {
        self.engine.failures()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::{Activation, Layer, Loss, Plastic, Rate};
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
}
