//! [`Engine`], and its calls on whole episodes.

use super::devices::DEVICES;
#[cfg(feature = "gpu")]
use super::devices::devices;
use crate::computation::{Exchange, Gradients, LearnerBackend, Outcome, Request, Want};
use crate::cpu::Cpu;
use crate::episodes::Episodes;
#[cfg(feature = "gpu")]
use crate::error::Error;
use crate::error::Result;
#[cfg(feature = "gpu")]
use crate::gpu::Gpu;
use crate::network::Network;
use crate::number::{PerPrecision, Real};
use crate::optimiser::Optimiser;
use crate::parameters::Parameters;
use std::fmt;
use std::sync::Arc;

/// An engine that computes on a population of networks.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Engine {
    /// The built-in multi-threaded engine.
    Cpu(Cpu),
    /// A GPU, through compute shaders.
    #[cfg(feature = "gpu")]
    Gpu(Gpu),
    /// Several of one kind, which train populations together.
    Several(Several),
}

/// Engines that train populations together: the GPUs of a machine, say, or those of several processes
/// ([`ranks`](crate::ranks)). A [`Learner`](super::Learner) spreads the networks over them, and has the bits of one engine,
/// whichever of these has a network. All else is computed on the first.
#[derive(Clone, Debug)]
pub struct Several {
    /// Of this process, at least one.
    pub(super) here: Arc<[Engine]>,
    /// Of others.
    pub(super) there: Vec<Arc<dyn Elsewhere>>,
    /// What ties the processes, so that they can share batches.
    pub(super) exchange: Option<Arc<dyn Exchange>>,
}

/// An engine of another process, which opens learners.
pub(crate) trait Elsewhere: fmt::Debug + Send + Sync {
    /// Where batches are shared, every process has all the networks.
    fn open_single(
        self: Arc<Self>,
        network: &Network,
        parameters: &Parameters<f32>,
        optimisers: Vec<Optimiser>,
        shares_batches: bool,
    ) -> Result<Box<dyn LearnerBackend<f32>>>;

    /// The same in `f64`.
    fn open_double(
        self: Arc<Self>,
        network: &Network,
        parameters: &Parameters<f64>,
        optimisers: Vec<Optimiser>,
        shares_batches: bool,
    ) -> Result<Box<dyn LearnerBackend<f64>>>;
}

impl Several {
    /// The engine that computes what is not shared.
    pub fn first(&self) -> &Engine {
        &self.here[0]
    }

    /// The engines of this process.
    pub fn here(&self) -> &[Engine] {
        &self.here
    }

    /// Engines of other processes.
    pub fn elsewhere(&self) -> usize {
        self.there.len()
    }

    /// The names of this process's devices, joined by ` + `.
    pub(super) fn device(&self) -> String {
        let names: Vec<_> = self.here.iter().map(Engine::device).collect();
        names.join(DEVICES)
    }
}

impl Engine {
    /// The CPU engine.
    pub fn cpu() -> Self {
        Self::Cpu(Cpu::new())
    }

    /// The GPU engine on the best hardware adapter, or on the one that `device` asks for: digits are an index in the list
    /// of adapters, anything else is a part of the name, in any case, of which the first is taken. Indices with commas
    /// between them (`0,1`), or names as [`Engine::device`] joins them (`A + B`), are several adapters that train populations
    /// together.
    ///
    /// A software adapter is used only when asked for. An empty `device` asks for none.
    ///
    /// # Errors
    /// If no adapter fits, or the program was built without the GPU engine.
    pub fn gpu(device: Option<&str>) -> Result<Self> {
        #[cfg(feature = "gpu")]
        return match device.and_then(devices) {
            None => Ok(Self::Gpu(Gpu::new(device)?)),
            Some(devices) => {
                let members = devices.iter().map(|device| Gpu::new(Some(device)));
                let members: Result<Vec<_>> = members.map(|gpu| gpu.map(Self::Gpu)).collect();
                Self::several(members?)
            }
        };
        #[cfg(not(feature = "gpu"))]
        {
            let _ = device;
            Err(crate::error::Error::NoGpuSupport)
        }
    }

    /// `"cpu"` or `"gpu"`.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Cpu(_) => "cpu",
            #[cfg(feature = "gpu")]
            Self::Gpu(_) => "gpu",
            Self::Several(several) => several.first().kind(),
        }
    }

    /// The device's name, as a person would know it.
    pub fn device(&self) -> String {
        match self {
            Self::Cpu(cpu) => cpu.device(),
            #[cfg(feature = "gpu")]
            Self::Gpu(gpu) => gpu.device().to_owned(),
            Self::Several(several) => several.device(),
        }
    }

    /// Runs the episodes forward. Of `want`, the traces after the last step; there is no gradient.
    ///
    /// # Errors
    /// If an array does not fit the network or is not finite, memory is short, or the device fails. The GPU engine
    /// computes in `f32` only.
    pub fn forward<R: Real>(
        &self,
        network: &Network,
        parameters: &Parameters<R>,
        episodes: &Episodes<R>,
        want: Want,
    ) -> Result<Outcome<R>> {
        let compute = R::choose::<Compute>(compute_in_single, compute_in_double);
        let gradients = compute(self, network, parameters, episodes, want, false)?;
        Ok(gradients.outcome)
    }

    /// Runs the episodes forward and takes the gradient of their objective, per network: every learned parameter and
    /// every given initial trace, and the input if `want` says so.
    ///
    /// # Errors
    /// As [`Engine::forward`].
    pub fn gradient<R: Real>(
        &self,
        network: &Network,
        parameters: &Parameters<R>,
        episodes: &Episodes<R>,
        want: Want,
    ) -> Result<Gradients<R>> {
        let compute = R::choose::<Compute>(compute_in_single, compute_in_double);
        compute(self, network, parameters, episodes, want, true)
    }
}

/// [`Engine::forward`] or, if the last argument says so, [`Engine::gradient`] in one precision.
struct Compute;

impl PerPrecision for Compute {
    type Of<R: Real> =
        fn(&Engine, &Network, &Parameters<R>, &Episodes<R>, Want, bool) -> Result<Gradients<R>>;
}

// These two are compiled once, in this crate: a program that calls the generic functions would compile all kernels again.

#[inline(never)]
fn compute_in_single(
    engine: &Engine,
    network: &Network,
    parameters: &Parameters<f32>,
    episodes: &Episodes<f32>,
    want: Want,
    gradient: bool,
) -> Result<Gradients<f32>> {
    check(network, parameters, episodes)?;
    let request = Request::on(network, episodes, want, gradient);
    match engine {
        Engine::Cpu(cpu) => cpu.compute(network, parameters, episodes, request),
        #[cfg(feature = "gpu")]
        Engine::Gpu(gpu) => gpu.compute(network, parameters, episodes, request),
        Engine::Several(several) => compute_in_single(
            several.first(),
            network,
            parameters,
            episodes,
            want,
            gradient,
        ),
    }
}

#[inline(never)]
fn compute_in_double(
    engine: &Engine,
    network: &Network,
    parameters: &Parameters<f64>,
    episodes: &Episodes<f64>,
    want: Want,
    gradient: bool,
) -> Result<Gradients<f64>> {
    check(network, parameters, episodes)?;
    let request = Request::on(network, episodes, want, gradient);
    match engine {
        Engine::Cpu(cpu) => cpu.compute(network, parameters, episodes, request),
        #[cfg(feature = "gpu")]
        Engine::Gpu(_) => Err(single_precision_only()),
        Engine::Several(several) => compute_in_double(
            several.first(),
            network,
            parameters,
            episodes,
            want,
            gradient,
        ),
    }
}

fn check<R: Real>(
    network: &Network,
    parameters: &Parameters<R>,
    episodes: &Episodes<R>,
) -> Result<()> {
    parameters.check(network)?;
    episodes.check(network, parameters.population())
}

#[cfg(feature = "gpu")]
pub(super) fn single_precision_only() -> Error {
    Error::Precision {
        engine: "GPU",
        supported: f32::NAME,
        asked: f64::NAME,
    }
}
