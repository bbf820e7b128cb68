//! `metaplastic evaluate`.

use super::engine::{EngineArguments, describe};
use super::figure::figure_file;
use super::number::whole;
use super::output::{Ending, note, require_apart, say};
use super::recall;
use super::record::RecordArguments;
use super::report::{episodes_of, evaluated};
use super::subject::{Subject, read};
use super::table::table;
use super::task::TaskSettings;
use clap::Args;
use metaplastic::engine::Choice;
use metaplastic::file::require_writable;
use metaplastic::runs::StoredRun as Run;
use metaplastic::runs::decimal::decimal;
use metaplastic::runs::{figure, files};
use metaplastic::tasks::Task;
use metaplastic::training::{Data, Evaluation, PointResult, Recipe, Statistics};
use metaplastic::{Error, Result};
use serde::Serialize;
use std::path::{Path, PathBuf};
use std::sync::Arc;

#[derive(Args, Debug)]
pub(super) struct Arguments {
    /// The folder of a run
    #[arg(value_name = "RUN")]
    run: PathBuf,

    /// Fresh episodes for each network [default: 1000]; of episodes of one's own, so many in their order [default: each once]
    #[arg(long, allow_negative_numbers = true, value_parser = whole::<u64>)]
    episodes: Option<u64>,

    /// A file of episodes to evaluate on, as `gradient` takes them, in the place of the run's task
    #[arg(long, value_name = "FILE.safetensors")]
    data: Option<PathBuf>,

    /// Seed of the first network's episodes; none of them occurred in training [default: the run's; episodes of one's own have
    /// none]
    #[arg(long, allow_negative_numbers = true, value_parser = whole::<u64>)]
    seed: Option<u64>,

    #[command(flatten)]
    engine: EngineArguments,

    #[command(flatten)]
    task: TaskSettings,

    /// A file for the figure: SVG, PNG or PDF, by its ending
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,

    /// A file (SVG, PNG or PDF) for a figure of patterns, what is shown of them, and what a typical network brings back
    #[arg(long, value_name = "FILE")]
    recall: Option<PathBuf>,

    /// The run of a control on the same task, whose network is drawn beside
    #[arg(long, value_name = "RUN", requires = "recall")]
    control: Option<PathBuf>,

    #[command(flatten)]
    recording: RecordArguments,

    /// Print the results as one line of JSON on standard output
    #[arg(long)]
    json: bool,
}

/// The results, for programs. What is not finite is `null`.
#[derive(Serialize)]
struct Report<'a> {
    task: &'a str,
    population: usize,
    episodes: u64,
    seed: u64,
    /// Networks whose error, or fraction of wrong answers where the task judges by that, is below the task's threshold on these
    /// episodes.
    solved: usize,
    /// Over the networks, per counted step.
    error: Statistics,
    /// Over the networks, per counted step; `worst` is the lowest.
    accuracy: Statistics,
    steps: Vec<Step>,
    /// Of a sweep, of the networks of each point, in order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    points: Vec<PointReport>,
    /// Of a sweep, the index of the best point on these episodes.
    #[serde(skip_serializing_if = "Option::is_none")]
    best: Option<usize>,
    networks: Vec<NetworkReport>,
    engine: &'static str,
    device: String,
    figure: Option<&'a Path>,
}

#[derive(Serialize)]
struct Step {
    step: usize,
    counted: bool,
    error: Statistics,
    accuracy: Statistics,
}

#[derive(Serialize)]
struct PointReport {
    name: String,
    first_network: usize,
    population: usize,
    solved: usize,
    error: Statistics,
    accuracy: Statistics,
}

#[derive(Serialize)]
struct NetworkReport {
    seed: u64,
    /// Of a sweep, the values that it has.
    #[serde(skip_serializing_if = "Option::is_none")]
    point: Option<String>,
    error: f64,
    accuracy: f64,
    error_at_step: Vec<f64>,
    accuracy_at_step: Vec<f64>,
}

pub(super) fn run(arguments: &Arguments) -> Result<Ending> {
    let output = figure_file(arguments.output.as_deref(), "--output")?;
    let recalled = figure_file(arguments.recall.as_deref(), "--recall")?;
    let mut run = read(&arguments.run)?;
    let inputs = inputs(arguments, &run.recipe);
    run.recipe.task = arguments.task.apply(run.recipe.task)?;
    if let Some(path) = &arguments.data {
        let threshold = run.recipe.task.solved_below();
        let data = Data::read(path, None, &run.recipe.network)?;
        run.recipe.task = Arc::new(data.solved_below(threshold));
    }
    let recipe = &run.recipe;
    require_no_seed(arguments, &*recipe.task)?;
    let episodes = episodes_of(&*recipe.task, arguments.episodes);
    let mut control = arguments.control.as_deref().map(read).transpose()?;
    if let Some(control) = &mut control {
        control.recipe.task = arguments.task.apply(control.recipe.task.clone())?;
        recall::require_same_task(recipe, &control.recipe)?;
    }
    if recalled.is_some() && recipe.task.recall_step().is_none() {
        let reason = format!("{} has no patterns to bring back", recipe.task.name());
        return Err(Error::Setting {
            field: "--recall".into(),
            reason,
        });
    }
    let outputs = [("--output", output), ("--recall", recalled)];
    let outputs = outputs.map(|(option, file)| file.map(|(path, _)| (option, path)));
    let recorded = arguments.recording.files();
    require_apart(outputs.into_iter().flatten().chain(recorded), &inputs)?;
    for (path, _) in output.iter().chain(&recalled) {
        require_writable(path)?;
    }
    arguments.recording.check(&run, episodes)?;
    let seed = arguments.seed.unwrap_or(recipe.seed);
    let choice = arguments.engine.choose(recipe.synapse_steps(), false)?;
    if !arguments.json {
        note(format_args!("engine: {}", describe(&choice)));
    }
    let evaluation = Evaluation::of_run(&choice.engine, recipe, &run.parameters, seed, episodes)?;
    let report = Report::new(&run, &evaluation, seed, &choice, arguments);
    if let Some((path, format)) = output {
        let title = format!("{}: within an episode", recipe.task.name());
        let figure = figure::steps(
            &*recipe.task,
            &evaluation,
            &title,
            &report.subtitle(&*recipe.task),
        );
        format.write(path, &run.identity.mark_svg(&figure))?;
    }
    if let Some((path, format)) = recalled {
        let subject = Subject::of_stored(&run);
        let control = control.as_ref().map(Subject::of_stored);
        if let Some(figure) = recall::draw(&choice.engine, &subject, control.as_ref(), seed)? {
            format.write(path, &run.identity.mark_svg(&figure))?;
        }
    }
    arguments.recording.run(&choice.engine, &run, seed)?;
    if arguments.json {
        say(serde_json::to_string(&report).expect("a report is always representable as JSON"))?;
    } else {
        say(report.to_text(&*recipe.task))?;
    }
    let finite = report
        .networks
        .iter()
        .all(|network| network.error.is_finite());
    Ok(if finite {
        Ending::Done
    } else {
        Ending::NotFinite
    })
}

/// Fails if a seed is given for episodes that do not depend on it.
fn require_no_seed(arguments: &Arguments, task: &dyn Task) -> Result<()> {
    match (arguments.seed, task.episodes_in_all()) {
        (Some(seed), Some(_)) => Err(Error::Setting {
            field: "--seed".into(),
            reason: format!(
                "{seed}, but the episodes are those of a file in their order, whatever the seed"
            ),
        }),
        _ => Ok(()),
    }
}

/// The files that are read: those of the runs, and of episodes of one's own.
fn inputs(arguments: &Arguments, recipe: &Recipe) -> Vec<PathBuf> {
    let runs = std::iter::once(&arguments.run).chain(&arguments.control);
    let mut all: Vec<_> = runs.flat_map(|folder| files::own(folder)).collect();
    all.extend(arguments.data.clone());
    all.extend(Data::files(&*recipe.task));
    all
}

/// Of a sweep, each point, and which is the best.
fn points(
    recipe: &Recipe,
    errors: &[f64],
    accuracies: &[f64],
    solved: &[bool],
) -> (Vec<PointReport>, Option<usize>) {
    if recipe.sweep.is_empty() {
        return (Vec::new(), None);
    }
    let known: Vec<_> = errors.iter().copied().map(Some).collect();
    let results = PointResult::of_each(recipe, &known, solved);
    let points = results.iter().enumerate().map(|(index, result)| {
        let own = result.networks.clone();
        PointReport {
            name: recipe.describe_point(index),
            first_network: own.start,
            population: own.len(),
            solved: result.solved,
            error: statistics(&errors[own.clone()]),
            accuracy: accuracy(&accuracies[own]),
        }
    });
    (points.collect(), PointResult::best(&results))
}

/// Of accuracies the lowest is the worst.
fn accuracy(values: &[f64]) -> Statistics {
    let wrong: Vec<f64> = values.iter().map(|value| 1.0 - value).collect();
    let wrong = statistics(&wrong);
    Statistics {
        median: 1.0 - wrong.median,
        q25: 1.0 - wrong.q75,
        q75: 1.0 - wrong.q25,
        worst: 1.0 - wrong.worst,
    }
}

fn statistics(values: &[f64]) -> Statistics {
    Statistics::of(values).expect("a population is not empty")
}

impl<'a> Report<'a> {
    fn new(
        run: &'a Run,
        evaluation: &Evaluation,
        seed: u64,
        choice: &Choice,
        arguments: &'a Arguments,
    ) -> Self {
        let (errors, accuracies) = (evaluation.mean_error(), evaluation.mean_accuracy());
        let recipe = &run.recipe;
        let task = &*recipe.task;
        let solved = evaluation.solved(task);
        let (points, best) = points(recipe, &errors, &accuracies, &solved);
        let steps = evaluation
            .counted
            .iter()
            .enumerate()
            .map(|(step, &counted)| Step {
                step,
                counted,
                error: statistics(&evaluation.error.column(step).to_vec()),
                accuracy: accuracy(&evaluation.accuracy.column(step).to_vec()),
            });
        let networks = errors.iter().zip(&accuracies).enumerate();
        let networks = networks.map(|(index, (&error, &accuracy))| NetworkReport {
            seed: seed.wrapping_add(recipe.seed_of(index).wrapping_sub(recipe.seed)),
            point: (!recipe.sweep.is_empty())
                .then(|| recipe.describe_point(recipe.point_of(index))),
            error,
            accuracy,
            error_at_step: evaluation.error.row(index).to_vec(),
            accuracy_at_step: evaluation.accuracy.row(index).to_vec(),
        });
        Self {
            task: recipe.task.name(),
            population: recipe.networks(),
            episodes: evaluation.episodes,
            seed,
            points,
            best,
            solved: solved.into_iter().filter(|it| *it).count(),
            error: statistics(&errors),
            accuracy: accuracy(&accuracies),
            steps: steps.collect(),
            networks: networks.collect(),
            engine: choice.engine.kind(),
            device: choice.engine.device(),
            figure: arguments.output.as_deref(),
        }
    }

    fn subtitle(&self, task: &dyn Task) -> String {
        evaluated(task, self.population, self.episodes)
    }

    fn to_text(&self, task: &dyn Task) -> String {
        let threshold = task.solved_below();
        let judged = match task.is_judged_by_answers() {
            true => format!("less than {} % wrong", 100.0 * threshold),
            false => format!("an error below {threshold} per counted step"),
        };
        let steps: Vec<_> = self.steps.iter().map(Step::row).collect();
        let heading = [
            "step",
            "median error",
            "quartiles",
            "right",
            "worst network",
            "",
        ];
        let mut text = format!(
            "{}: {}\n{} of {} networks have {judged}; \
             median {}, {:.2} % right\n\n{}\n",
            self.task,
            self.subtitle(task),
            self.solved,
            self.population,
            decimal(self.error.median),
            100.0 * self.accuracy.median,
            table(heading, &steps),
        );
        if let Some(best) = self.best {
            let points: Vec<_> = self.points.iter().map(PointReport::row).collect();
            let heading = ["sweep", "solved", "median error", "quartiles", "right"];
            let best = &self.points[best].name;
            text += &format!("\n{}\nbest: {best}\n", table(heading, &points));
        }
        let networks: Vec<_> = self.networks.iter().map(NetworkReport::row).collect();
        text += "\n";
        text += &table(["seed", "error", "right", ""], &networks);
        text
    }
}

impl Step {
    fn row(&self) -> [String; 6] {
        [
            self.step.to_string(),
            decimal(self.error.median),
            format!("{} to {}", decimal(self.error.q25), decimal(self.error.q75)),
            format!("{:.1} %", 100.0 * self.accuracy.median),
            format!("{:.1} %", 100.0 * self.accuracy.worst),
            if self.counted { "" } else { "not counted" }.to_owned(),
        ]
    }
}

impl PointReport {
    fn row(&self) -> [String; 5] {
        [
            self.name.clone(),
            format!("{} of {}", self.solved, self.population),
            decimal(self.error.median),
            format!("{} to {}", decimal(self.error.q25), decimal(self.error.q75)),
            format!("{:.1} %", 100.0 * self.accuracy.median),
        ]
    }
}

impl NetworkReport {
    fn row(&self) -> [String; 4] {
        [
            self.seed.to_string(),
            decimal(self.error),
            format!("{:.2} %", 100.0 * self.accuracy),
            self.point.clone().unwrap_or_default(),
        ]
    }
}
