//! `metaplastic resume`.

use super::engine::{EngineArguments, describe};
use super::interrupt::Interrupt;
use super::number::whole;
use super::output::{Ending, note};
use super::settings::parameters_of;
use super::train::Keeping;
use super::watched::{complete, watched};
use clap::Args;
use metaplastic::Result;
use metaplastic::runs::{Folder, Live, Unfinished};
use metaplastic::training::Training;
use std::path::PathBuf;

#[derive(Args, Debug)]
pub(super) struct Arguments {
    /// The folder of a run that was interrupted, or is to be longer
    #[arg(value_name = "RUN")]
    run: PathBuf,

    /// Episodes that each network sees in all, if the run is to be longer
    #[arg(long, allow_negative_numbers = true, value_parser = whole::<u64>)]
    episodes: Option<u64>,

    #[command(flatten)]
    engine: EngineArguments,

    #[command(flatten)]
    keeping: Keeping,
}

pub(super) fn run(arguments: &Arguments) -> Result<Ending> {
    let path = &arguments.run;
    let folder = Folder::reopen(path)?;
    let found = Unfinished::read(path, None, arguments.episodes, |text| note(text))?;
    let Some(run) = found else {
        note(format_args!(
            "{}: the run has ended; --episodes makes it longer",
            path.display()
        ));
        return Ok(Ending::Done);
    };
    let (work, engine, device) = (run.recipe.synapse_steps(), &run.engine, &run.device);
    let choice = arguments.engine.choose_as_before(work, engine, device)?;
    let training = match (&run.checkpoint, &run.from) {
        (Some(stored), _) => Training::resume(&choice.engine, stored.checkpoint.clone())?,
        (None, None) => Training::new(&choice.engine, &run.recipe)?,
        (None, Some(from)) => {
            let parameters = parameters_of(from, &run.recipe)?;
            Training::from_parameters(&choice.engine, &run.recipe, &parameters)?
        }
    };
    let interrupt = Interrupt::listen(true);
    let begun = run.begun(&choice);
    let keeping = &arguments.keeping;
    let telling = keeping.telling();
    if !telling.quiet {
        note(format_args!("engine: {}", describe(&begun.choice)));
        note(format_args!(
            "run: {}, from episode {}",
            path.display(),
            training.episode()
        ));
    }
    if choice.engine.device() != *device {
        note(format_args!(
            "the run began on {engine} ({device}): its last bits may not be those of a run that was not interrupted"
        ));
    }
    let live = Live::begin(
        folder,
        begun,
        run.checkpoint.as_ref(),
        keeping.checkpoint_every,
    )?;
    let watched = watched(training, Some(live), &interrupt, telling.quiet)?;
    complete(watched, telling)
}
