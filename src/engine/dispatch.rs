//! What every engine offers.

use crate::computation::{Gradients, Outcome, Want};
use crate::cpu::Cpu;
use crate::episodes::Episodes;
use crate::error::Result;
#[cfg(feature = "gpu")]
use crate::gpu::Gpu;
use crate::network::Network;
#[cfg(feature = "gpu")]
use crate::number::Family;
use crate::number::Real;
use crate::parameters::Parameters;

/// An engine that computes on a population of networks.
#[derive(Clone, Debug)]
pub enum Engine {
    /// The built-in multi-threaded engine.
    Cpu(Cpu),
    /// A GPU, through compute shaders.
    #[cfg(feature = "gpu")]
    Gpu(Gpu),
}

impl Engine {
    /// The CPU engine.
    pub fn cpu() -> Self {
        Self::Cpu(Cpu::new())
    }

    /// The GPU engine on the best hardware adapter, or on the one that `device` asks for: digits are an index in the list
    /// of adapters, anything else is a part of the name, in any case, of which the first is taken.
    ///
    /// A software adapter is used only when asked for. An empty `device` asks for none.
    ///
    /// # Errors
    /// If no adapter fits, or the program was built without the GPU engine.
    pub fn gpu(device: Option<&str>) -> Result<Self> {
        #[cfg(feature = "gpu")]
        return Ok(Self::Gpu(Gpu::new(device)?));
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
        }
    }

    /// The device's name, as a person would know it.
    pub fn device(&self) -> String {
        match self {
            Self::Cpu(cpu) => cpu.device(),
            #[cfg(feature = "gpu")]
            Self::Gpu(gpu) => gpu.device().to_owned(),
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
        parameters.check(network)?;
        episodes.check(network, parameters.population())?;
        match self {
            Self::Cpu(cpu) => cpu.forward(network, parameters, episodes, want),
            #[cfg(feature = "gpu")]
            Self::Gpu(gpu) => {
                in_single_precision::<R, Outcomes>(parameters, episodes, |parameters, episodes| {
                    gpu.forward(network, parameters, episodes, want)
                })
            }
        }
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
        parameters.check(network)?;
        episodes.check(network, parameters.population())?;
        match self {
            Self::Cpu(cpu) => cpu.gradient(network, parameters, episodes, want),
            #[cfg(feature = "gpu")]
            Self::Gpu(gpu) => in_single_precision::<R, AllGradients>(
                parameters,
                episodes,
                |parameters, episodes| gpu.gradient(network, parameters, episodes, want),
            ),
        }
    }
}

/// Parameters and episodes, by precision.
#[cfg(feature = "gpu")]
struct Given<'a, 'e>(std::marker::PhantomData<&'a &'e ()>);

#[cfg(feature = "gpu")]
impl<'a, 'e: 'a> Family for Given<'a, 'e> {
    type Of<R: Real> = (&'a Parameters<R>, &'a Episodes<'e, R>);
}

/// Outcomes, by precision.
#[cfg(feature = "gpu")]
struct Outcomes;

#[cfg(feature = "gpu")]
impl Family for Outcomes {
    type Of<R: Real> = Outcome<R>;
}

/// Gradients, by precision.
#[cfg(feature = "gpu")]
struct AllGradients;

#[cfg(feature = "gpu")]
impl Family for AllGradients {
    type Of<R: Real> = Gradients<R>;
}

/// Hands `f32` arrays to `compute`, and its results `F`, which are `f32` too, back, all as they are; refuses another
/// precision.
#[cfg(feature = "gpu")]
fn in_single_precision<R: Real, F: Family>(
    parameters: &Parameters<R>,
    episodes: &Episodes<'_, R>,
    compute: impl FnOnce(&Parameters<f32>, &Episodes<'_, f32>) -> Result<F::Of<f32>>,
) -> Result<F::Of<R>> {
    let refused = crate::error::Error::Precision {
        engine: "GPU",
        supported: "f32",
        asked: R::NAME,
    };
    let Some((parameters, episodes)) = R::into_single::<Given<'_, '_>>((parameters, episodes))
    else {
        return Err(refused);
    };
    R::from_single::<F>(compute(parameters, episodes)?).ok_or(refused)
}
