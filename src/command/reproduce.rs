//! `metaplastic reproduce`.

use super::engine::{EngineArguments, describe};
use super::figure::{self, Picture};
use super::folder::{self, Folder};
use super::interrupt::Interrupt;
use super::number::whole;
use super::report::{self, Section, Unsolved};
use super::summary::Summary;
use super::table::table;
use super::typical::typical;
use super::{Ending, note, say, train};
use clap::Args;
use metaplastic::training::{Experiment, Recipe, Trained, Training};
use metaplastic::{Choice, Error, Result};
use serde::Serialize;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// What lies in the folder beside one folder for each experiment.
const REPORT: &str = "report.html";
const SUMMARY: &str = "summary.json";

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

/// What was done for one experiment.
struct Done {
    experiment: Experiment,
    recipe: Recipe,
    trained: Trained,
    summary: Summary,
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
    let recipes = Experiment::ALL.map(|experiment| Recipe {
        seed: arguments.seed,
        population: arguments.runs,
        ..Recipe::paper(experiment)
    });
    for recipe in &recipes {
        recipe.check()?;
    }
    let name = format!("reproduction-seed{}", arguments.seed);
    let asked = arguments.output.as_deref();
    let path = folder::choose(asked, arguments.force, &name, is_taken)?;
    let mut ready = Vec::new();
    for (experiment, recipe) in Experiment::ALL.into_iter().zip(recipes) {
        let choice = arguments.engine.choose(recipe.synapse_steps(), false)?;
        let training = Training::new(&choice.engine, &recipe)?;
        ready.push((experiment, recipe, choice, training));
    }
    let interrupt = Interrupt::listen();
    folder::prepare(&path)?;
    // A report of other runs must not stay beside these, should they be stopped.
    match std::fs::remove_file(path.join(REPORT)) {
        Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
            let path = path.join(REPORT);
            return Err(Error::Write { path, source });
        }
        _ => {}
    }

    let mut done: Vec<Done> = Vec::new();
    let mut ending = Ending::Done;
    let mut device = String::new();
    for (experiment, recipe, choice, training) in ready {
        let folder = Folder::inside(path.join(experiment.name()));
        folder.prepare()?;
        if !arguments.quiet {
            note(format_args!("{}: {}", experiment.name(), describe(&choice)));
        }
        device = choice.engine.device();
        let one = train_one(
            experiment,
            recipe,
            &choice,
            training,
            &folder,
            |training, recipe| train::watched(training, recipe, &interrupt, arguments.quiet),
        )?;
        ending = worse(ending, train::ending(&one.trained));
        done.push(one);
        if ending == Ending::Interrupted {
            break;
        }
    }

    let finished = ending != Ending::Interrupted;
    if finished {
        write_report(&path, &done, arguments, start, &device)?;
    }
    let totals = Totals {
        experiments: done.iter().map(|one| &one.summary).collect(),
        seconds: start.elapsed().as_secs_f64(),
        report: finished.then(|| path.join(REPORT).display().to_string()),
    };
    let json = serde_json::to_string(&totals).expect("summaries are representable as JSON");
    folder::write_text(&path.join(SUMMARY), &(json.clone() + "\n"))?;
    if arguments.json {
        say(json)?;
    } else if !arguments.quiet {
        say(totals.to_text())?;
    }
    Ok(ending)
}

/// Whether a folder holds a reproduction, or a part of one.
fn is_taken(path: &Path) -> bool {
    [REPORT, SUMMARY]
        .iter()
        .any(|name| path.join(name).exists())
        || Experiment::ALL
            .iter()
            .any(|experiment| folder::holds_a_run(&path.join(experiment.name())))
}

fn worse(one: Ending, other: Ending) -> Ending {
    match (one, other) {
        (Ending::Interrupted, _) | (_, Ending::Interrupted) => Ending::Interrupted,
        (Ending::NotFinite, _) | (_, Ending::NotFinite) => Ending::NotFinite,
        _ => Ending::Done,
    }
}

/// Trains one experiment's population and writes its run.
fn train_one(
    experiment: Experiment,
    recipe: Recipe,
    choice: &Choice,
    training: Training,
    folder: &Folder,
    train: impl FnOnce(Training, &Recipe) -> Result<Trained>,
) -> Result<Done> {
    let start = Instant::now();
    let trained = train(training, &recipe)?;
    let seconds = start.elapsed().as_secs_f64();
    let summary = Summary::new(&recipe, &trained, choice, seconds, folder.path());
    folder.write(&recipe, &trained, choice, &summary)?;
    Ok(Done {
        experiment,
        recipe,
        trained,
        summary,
    })
}

fn write_report(
    path: &Path,
    done: &[Done],
    arguments: &Arguments,
    start: Instant,
    device: &str,
) -> Result<()> {
    let sections: Vec<_> = done.iter().map(Done::section).collect();
    for (one, section) in done.iter().zip(&sections) {
        let folder = path.join(one.experiment.name());
        folder::write_text(&folder.join("network.svg"), &section.network)?;
        folder::write_text(&folder.join("heat-maps.svg"), &section.heat_maps)?;
    }
    let command = format!(
        "metaplastic reproduce --runs {} --seed {}",
        arguments.runs, arguments.seed
    );
    let seconds = start.elapsed().as_secs_f64();
    let html = report::html(&sections, &command, seconds, device);
    folder::write_text(&path.join(REPORT), &html)
}

impl Done {
    fn section(&self) -> Section<'_> {
        let Self {
            experiment,
            recipe,
            trained,
            summary,
        } = self;
        let errors: Vec<_> = trained.networks.iter().map(|n| n.final_error).collect();
        let solved: Vec<_> = trained.networks.iter().map(|n| n.solved).collect();
        let index = typical(&errors, &solved);
        let error = |error: Option<f64>| match error {
            Some(error) if error.is_finite() => format!("{error:.4}"),
            _ => "not finite".to_owned(),
        };
        let (title, account) = account(*experiment);
        let subtitle = format!(
            "seed {}, {}, final error {}",
            trained.networks[index].seed,
            if solved[index] {
                "solved"
            } else {
                "not solved"
            },
            error(errors[index])
        );
        let picture = Picture {
            task: &recipe.task,
            network: &recipe.network,
            parameters: &trained.parameters,
            index,
            title: "A typical network",
            subtitle: &subtitle,
        };
        let unsolved = trained.networks.iter().filter(|network| !network.solved);
        Section {
            title,
            account,
            summary,
            row: summary.row(),
            curve: figure::curve(recipe, trained),
            network: figure::network(&picture),
            heat_maps: figure::heat_maps(&Picture {
                title: "Its weights and plasticity coefficients",
                ..picture
            }),
            unsolved: unsolved
                .map(|network| Unsolved {
                    seed: network.seed,
                    error: error(network.final_error),
                })
                .collect(),
            recipe: recipe.to_commented_toml(),
        }
    }
}

/// A title, and what an episode is.
fn account(experiment: Experiment) -> (&'static str, &'static str) {
    match experiment {
        Experiment::Completion => (
            "Pattern completion",
            "In every episode a network sees a new random pattern of 8 bits for one step, then one bit of it alone. From \
             that bit it must bring back the whole pattern, which only its traces can know.",
        ),
        Experiment::OneShot => (
            "One-shot learning",
            "In every episode a network sees two new random patterns in turn, each with its label the first time only. \
             From then on it must give the label of the pattern it sees.",
        ),
        Experiment::Reversal => (
            "Reversal learning",
            "As one-shot learning, but half-way through the episode the labels swap and are shown once more: what was \
             learned must be unlearned at once.",
        ),
    }
}

impl Totals<'_> {
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
