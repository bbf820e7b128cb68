//! What the command line offers; everything it computes is the library's.

mod arena;
mod bench;
mod compare;
mod devices;
mod driver;
mod engine;
mod evaluate;
mod figure;
mod gradient;
mod help;
mod input;
mod inspect;
mod interrupt;
mod keeping;
mod manual;
mod message;
mod number;
mod output;
#[cfg(feature = "gpu")]
mod plan;
#[cfg(feature = "mpi")]
mod processes;
mod progress;
mod recall;
mod recipe;
mod record;
mod report;
mod reproduce;
mod resume;
mod runs;
mod settings;
mod subject;
mod table;
mod task;
mod train;
mod values;
mod watched;

use clap::error::{ContextKind, ContextValue};
use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};
use message::shortened;
use metaplastic::Error;
use output::{Ending, heard, note};
use std::borrow::Cow;
use std::io::Write;
use std::process::ExitCode;

/// Trains neural networks that keep learning after training.
#[derive(Debug, Parser)]
#[command(version, about, after_help = EXIT_STATUS)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Train a population of networks on one of the paper's tasks, or on episodes of one's own
    ///
    /// A setting may have several values, with commas, as in --learning-rate 0.001,0.01: a sweep. Several such settings are a
    /// grid. Each combination of values has --population networks, and the best one is named. Not so --seed, --population,
    /// --recipe, --from, --rule and the files; --freeze and --learning-rate-factor have lists of their own.
    Train(Box<train::Arguments>),
    /// Go on with a run that was interrupted, or make one longer
    Resume(resume::Arguments),
    /// Print a recipe, complete and commented; edited, it is one for `train --recipe FILE.toml`
    Recipe(Box<recipe::Arguments>),
    /// Run the paper's three experiments and write a report with figures
    Reproduce(reproduce::Arguments),
    /// Show what the networks of a run do on fresh episodes, step by step
    Evaluate(evaluate::Arguments),
    /// Show the structure of a run's networks: strong connections, and the signs of their plasticity
    Inspect(inspect::Arguments),
    /// List the runs in a folder, and the settings in which they differ
    Runs(runs::Arguments),
    /// Write one HTML file on a run or several: learning curves, evaluation, every network, every setting
    Report(report::Arguments),
    /// Draw and tabulate several runs together
    Compare(compare::Arguments),
    /// Compute outputs and exact gradients of a network, from files to a file
    Gradient(gradient::Arguments),
    /// Time the full gradient of one plastic or recurrent layer
    Bench(bench::Arguments),
    /// Say what a meta-step will take of a GPU: memory, cuts, dispatches; needs no GPU
    #[cfg(feature = "gpu")]
    Plan(plan::PlanArguments),
    /// Write the shaders of a meta-step as WGSL files; needs no GPU
    #[cfg(feature = "gpu")]
    Shaders(plan::ShadersArguments),
    /// List the GPU adapters and the CPU engine of this machine
    Devices(devices::Arguments),
    /// Print what a shell needs to complete this command's arguments
    Completions(manual::CompletionsArguments),
    /// Print the manual as a man page, or write a page for each command
    Man(manual::ManArguments),
}

const EXIT_STATUS: &str = "\
Exit status: 0 done; 1 a device or a file failed; 2 bad input, nothing was written; \
3 the results of some network are not finite; 130 stopped by a signal.";

pub fn main() -> ExitCode {
    arena::have_one();
    #[cfg(feature = "mpi")]
    return processes::run(asked_for, engine::start_threads);
    #[cfg(not(feature = "mpi"))]
    asked_for()
}

/// Does what the command line asks for.
fn asked_for() -> ExitCode {
    let cli = match parsed() {
        Ok(cli) => cli,
        Err(error) => return of_the_parser(without_force(error)),
    };
    // First of all: where the pool of threads cannot be made, rayon panics at its first use.
    let ending = engine::start_threads().and_then(|()| run(&cli.command));
    match ending {
        Ok(Ending::Done) => ExitCode::SUCCESS,
        Ok(Ending::NotFinite) => ExitCode::from(3),
        Ok(Ending::Interrupted) => ExitCode::from(130),
        Err(error) => failed(&error),
    }
}

/// Says why the command failed, and with which status it ends.
fn failed(error: &Error) -> ExitCode {
    note(format_args!("error: {error}"));
    ExitCode::from(exit_status(error))
}

/// The whole command line, with what its help says.
fn command() -> clap::Command {
    help::complete(Cli::command())
}

fn parsed() -> Result<Cli, clap::Error> {
    let matches = command().try_get_matches()?;
    Cli::from_arg_matches(&matches)
}

fn run(asked: &Command) -> metaplastic::Result<Ending> {
    match asked {
        Command::Train(arguments) => train::run(arguments),
        Command::Resume(arguments) => resume::run(arguments),
        Command::Recipe(arguments) => recipe::run(arguments),
        Command::Reproduce(arguments) => reproduce::run(arguments),
        Command::Evaluate(arguments) => evaluate::run(arguments),
        Command::Inspect(arguments) => inspect::run(arguments),
        Command::Runs(arguments) => runs::run(arguments),
        Command::Report(arguments) => report::run(arguments),
        Command::Compare(arguments) => compare::run(arguments),
        Command::Gradient(arguments) => gradient::run(arguments),
        Command::Bench(arguments) => bench::run(arguments),
        #[cfg(feature = "gpu")]
        Command::Plan(arguments) => plan::run(arguments),
        #[cfg(feature = "gpu")]
        Command::Shaders(arguments) => plan::run_shaders(arguments),
        Command::Devices(arguments) => devices::run(arguments),
        Command::Completions(arguments) => manual::completions(arguments, command()),
        Command::Man(arguments) => manual::man(arguments, command()),
    }
}

/// Prints what the argument parser has to say: help, the version, or what is wrong with the arguments, with status 2.
fn of_the_parser(error: clap::Error) -> ExitCode {
    let text = error.render().to_string();
    if error.use_stderr() && matches!(shortened(&text), Cow::Owned(_)) {
        note(text.trim_end());
        return ExitCode::from(2);
    }
    // Where nobody reads what is wrong, there is nothing to be done.
    let printed = error.print().and_then(|()| std::io::stdout().flush());
    if !error.use_stderr()
        && let Err(error) = heard(printed)
    {
        return failed(&error);
    }
    ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2))
}

/// A parser's error that does not propose to replace a run, as a word much like `--force` would have it.
fn without_force(mut error: clap::Error) -> clap::Error {
    let force = ContextValue::String("--force".to_owned());
    if error.get(ContextKind::SuggestedArg) == Some(&force) {
        error.remove(ContextKind::SuggestedArg);
        error.remove(ContextKind::Usage);
    }
    error
}

/// 2 where the input is to blame, 1 where the machine is.
fn exit_status(error: &Error) -> u8 {
    match error {
        Error::Write { .. }
        | Error::SavedElsewhere { .. }
        | Error::NoAdapter { .. }
        | Error::NoGpuSupport
        | Error::Device { .. }
        | Error::DeviceLost { .. }
        | Error::DeviceLimit { .. }
        | Error::Rank { .. }
        | Error::Ranks => 1,
        #[cfg(feature = "gpu")]
        Error::Shader { .. } => 1,
        _ => 2,
    }
}
