//! `metaplastic devices`.

use super::driver::hearing;
use super::engine::device_from_environment;
use super::message::shortened;
use super::output::{Ending, say};
use clap::Args;
use indicatif::HumanCount;
use metaplastic::engine::{Choice, Cpu, EngineKind, GPU_PAYS_FROM};
use metaplastic::{Engine, Result};
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt;

#[derive(Args, Debug)]
pub(super) struct Arguments {
    /// Print one line of JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Serialize)]
struct Devices {
    adapters: Vec<Adapter>,
    cpu: CpuReport,
    auto: Automatic,
}

#[derive(Debug, Serialize)]
struct Adapter {
    /// What `--device` takes.
    index: usize,
    name: String,
    backend: String,
    #[serde(rename = "type")]
    kind: String,
    driver: String,
    /// The place on the PCI buses, empty where unknown.
    bus: String,
    limits: BTreeMap<&'static str, u64>,
    /// Whether `auto` takes it where the work pays for a GPU.
    auto: bool,
}

#[derive(Debug, Serialize)]
struct CpuReport {
    threads: usize,
    instruction_set: &'static str,
}

/// What `auto` takes for large work.
#[derive(Debug, Serialize)]
struct Automatic {
    engine: Option<&'static str>,
    device: Option<String>,
    reason: String,
    /// Synapse-steps of a meta-step from which a GPU is taken.
    gpu_pays_from: u64,
}

pub(super) fn run(arguments: &Arguments) -> Result<Ending> {
    let devices = hearing(Devices::find);
    if arguments.json {
        say(serde_json::to_string(&devices).expect("a report is always representable as JSON"))?;
    } else {
        say(devices)?;
    }
    Ok(Ending::Done)
}

impl Devices {
    fn find() -> Self {
        let asked = device_from_environment();
        let choice = Engine::choose(EngineKind::Auto, asked.as_deref(), u64::MAX);
        let adapters = adapters(choice.as_ref().ok());
        let auto = match &choice {
            Ok(choice) => Automatic {
                engine: Some(choice.engine.kind()),
                device: Some(choice.engine.device()),
                reason: choice.reason.clone(),
                gpu_pays_from: GPU_PAYS_FROM,
            },
            Err(error) => Automatic {
                engine: None,
                device: None,
                reason: shortened(&error.to_string()).into_owned(),
                gpu_pays_from: GPU_PAYS_FROM,
            },
        };
        Self {
            adapters,
            cpu: CpuReport::new(&Cpu::default()),
            auto,
        }
    }
}

impl CpuReport {
    fn new(cpu: &Cpu) -> Self {
        Self {
            threads: cpu.threads(),
            instruction_set: cpu.instruction_set(),
        }
    }
}

#[cfg(feature = "gpu")]
fn adapters(choice: Option<&Choice>) -> Vec<Adapter> {
    let taken = match choice.map(|choice| &choice.engine) {
        Some(Engine::Gpu(gpu)) => Some(gpu.index()),
        _ => None,
    };
    metaplastic::gpu::adapters()
        .into_iter()
        .map(|adapter| Adapter {
            index: adapter.index,
            name: adapter.name,
            backend: adapter.backend,
            kind: adapter.kind,
            driver: adapter.driver,
            bus: adapter.bus,
            limits: adapter.limits.into_iter().collect(),
            auto: taken == Some(adapter.index),
        })
        .collect()
}

#[cfg(not(feature = "gpu"))]
fn adapters(_: Option<&Choice>) -> Vec<Adapter> {
    Vec::new()
}

impl fmt::Display for Devices {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.adapters.is_empty() {
            writeln!(f, "GPU adapters: none found")?;
        }
        for adapter in &self.adapters {
            let taken = if adapter.auto { ", taken by auto" } else { "" };
            writeln!(
                f,
                "GPU {}  {} ({}, {}{taken})",
                adapter.index, adapter.name, adapter.kind, adapter.backend
            )?;
            writeln!(f, "       driver: {}", adapter.driver)?;
            if !adapter.bus.is_empty() {
                writeln!(f, "       bus: {}", adapter.bus)?;
            }
            for (limit, value) in &adapter.limits {
                writeln!(f, "       {limit}: {}", HumanCount(*value))?;
            }
        }
        writeln!(
            f,
            "CPU    {} threads, {}",
            self.cpu.threads, self.cpu.instruction_set
        )?;
        write!(
            f,
            "auto takes the CPU below {} synapse-steps per meta-step; from there the {}: {}",
            HumanCount(self.auto.gpu_pays_from),
            match (self.auto.engine, &self.auto.device) {
                (Some("gpu"), Some(device)) => format!("GPU {device}"),
                (Some(_), _) => "CPU too".to_owned(),
                (None, _) => "choice fails".to_owned(),
            },
            self.auto.reason
        )
    }
}
