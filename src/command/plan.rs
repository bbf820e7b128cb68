//! `metaplastic plan` and `metaplastic shaders`.

use super::input::read_network;
use super::number::whole;
use super::output::{Ending, say};
use super::task::{TaskName, task_name};
use clap::Args;
use indicatif::{HumanBytes, HumanCount};
use metaplastic::file::{require_writable, write_atomically};
use metaplastic::gpu::{PlanReport, Profile};
use metaplastic::training::Recipe;
use metaplastic::{Error, Result};
use serde::Serialize;
use std::fmt;
use std::path::PathBuf;

#[derive(Args, Debug)]
pub(super) struct PlanArguments {
    #[command(flatten)]
    work: WorkArguments,

    /// Print one line of JSON
    #[arg(long)]
    json: bool,
}

#[derive(Args, Debug)]
pub(super) struct ShadersArguments {
    #[command(flatten)]
    work: WorkArguments,

    /// The folder for the shaders; made if need be, and files of the same names are replaced
    #[arg(long, value_name = "DIR")]
    output: PathBuf,
}

/// A meta-step, and the limits of a device.
#[derive(Args, Debug)]
struct WorkArguments {
    /// The network, as TOML [default: the paper's for the task]
    #[arg(long, value_name = "FILE.toml", required_unless_present = "task")]
    network: Option<PathBuf>,

    /// The task whose episodes the device makes, at the paper's sizes; without it, episodes are the caller's
    #[arg(long, value_parser = task_name())]
    task: Option<TaskName>,

    /// Networks
    #[arg(long, value_name = "P", default_value_t = 1, value_parser = whole::<usize>)]
    population: usize,

    /// Episodes of each network [default with a task: 1]
    #[arg(long, value_name = "B", required_unless_present = "task", value_parser = whole::<usize>)]
    batch: Option<usize>,

    /// Steps of an episode; a task has its own
    #[arg(
        long,
        value_name = "T",
        required_unless_present = "task",
        conflicts_with = "task",
        value_parser = whole::<usize>
    )]
    steps: Option<usize>,

    /// Lanes of a subgroup; 1 for a device without subgroup operations
    #[arg(long, value_name = "LANES", default_value_t = Profile::default().subgroup_size, value_parser = whole::<u32>)]
    subgroup_size: u32,

    /// Most lanes of a workgroup
    #[arg(long, value_name = "LANES", default_value_t = Profile::default().workgroup_size, value_parser = whole::<u32>)]
    workgroup_size: u32,

    /// Largest buffer that a shader can bind
    #[arg(long, value_name = "BYTES", default_value_t = Profile::default().binding_bytes, value_parser = whole::<u64>)]
    binding_bytes: u64,

    /// Most workgroups along one axis
    #[arg(long, value_name = "COUNT", default_value_t = Profile::default().workgroups, value_parser = whole::<u32>)]
    workgroups: u32,

    /// Most synapse-steps of one submission
    #[arg(long, value_name = "COUNT", default_value_t = Profile::default().submission_work, value_parser = whole::<u64>)]
    submission_work: u64,

    /// Most turns of a kernel's loops in one dispatch, 65535 for Mesa's software driver [default: no limit]
    #[arg(long, value_name = "COUNT", value_parser = whole::<u64>)]
    loop_turns: Option<u64>,

    /// Workgroup memory of one workgroup
    #[arg(long, value_name = "BYTES", default_value_t = Profile::default().workgroup_bytes, value_parser = whole::<u64>)]
    workgroup_bytes: u64,

    /// Registers that the lanes of a workgroup have together
    #[arg(long, value_name = "COUNT", default_value_t = Profile::default().registers, value_parser = whole::<u32>)]
    registers: u32,
}

impl WorkArguments {
    fn plan(&self) -> Result<PlanReport> {
        let profile = Profile {
            subgroup_size: self.subgroup_size,
            workgroup_size: self.workgroup_size,
            binding_bytes: self.binding_bytes,
            workgroup_bytes: self.workgroup_bytes,
            registers: self.registers,
            workgroups: self.workgroups,
            submission_work: self.submission_work,
            loop_turns: self.loop_turns.unwrap_or(u64::MAX),
        };
        let network = self.network.as_deref();
        let network = network.map(read_network::<f32>).transpose()?;
        let (population, batch) = (self.population, self.batch.unwrap_or(1));
        match &self.task {
            Some(task) => {
                let recipe = Recipe::new(task.task())?;
                let network = network.unwrap_or(recipe.network);
                metaplastic::gpu::plan_task(&network, &profile, population, batch, &*recipe.task)
            }
            None => {
                let network = network.expect("clap requires it without a task");
                let steps = self.steps.expect("clap requires it without a task");
                metaplastic::gpu::plan(&network, &profile, population, batch, steps)
            }
        }
    }
}

#[derive(Debug, Serialize)]
struct Report {
    resident_bytes: u64,
    working_bytes: u64,
    total_bytes: u64,
    checkpoints: usize,
    checkpoint_bytes: u64,
    groups: usize,
    cuts: usize,
    segments: usize,
    dispatches: usize,
    meta_steps_per_dispatch: Option<usize>,
    kernels: Vec<Kernel>,
}

#[derive(Debug, Serialize)]
struct Kernel {
    name: String,
    lines: usize,
    workgroup_bytes: u64,
}

impl From<PlanReport> for Report {
    fn from(plan: PlanReport) -> Self {
        Self {
            resident_bytes: plan.resident_bytes,
            working_bytes: plan.working_bytes,
            total_bytes: plan.bytes(),
            checkpoints: plan.checkpoints,
            checkpoint_bytes: plan.checkpoint_bytes,
            groups: plan.groups,
            cuts: plan.cuts,
            segments: plan.segments,
            dispatches: plan.dispatches,
            meta_steps_per_dispatch: plan.meta_steps_per_dispatch,
            kernels: plan
                .kernels
                .into_iter()
                .map(|kernel| Kernel {
                    lines: kernel.source.lines().count(),
                    workgroup_bytes: kernel.workgroup_bytes,
                    name: kernel.name,
                })
                .collect(),
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = |bytes| format!("{} ({})", HumanBytes(bytes), HumanCount(bytes));
        let count = |count: usize| HumanCount(count as u64);
        writeln!(
            f,
            "device memory  {} bytes: {} for the population, {} for the batch",
            bytes(self.total_bytes),
            HumanBytes(self.resident_bytes),
            HumanBytes(self.working_bytes)
        )?;
        writeln!(
            f,
            "checkpoints    {} of an episode, {}",
            count(self.checkpoints),
            HumanBytes(self.checkpoint_bytes)
        )?;
        writeln!(f, "groups         {} of networks", count(self.groups))?;
        writeln!(f, "cuts           {} of a group's batch", count(self.cuts))?;
        writeln!(f, "segments       {} of an episode", count(self.segments))?;
        write!(f, "dispatches     {} per meta-step", count(self.dispatches))?;
        match self.meta_steps_per_dispatch {
            Some(meta_steps) if meta_steps > 1 => {
                writeln!(f, ", or per {} of them at most", count(meta_steps))?;
            }
            _ => writeln!(f)?,
        }
        write!(f, "kernels")?;
        for kernel in &self.kernels {
            write!(f, "\n  {}, {} lines", kernel.name, count(kernel.lines))?;
            if kernel.workgroup_bytes > 0 {
                write!(
                    f,
                    ", {} of workgroup memory",
                    HumanBytes(kernel.workgroup_bytes)
                )?;
            }
        }
        Ok(())
    }
}

pub(super) fn run(arguments: &PlanArguments) -> Result<Ending> {
    let report = Report::from(arguments.work.plan()?);
    if arguments.json {
        say(serde_json::to_string(&report).expect("a report is always representable as JSON"))?;
    } else {
        say(report)?;
    }
    Ok(Ending::Done)
}

pub(super) fn run_shaders(arguments: &ShadersArguments) -> Result<Ending> {
    let plan = arguments.work.plan()?;
    let folder = &arguments.output;
    std::fs::create_dir_all(folder).map_err(|source| Error::Write {
        path: folder.clone(),
        source,
    })?;
    let paths = plan.kernels.iter().map(|kernel| {
        let path = folder.join(format!("{}.wgsl", kernel.name));
        require_writable(&path).map(|()| path)
    });
    // All or none.
    let paths = paths.collect::<Result<Vec<_>>>()?;
    for (kernel, path) in plan.kernels.iter().zip(paths) {
        write_atomically(&path, |file| file.write_all(kernel.source.as_bytes()))?;
        say(path.display())?;
    }
    Ok(Ending::Done)
}
