//! `metaplastic resume`.

use super::engine::{EngineArguments, describe};
use super::interrupt::Interrupt;
use super::keeping::Keeping;
use super::number::whole;
use super::output::{Ending, note, say};
use super::settings::parameters_of;
use super::subject::record;
use super::watched::{Watched, complete, save, watched};
use clap::Args;
use metaplastic::runs::series::{Part, Series};
use metaplastic::runs::{Folder, Live, Unfinished};
use metaplastic::training::Training;
use metaplastic::{Error, Result};
use std::path::{Path, PathBuf};

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
    let going = Going {
        episodes: arguments.episodes,
        engine: &arguments.engine,
        keeping: &arguments.keeping,
    };
    if let Some(series) = Series::read(path)? {
        arguments.require_length_of(&series)?;
        return going.on_with_all(path, &series, &Interrupt::listen(true));
    }
    match going.on_with(path, None)? {
        Some(watched) => complete(watched, arguments.keeping.telling()),
        None => {
            note(format_args!(
                "{}: the run has ended; --episodes makes it longer",
                path.display()
            ));
            let telling = arguments.keeping.telling();
            if telling.json {
                say(record(path)?.summary.to_json())?;
            } else if telling.quiet {
                say(path.display())?;
            }
            Ok(Ending::Done)
        }
    }
}

impl Arguments {
    /// Fails if all runs are to have one length, by which they are told apart.
    fn require_length_of(&self, series: &Series) -> Result<()> {
        let differs = |part: &Part| part.values.contains_key("episodes");
        match self.episodes {
            Some(episodes) if series.runs.iter().any(differs) => Err(Error::Setting {
                field: "--episodes".into(),
                reason: format!(
                    "{episodes}, but the runs in {} are told apart by their episodes",
                    self.run.display()
                ),
            }),
            _ => Ok(()),
        }
    }
}

/// How runs go on.
pub(super) struct Going<'a> {
    /// Episodes in all, where they are to be longer.
    pub episodes: Option<u64>,
    pub engine: &'a EngineArguments,
    pub keeping: &'a Keeping,
}

impl Going<'_> {
    /// Goes on with every run of a folder, one after the other. What has come of them is written after each.
    pub fn on_with_all(
        &self,
        path: &Path,
        series: &Series,
        interrupt: &Interrupt,
    ) -> Result<Ending> {
        let telling = self.keeping.telling();
        let mut ending = Ending::Done;
        for (part, run) in series.runs.iter().zip(series.folders(path)) {
            if !telling.quiet {
                note(part.name());
            }
            let Some(watched) = self.on_with(&run, Some(interrupt))? else {
                continue;
            };
            let (_, own) = save(watched)?;
            series.summarise(path)?;
            ending = ending.worse(own);
            if ending == Ending::Interrupted {
                break;
            }
        }
        let summary = series.summarise(path)?;
        if telling.json {
            say(summary.to_json())?;
        } else if telling.quiet {
            say(summary.folder())?;
        } else {
            say(summary)?;
        }
        Ok(ending)
    }

    /// Goes on with a run, to its end or until it is stopped; `None` if it has come to its end before.
    fn on_with(&self, path: &Path, interrupt: Option<&Interrupt>) -> Result<Option<Watched>> {
        let folder = Folder::reopen(path)?;
        let found = Unfinished::read(path, None, self.episodes, |text| note(text))?;
        let Some(run) = found else {
            return Ok(None);
        };
        let (work, engine, device) = (run.recipe.synapse_steps(), &run.engine, &run.device);
        let choice = self.engine.choose_as_before(work, engine, device)?;
        let training = match (&run.checkpoint, &run.from) {
            (Some(stored), _) => Training::resume(&choice.engine, stored.checkpoint.clone())?,
            (None, None) => Training::new(&choice.engine, &run.recipe)?,
            (None, Some(from)) => {
                let parameters = parameters_of(from, &run.recipe)?;
                Training::from_parameters(&choice.engine, &run.recipe, &parameters)?
            }
        };
        let interrupt = interrupt.cloned();
        let interrupt = interrupt.unwrap_or_else(|| Interrupt::listen(true));
        let begun = run.begun(&choice);
        let telling = self.keeping.telling();
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
        let every = self.keeping.checkpoint_every;
        let live = Live::begin(folder, begun, run.checkpoint.as_ref(), every)?;
        watched(training, Some(live), &interrupt, telling.quiet).map(Some)
    }
}
