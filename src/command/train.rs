//! `metaplastic train`.

use super::engine::{EngineArguments, describe};
use super::interrupt::Interrupt;
use super::output::{Ending, note, say};
use super::progress::Progress;
use super::recall;
use super::settings::Settings;
use super::subject::Subject;
use super::task::{TaskName, task_name};
use clap::Args;
use metaplastic::Result;
use metaplastic::runs::files::{RECALL, holds_a_run};
use metaplastic::runs::{Run, Wanted};
use metaplastic::training::{Event, Recipe, Trained, Training};
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

#[derive(Args, Debug)]
pub(super) struct Arguments {
    /// What the networks learn
    #[arg(value_parser = task_name())]
    task: TaskName,

    #[command(flatten)]
    engine: EngineArguments,

    /// Folder for the results [default: runs/TASK-seedSEED, numbered where that is taken]
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
    let recipe = arguments.settings.recipe(&arguments.task)?;
    let wanted = Wanted {
        asked: arguments.output.as_deref(),
        name: format!("{}-seed{}", recipe.task.name(), recipe.seed),
        force: arguments.force,
        is_taken: holds_a_run,
    };
    wanted.check()?;
    let choice = arguments.engine.choose(recipe.synapse_steps(), false)?;
    let training = Training::new(&choice.engine, &recipe)?;
    let interrupt = Interrupt::listen();
    let mut folder = wanted.claim()?;
    if !arguments.quiet {
        note(format_args!("engine: {}", describe(&choice)));
    }

    let start = Instant::now();
    let trained = watched(training, &recipe, &interrupt, arguments.quiet)?;
    let seconds = start.elapsed().as_secs_f64();
    let subject = Subject::of_trained(&recipe, &trained);
    let recalled = recall::draw(&choice.engine, &subject, None, recipe.seed)?;
    let figures: Vec<_> = recalled
        .iter()
        .map(|figure| (RECALL, figure.as_str()))
        .collect();
    let run = Run::new(&recipe, &trained, &choice, seconds).figures(&figures);
    let summary = folder.save(&run, |text| note(text))?;
    if arguments.json {
        say(summary.to_json())?;
    } else if !arguments.quiet {
        say(summary)?;
    }
    Ok(ending(&trained))
}

/// How long a run that is asked to stop may take to come to a pause.
const PATIENCE: Duration = Duration::from_millis(400);

/// Trains under the eyes of a progress bar, until the end or Ctrl-C, and says which networks failed.
pub(super) fn watched(
    training: Training,
    recipe: &Recipe,
    interrupt: &Interrupt,
    quiet: bool,
) -> Result<Trained> {
    let episodes = u64::from(recipe.meta_steps()) * recipe.batch as u64;
    let progress = Progress::new(episodes, quiet);
    let trained = until_asked(training, interrupt, progress.clone())?;
    progress.finish();
    for failure in &trained.failures {
        note(format_args!(
            "network {} stopped learning after {} episodes: {} is not finite",
            failure.network, failure.episode, failure.tensor
        ));
    }
    Ok(trained)
}

/// Trains on a thread of its own, so that a meta-step that takes long need not be waited for: of a run that is stopped
/// within one, the result is what there was before it.
fn until_asked(training: Training, interrupt: &Interrupt, progress: Progress) -> Result<Trained> {
    let (sender, receiver) = mpsc::channel();
    let before_long_step = Arc::new(Mutex::new(None));
    let (kept, asked) = (before_long_step.clone(), interrupt.clone());
    std::thread::spawn(move || {
        let trained = training.run_watched(|event| {
            match event {
                Event::Report(report) => progress.report(report),
                Event::Pause(pause) => {
                    let state = pause.is_before_long_step().then(|| pause.so_far());
                    *kept.lock().expect("nobody panics with it") = state;
                }
                _ => {}
            }
            if asked.asked() {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        });
        // Nobody waits for a result that came too late.
        let _ = sender.send(trained);
    });
    let mut waited = Duration::ZERO;
    loop {
        let look = Duration::from_millis(20);
        match receiver.recv_timeout(look) {
            Ok(trained) => return trained,
            Err(RecvTimeoutError::Timeout) if interrupt.asked() => waited += look,
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => panic!("training panicked"),
        }
        if waited >= PATIENCE
            && let Some(trained) = before_long_step
                .lock()
                .expect("nobody panics with it")
                .take()
        {
            return trained;
        }
    }
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
