//! `metaplastic reproduce`.

use super::engine::{EngineArguments, describe};
use super::interrupt::Interrupt;
use super::number::whole;
use super::output::{Ending, note, say};
use super::report::{self, Page};
use super::table::table;
use super::watched::{Watched, ending as ending_of, watched};
use clap::Args;
use metaplastic::engine::Choice;
use metaplastic::file::remove;
use metaplastic::runs::files::{FIGURES, REPORT, SUMMARY, holds_a_run};
use metaplastic::runs::staging::{self, Staging};
use metaplastic::runs::{Begun, Folder, Run, Summary, Wanted};
use metaplastic::tasks::{self, Task};
use metaplastic::training::{Recipe, Trained, Training};
use metaplastic::{Error, Result};
use serde::Serialize;
use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

#[derive(Args, Debug)]
pub(super) struct Arguments {
    /// Networks for each experiment
    #[arg(
        long,
        default_value_t = 20,
        value_name = "COUNT",
        allow_negative_numbers = true,
        value_parser = whole::<usize>
    )]
    runs: usize,

    /// Seed of the first network; the next ones have the seeds that follow
    #[arg(long, default_value_t = 0, allow_negative_numbers = true, value_parser = whole::<u64>)]
    seed: u64,

    #[command(flatten)]
    engine: EngineArguments,

    /// Folder for the report and the runs [default: runs/reproduction-seedSEED, numbered where that is taken]
    #[arg(long, value_name = "DIR")]
    output: Option<PathBuf>,

    /// Replace what an earlier reproduction left in the folder; other files are left alone
    #[arg(long)]
    force: bool,

    /// Print nothing but errors
    #[arg(long)]
    quiet: bool,

    /// Print the summaries as one line of JSON on standard output
    #[arg(long)]
    json: bool,
}

/// The experiments of the paper (Miconi 2016).
const EXPERIMENTS: [&str; 3] = ["completion", "one-shot", "reversal"];
/// The heading of the report on them.
const TITLE: &str = "Learning to learn with Hebbian plasticity: three experiments";

fn experiments() -> impl Iterator<Item = Arc<dyn Task>> {
    EXPERIMENTS.into_iter().filter_map(tasks::named)
}

/// An experiment's networks.
#[derive(Clone)]
struct Ended {
    recipe: Recipe,
    choice: Choice,
    trained: Trained,
    /// Wall time of training.
    seconds: f64,
}

/// A folder for the runs that have ended while an old reproduction is in their place: a process that is killed loses none.
struct Beside {
    // Given up before the folder around them.
    parts: VecDeque<Folder>,
    whole: Folder,
}

/// What was done for one experiment.
struct Done {
    summary: Summary,
    /// The run.
    folder: PathBuf,
}

#[derive(Serialize)]
struct Totals<'a> {
    experiments: Vec<&'a Summary>,
    /// Wall time of everything, figures included.
    seconds: f64,
    report: Option<String>,
}

pub(super) fn run(arguments: &Arguments) -> Result<Ending> {
    let start = Instant::now();
    let mut recipes = Vec::new();
    for task in experiments() {
        let recipe = Recipe {
            seed: arguments.seed,
            population: arguments.runs,
            ..Recipe::new(task)?
        };
        recipe.check()?;
        recipes.push(recipe);
    }
    let wanted = Wanted {
        asked: arguments.output.as_deref(),
        name: format!("reproduction-seed{}", arguments.seed),
        force: arguments.force,
        is_taken,
    };
    wanted.check()?;
    let mut ready = Vec::new();
    for recipe in recipes {
        let choice = arguments.engine.choose(recipe.synapse_steps(), false)?;
        let training = Training::new(&choice.engine, &recipe)?;
        ready.push((recipe, choice, training));
    }
    let interrupt = Interrupt::listen(false);
    let mut whole = wanted.claim()?;
    let mut folders = claim_parts(&whole)?;
    let replaces = is_taken(whole.path());

    let mut ended: Vec<Ended> = Vec::new();
    let mut done: Vec<Done> = Vec::new();
    let mut beside = None;
    let mut ending = Ending::Done;
    let mut engine = None;
    for (recipe, choice, training) in ready {
        if !arguments.quiet {
            note(format_args!(
                "{}: {}",
                recipe.task.name(),
                describe(&choice)
            ));
        }
        engine = Some(choice.engine.clone());
        let start = Instant::now();
        let Watched { trained, .. } = watched(training, None, &interrupt, arguments.quiet)?;
        ending = ending.worse(ending_of(&trained));
        ended.push(Ended {
            recipe,
            choice,
            trained,
            seconds: start.elapsed().as_secs_f64(),
        });
        // An old reproduction is replaced when all of the new one is there.
        if !replaces {
            save(&mut ended, &mut done, &mut folders)?;
        } else if ending != Ending::Interrupted && ended.len() < EXPERIMENTS.len() {
            beside = beside.or_else(|| Beside::of(&whole));
            if let Some(beside) = &mut beside {
                beside.keep(&ended);
            }
        }
        if ending == Ending::Interrupted {
            break;
        }
    }

    let finished = ending != Ending::Interrupted;
    if replaces && !finished {
        let path = whole.path().display().to_string();
        if ended.iter().all(|one| one.trained.history.is_empty()) {
            note(format_args!(
                "{path}: nothing was learned; the reproduction that was there is kept"
            ));
            let nothing = Totals {
                experiments: Vec::new(),
                seconds: start.elapsed().as_secs_f64(),
                report: None,
            };
            nothing.tell(arguments)?;
            return Ok(ending);
        }
        let kept = beside.take().or_else(|| Beside::of(&whole));
        let kept = kept.ok_or_else(|| {
            let reason = "no folder beside it can be written to";
            Error::Write {
                path: whole.path().to_owned(),
                source: std::io::Error::other(reason),
            }
        })?;
        (whole, folders) = (kept.whole, kept.parts);
        note(format_args!(
            "{path}: the reproduction that was there is kept; the one that was stopped is saved in {}",
            whole.path().display()
        ));
    } else if replaces {
        // What was said of other runs must not stay beside these.
        remove(whole.path().join(REPORT))?;
        remove(whole.path().join(SUMMARY))?;
    }
    save(&mut ended, &mut done, &mut folders)?;

    let staging = Staging::new(whole.path())?;
    if finished && let Some(engine) = engine {
        let command = format!(
            "metaplastic reproduce --runs {} --seed {}",
            arguments.runs, arguments.seed
        );
        let folders: Vec<_> = done.iter().map(|one| one.folder.clone()).collect();
        let page = Page {
            title: TITLE,
            is_reproduction: true,
            command: &command,
            sections: &report::sections(&folders, &engine, None)?,
            seconds: Some(start.elapsed().as_secs_f64()),
        };
        staging.write_text(REPORT, &page.html())?;
    }
    let totals = Totals {
        experiments: done.iter().map(|one| &one.summary).collect(),
        seconds: start.elapsed().as_secs_f64(),
        report: finished.then(|| whole.path().join(REPORT).display().to_string()),
    };
    staging.write_text(SUMMARY, &(totals.to_json() + "\n"))?;
    staging.commit()?;
    if let Some(beside) = beside {
        beside.remove()?;
    }
    totals.tell(arguments)?;
    Ok(ending)
}

/// Claims the folder of every experiment, in their order.
fn claim_parts(whole: &Folder) -> Result<VecDeque<Folder>> {
    let all = EXPERIMENTS.into_iter();
    all.map(|name| whole.inside(name)).collect()
}

/// Writes the runs that have ended, each into the next of the folders.
fn save(
    ended: &mut Vec<Ended>,
    done: &mut Vec<Done>,
    folders: &mut VecDeque<Folder>,
) -> Result<()> {
    for one in ended.drain(..) {
        let mut folder = folders.pop_front().expect("there is one for each");
        done.push(Done::save(one, &mut folder)?);
    }
    Ok(())
}

/// Whether a folder holds a reproduction, or a part of one.
fn is_taken(path: &Path) -> bool {
    [REPORT, SUMMARY]
        .iter()
        .any(|name| staging::find(path, name).exists())
        || EXPERIMENTS.iter().any(|name| holds_a_run(&path.join(name)))
}

impl Beside {
    /// `None` where no folder can be written to.
    fn of(whole: &Folder) -> Option<Self> {
        let whole = whole.elsewhere(is_taken).next()?;
        let parts = claim_parts(&whole).ok()?;
        Some(Self { parts, whole })
    }

    /// Writes the last run that has ended. The old reproduction is in no danger if that fails, nor is this one yet.
    fn keep(&mut self, ended: &[Ended]) {
        let (Some(last), Some(folder)) = (ended.last(), self.parts.get_mut(ended.len() - 1)) else {
            return;
        };
        if let Err(error) = Done::save(last.clone(), folder) {
            note(error);
        }
    }

    /// Removes what is in its place by now.
    fn remove(self) -> Result<()> {
        self.parts.iter().try_for_each(Folder::remove_run)
    }
}

impl Done {
    /// Draws an experiment's networks and writes its run.
    fn save(ended: Ended, folder: &mut Folder) -> Result<Self> {
        let Ended {
            recipe,
            choice,
            trained,
            seconds,
        } = ended;
        let [network, heat_maps] = report::typical(&recipe, &trained);
        let begun = Begun::new(&recipe, &choice);
        let summary = folder.save(
            &Run::new(&begun, &trained, seconds)
                .figures(&[(FIGURES[0], &network), (FIGURES[1], &heat_maps)]),
            |text| note(text),
        )?;
        Ok(Self {
            summary,
            folder: folder.path().to_owned(),
        })
    }
}

impl Totals<'_> {
    fn to_json(&self) -> String {
        serde_json::to_string(self).expect("summaries are representable as JSON")
    }

    /// Prints them as the arguments ask.
    fn tell(&self, arguments: &Arguments) -> Result<()> {
        if arguments.json {
            say(self.to_json())
        } else if arguments.quiet {
            Ok(())
        } else {
            say(self.to_text())
        }
    }

    fn to_text(&self) -> String {
        let rows: Vec<_> = self.experiments.iter().map(|one| one.row()).collect();
        let heading = [
            "task",
            "solved",
            "median error",
            "quartiles",
            "worst",
            "time",
        ];
        let report = match &self.report {
            Some(report) => format!("report: {report}"),
            None => "stopped before the end: no report".to_owned(),
        };
        format!(
            "{}\n\n{report} ({:.1} s in all)",
            table(heading, &rows),
            self.seconds
        )
    }
}
