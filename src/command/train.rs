//! `metaplastic train`.

use super::engine::{EngineArguments, describe};
use super::folder::Folder;
use super::interrupt::Interrupt;
use super::progress::Progress;
use super::settings::{Settings, TaskName};
use super::summary::Summary;
use super::{Ending, note, say};
use clap::Args;
use metaplastic::Result;
use metaplastic::training::{Recipe, Trained, Training};
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::time::Instant;

#[derive(Args, Debug)]
pub(super) struct Arguments {
    /// What the networks learn
    #[arg(value_enum)]
    task: TaskName,

    #[command(flatten)]
    engine: EngineArguments,

    /// Folder for the results [default: runs/TASK-seedSEED, numbered where that holds a run]
    #[arg(long, value_name = "DIR")]
    output: Option<PathBuf>,

    /// Replace the run that the folder holds; other files are left alone
    #[arg(long)]
    force: bool,

    /// Print nothing but errors
    #[arg(long)]
    quiet: bool,

    /// Print the summary as one line of JSON on standard output
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    settings: Settings,
}

pub(super) fn run(arguments: &Arguments) -> Result<Ending> {
    let recipe = arguments.settings.recipe(arguments.task)?;
    let folder = Folder::choose(arguments.output.as_deref(), arguments.force, &recipe)?;
    let choice = arguments.engine.choose(recipe.synapse_steps(), false)?;
    let training = Training::new(&choice.engine, &recipe)?;
    let interrupt = Interrupt::listen();
    folder.prepare()?;
    if !arguments.quiet {
        note(format_args!("engine: {}", describe(&choice)));
    }

    let start = Instant::now();
    let trained = watched(training, &recipe, &interrupt, arguments.quiet)?;
    let seconds = start.elapsed().as_secs_f64();
    let summary = Summary::new(&recipe, &trained, &choice, seconds, folder.path());
    folder.write(&recipe, &trained, &choice, &summary)?;
    if arguments.json {
        say(summary.to_json())?;
    } else if !arguments.quiet {
        say(summary)?;
    }
    Ok(ending(&trained))
}

/// Trains under the eyes of a progress bar, until the end or Ctrl-C, and says which networks failed.
pub(super) fn watched(
    training: Training,
    recipe: &Recipe,
    interrupt: &Interrupt,
    quiet: bool,
) -> Result<Trained> {
    let episodes = u64::from(recipe.meta_steps()) * recipe.batch as u64;
    let progress = Progress::new(episodes, quiet);
    let trained = training.run(|report| {
        progress.report(report);
        if interrupt.asked() {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    })?;
    progress.finish();
    for failure in &trained.failures {
        note(format_args!(
            "network {} stopped learning after {} episodes: {} is not finite",
            failure.network, failure.episode, failure.tensor
        ));
    }
    Ok(trained)
}

/// How a command that trains ends.
pub(super) fn ending(trained: &Trained) -> Ending {
    if trained.stopped {
        Ending::Interrupted
    } else if trained.failures.is_empty() {
        Ending::Done
    } else {
        Ending::NotFinite
    }
}
