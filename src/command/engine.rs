//! `--engine` and `--device`, the same for every command that computes.

use super::arena::require_stacks;
use super::driver::hearing;
use super::values::one_of;
use clap::Args;
use metaplastic::engine::{Choice, EngineKind};
use metaplastic::{Engine, Error, Result};

/// Asks for an adapter, as `--device` does.
const VARIABLE: &str = "METAPLASTIC_DEVICE";

#[derive(Args, Debug)]
pub(super) struct EngineArguments {
    /// Where to compute; auto takes a hardware GPU where the work pays for it
    #[arg(long, default_value_t, value_name = "ENGINE", value_parser = one_of(EngineKind::ALL.map(|kind| (kind.name(), kind))))]
    engine: EngineKind,

    /// The GPU adapter of this index (see `metaplastic devices`), or whose name contains NAME, any case; several by
    /// their indices, `0,1`, which share out the networks of a population [env: METAPLASTIC_DEVICE]
    #[arg(long, value_name = "INDEX|NAME")]
    device: Option<String>,
}

impl EngineArguments {
    /// The engine for work of `synapse_steps` per meta-step in precision `f64` or not.
    pub fn choose(&self, synapse_steps: u64, double: bool) -> Result<Choice> {
        if let Some(device) = &self.device {
            if device.trim().is_empty() {
                return Err(Error::Setting {
                    field: "--device".into(),
                    reason: "an empty name".into(),
                });
            }
            if self.engine == EngineKind::Cpu {
                return Err(Error::Setting {
                    field: "--device".into(),
                    reason: format!("{device:?} asks for a GPU, but --engine cpu for the CPU"),
                });
            }
        }
        let asked_for_gpu = self.engine == EngineKind::Gpu || self.device.is_some();
        if double && asked_for_gpu {
            return Err(Error::Precision {
                engine: "GPU",
                supported: "f32",
                asked: "f64",
            });
        }
        if double && self.engine == EngineKind::Auto {
            return Ok(Choice::new(
                Engine::cpu(),
                "f64 was asked for, which GPUs do not compute in",
            ));
        }
        let device = self.device.clone().or_else(device_from_environment);
        chosen(self.engine, device.as_deref(), synapse_steps)
    }
}

/// The engine of this process and, where the command runs as several, those of the others.
fn chosen(kind: EngineKind, device: Option<&str>, synapse_steps: u64) -> Result<Choice> {
    let choice = hearing(|| Engine::choose(kind, device, synapse_steps))?;
    #[cfg(feature = "mpi")]
    let choice = Choice::new(super::processes::spread(choice.engine)?, choice.reason);
    Ok(choice)
}

impl EngineArguments {
    /// As [`EngineArguments::choose`], but where nothing is asked for, the engine and device of before.
    pub fn choose_as_before(
        &self,
        synapse_steps: u64,
        engine: &str,
        device: &str,
    ) -> Result<Choice> {
        let asked = self.device.is_some() || device_from_environment().is_some();
        if self.engine != EngineKind::Auto || asked {
            return self.choose(synapse_steps, false);
        }
        let kind: EngineKind = engine.parse()?;
        let device = Some(device).filter(|_| kind == EngineKind::Gpu);
        chosen(kind, device, synapse_steps)
    }
}

/// Starts the CPU engine's threads, or says why the system does not let it.
pub(super) fn start_threads() -> Result<()> {
    let wanted = threads_wanted();
    let refused = |why: &dyn std::fmt::Display| Error::Setting {
        field: "RAYON_NUM_THREADS".into(),
        reason: format!(
            "{wanted} threads cannot be started ({why}); ask for fewer, or raise the limit on memory or on threads \
             (ulimit -v, ulimit -u)"
        ),
    };
    require_stacks(wanted).map_err(|why| refused(&why))?;
    let pool = rayon::ThreadPoolBuilder::new().num_threads(wanted);
    pool.build_global().map_err(|error| refused(&error))
}

/// The threads that rayon starts.
fn threads_wanted() -> usize {
    let asked = std::env::var("RAYON_NUM_THREADS").ok();
    match asked.and_then(|number| number.parse().ok()) {
        Some(number) if number > 0 => number,
        _ => cores(),
    }
}

/// Cores for this process.
fn cores() -> usize {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    #[cfg(feature = "mpi")]
    let cores = super::processes::threads(cores);
    cores
}

/// The adapter that the environment asks for.
pub(super) fn device_from_environment() -> Option<String> {
    std::env::var_os(VARIABLE)
        .map(|name| name.to_string_lossy().into_owned())
        .filter(|name| !name.is_empty())
}

/// `cpu (2 threads, AVX-512): asked for`.
pub(super) fn describe(choice: &Choice) -> String {
    let others = match &choice.engine {
        Engine::Several(several) if several.elsewhere() > 0 => {
            format!(", rank 0 of {}", 1 + several.elsewhere())
        }
        _ => String::new(),
    };
    format!(
        "{} ({}{others}): {}",
        choice.engine.kind(),
        choice.engine.device(),
        choice.reason
    )
}
