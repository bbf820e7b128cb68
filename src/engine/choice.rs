//! The choice of an engine.

use super::dispatch::Engine;
use crate::error::Result;
use crate::named::named;

named! {
    /// Which engine a person asks for.
    #[derive(Default)]
    #[non_exhaustive]
    pub enum EngineKind ("engine") {
        /// A hardware GPU where the work pays for it, else the CPU.
        #[default]
        Auto = "auto",
        /// The CPU.
        Cpu = "cpu",
        /// A GPU, or an error.
        Gpu = "gpu",
    }
}

/// Synapse-steps of one meta-step, over the whole population, from which a hardware GPU is taken.
///
/// Measured on an H100: with separate kernels a sweep of few synapse-steps takes 0.2 ms, which is launches and waiting. Two
/// threads with AVX2 do 0.3 to 1 million synapse-steps in that time. Reckoned from it, not measured: that a GPU pays from
/// about here beside a few threads, and later beside many. Small networks whose meta-steps are one kernel take 10 µs for up
/// to a thousand of them, so that there a GPU pays sooner, and has to be asked for.
pub const GPU_PAYS_FROM: u64 = 1 << 20;

/// An engine, and why it was chosen.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Choice {
    /// The engine.
    pub engine: Engine,
    /// The reason, for people.
    pub reason: String,
}

impl Choice {
    /// An engine, and why it is taken.
    pub fn new(engine: Engine, reason: impl Into<String>) -> Self {
        Self {
            engine,
            reason: reason.into(),
        }
    }
}

impl Engine {
    /// The engine for work of `synapse_steps` per meta-step (`P·B·T·Σ O·I`).
    ///
    /// A `device` is an adapter's index or a part of its name, as for [`Engine::gpu`]; with [`EngineKind::Auto`] it asks for
    /// the GPU engine.
    ///
    /// # Errors
    /// As [`Engine::gpu`] where a GPU is asked for; never otherwise.
    pub fn choose(kind: EngineKind, device: Option<&str>, synapse_steps: u64) -> Result<Choice> {
        match (kind, device) {
            (EngineKind::Cpu, _) => Ok(Choice::new(Self::cpu(), "asked for")),
            (EngineKind::Gpu, device) => Ok(Choice::new(Self::gpu(device)?, "asked for")),
            (EngineKind::Auto, Some(device)) => Ok(Choice::new(
                Self::gpu(Some(device))?,
                "its device was asked for",
            )),
            (EngineKind::Auto, None) if synapse_steps < GPU_PAYS_FROM => Ok(Choice::new(
                Self::cpu(),
                format!(
                    "{synapse_steps} synapse-steps per meta-step are too few for a GPU to pay (from {GPU_PAYS_FROM})"
                ),
            )),
            (EngineKind::Auto, None) => match Self::gpu(None) {
                Ok(engine) => Ok(Choice::new(
                    engine,
                    "a hardware GPU, and enough work for it",
                )),
                Err(error) => Ok(Choice::new(Self::cpu(), error.to_string())),
            },
        }
    }
}
