//! `metaplastic bench`.

use super::engine::{EngineArguments, describe};
use super::number::whole;
use super::output::{Ending, note, say};
use clap::Args;
use indicatif::{HumanBytes, HumanCount};
use metaplastic::Result;
use metaplastic::measure::{
    Problem, Run, Shape, Sweep, multiply_adds_per_second, peak_process_bytes,
};
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt;

#[derive(Args, Debug)]
pub(super) struct Arguments {
    /// Presynaptic neurons
    #[arg(long, value_name = "I", value_parser = whole::<usize>)]
    inputs: usize,

    /// Postsynaptic neurons
    #[arg(long, value_name = "O", value_parser = whole::<usize>)]
    outputs: usize,

    /// Steps of an episode
    #[arg(long, value_name = "T", value_parser = whole::<usize>)]
    steps: usize,

    /// Episodes of each network
    #[arg(long, value_name = "B", value_parser = whole::<usize>)]
    episodes: usize,

    /// Networks
    #[arg(long, value_name = "P", default_value_t = 1, value_parser = whole::<usize>)]
    population: usize,

    /// Time a recurrent layer, with as many inputs as outputs
    #[arg(long)]
    recurrent: bool,

    #[command(flatten)]
    engine: EngineArguments,

    /// Print one line of JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Serialize)]
struct Report {
    /// Of one sweep: the device's own clock where it has one, else the wall clock.
    seconds: f64,
    synapse_steps_per_second: f64,
    peak_bytes: Option<u64>,
    /// What `peak_bytes` counts.
    peak_of: &'static str,
    engine: &'static str,
    device: String,
    wall_seconds: f64,
    device_seconds: Option<f64>,
    /// Seconds of each kernel, all its dispatches of a sweep together, by the device's clock.
    kernels: BTreeMap<&'static str, f64>,
    sweeps: usize,
    synapse_steps: u64,
    /// Measured on this machine.
    fma_per_second: f64,
    /// Of the measured rate, what the sweep's arithmetic takes at the least.
    fma_share: f64,
}

pub(super) fn run(arguments: &Arguments) -> Result<Ending> {
    let shape = Shape {
        population: arguments.population,
        episodes: arguments.episodes,
        steps: arguments.steps,
        inputs: arguments.inputs,
        outputs: arguments.outputs,
        recurrent: arguments.recurrent,
    };
    // What is refused is refused before the episodes are made.
    shape.check()?;
    let choice = arguments.engine.choose(shape.synapse_steps(), false)?;
    note(format_args!("engine: {}", describe(&choice)));
    let engine = &choice.engine;
    let problem = Problem::new(shape)?;
    let run = Run::new(engine, &problem, Sweep::Gradient)?;
    let median = run.median()?;
    let (peak_bytes, peak_of) = match run.device_bytes() {
        Some(bytes) => (Some(bytes), "device buffers"),
        None => (peak_process_bytes(), "resident set of the process"),
    };
    let wall_seconds = median.sample.wall.as_secs_f64();
    let device_seconds = median.sample.device.map(|time| time.as_secs_f64());
    let seconds = device_seconds.unwrap_or(wall_seconds);
    let kernels = median.sample.kernels.iter();
    let kernels = kernels
        .map(|(&name, time)| (name, time.as_secs_f64()))
        .collect();
    let synapse_steps_per_second = shape.synapse_steps() as f64 / seconds;
    let fma_per_second = multiply_adds_per_second(engine)?;
    let report = Report {
        seconds,
        synapse_steps_per_second,
        peak_bytes,
        peak_of,
        engine: engine.kind(),
        device: engine.device(),
        wall_seconds,
        device_seconds,
        kernels,
        sweeps: median.sweeps,
        synapse_steps: shape.synapse_steps(),
        fma_per_second,
        fma_share: synapse_steps_per_second * shape.floor() as f64 / fma_per_second,
    };
    if arguments.json {
        say(serde_json::to_string(&report).expect("a report is always representable as JSON"))?;
    } else {
        say(report)?;
    }
    Ok(Ending::Done)
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "time         {:.3e} s, median of {}",
            self.seconds,
            HumanCount(self.sweeps as u64)
        )?;
        match self.device_seconds {
            Some(_) => writeln!(
                f,
                " by the device's clock; {:.3e} s in all",
                self.wall_seconds
            )?,
            None => writeln!(f)?,
        }
        writeln!(
            f,
            "throughput   {:.3e} synapse-steps/s",
            self.synapse_steps_per_second
        )?;
        for (name, seconds) in &self.kernels {
            writeln!(f, "  {name:<20}{seconds:.3e} s")?;
        }
        match self.peak_bytes {
            Some(bytes) => writeln!(f, "memory       {}, {}", HumanBytes(bytes), self.peak_of)?,
            None => writeln!(f, "memory       not measured on this system")?,
        }
        write!(
            f,
            "arithmetic   {:.1}% of the {:.3e} multiply-adds/s measured here",
            100.0 * self.fma_share,
            self.fma_per_second
        )
    }
}
