//! The choice of an engine.

use super::dispatch::Engine;
use crate::error::Result;
use crate::named::named;

named! {
    /// Which engine a person asks for.
    #[derive(Default)]
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
pub struct Choice {
    /// The engine.
    pub engine: Engine,
    /// The reason, for people.
    pub reason: String,
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
        let chosen = |engine, reason: &str| Choice {
            engine,
            reason: reason.to_owned(),
        };
        match (kind, device) {
            (EngineKind::Cpu, _) => Ok(chosen(Self::cpu(), "asked for")),
            (EngineKind::Gpu, device) => Ok(chosen(Self::gpu(device)?, "asked for")),
            (EngineKind::Auto, Some(device)) => {
                Ok(chosen(Self::gpu(Some(device))?, "its device was asked for"))
            }
            (EngineKind::Auto, None) if synapse_steps < GPU_PAYS_FROM => Ok(Choice {
                engine: Self::cpu(),
                reason: format!(
                    "{synapse_steps} synapse-steps per meta-step are too few for a GPU to pay (from {GPU_PAYS_FROM})"
                ),
            }),
            (EngineKind::Auto, None) => match Self::gpu(None) {
                Ok(engine) => Ok(chosen(engine, "a hardware GPU, and enough work for it")),
                Err(error) => Ok(Choice {
                    engine: Self::cpu(),
                    reason: error.to_string(),
                }),
            },
        }
    }
}
