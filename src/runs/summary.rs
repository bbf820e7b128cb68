//! What a run came to, for people and for programs.

use super::decimal::decimal;
use super::identity::Identity;
use super::run::Run;
use crate::computation::Failure;
use crate::training::{PointResult, Recipe, Statistics, Trained};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

/// What a run came to.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Summary {
    /// `null` where nothing was saved, as is the folder.
    identity: Option<Identity>,
    task: String,
    /// Networks that solved the task, or had when the run was stopped.
    solved: usize,
    /// Networks in all.
    population: usize,
    /// The error below which a network has solved the task; the fraction of wrong answers where the task judges by that.
    solved_below: f64,
    final_error: FinalError,
    /// Only where the task judges by it.
    #[serde(skip_serializing_if = "Option::is_none")]
    wrong_answers: Option<WrongAnswers>,
    /// Episodes that each network has seen.
    episodes: u64,
    seed: u64,
    interrupted: bool,
    failures: Vec<Failure>,
    /// Of a sweep, what came of each point, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    points: Vec<Point>,
    /// Of a sweep, the index of the best point: most of its networks solved the task; of several, that with the least median.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    best: Option<usize>,
    /// Wall time of training.
    seconds: f64,
    engine: String,
    device: String,
    /// The run folder.
    run: Option<String>,
}

/// What came of the networks of one point of a sweep.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Point {
    /// The settings that are swept, and their values here.
    settings: serde_json::Map<String, serde_json::Value>,
    /// For people: `learning_rate 0.003, l1 0`.
    name: String,
    /// Its first network; those of the other seeds follow.
    first_network: usize,
    population: usize,
    solved: usize,
    /// Of the final errors; `null` as there.
    median: Option<f64>,
    q25: Option<f64>,
    q75: Option<f64>,
    worst: Option<f64>,
}

impl Point {
    fn of(recipe: &Recipe, index: usize, result: &PointResult) -> Self {
        let values = recipe.sweep.iter().zip(recipe.indices(index));
        let settings = values.flat_map(|(axis, value)| {
            let value = serde_json::to_value(&axis.values[value]).unwrap_or_default();
            axis.keys
                .iter()
                .map(move |key| (key.clone(), value.clone()))
        });
        let one = |value: fn(&Statistics) -> f64| {
            let value = result.final_error.as_ref().map(value);
            value.filter(|value| value.is_finite())
        };
        Self {
            settings: settings.collect(),
            name: recipe.describe_point(index),
            first_network: result.networks.start,
            population: result.networks.len(),
            solved: result.solved,
            median: one(|s| s.median),
            q25: one(|s| s.q25),
            q75: one(|s| s.q75),
            worst: one(|s| s.worst),
        }
    }

    /// The same, of a run that differs from others in some values.
    pub fn within(self, name: &str, values: &BTreeMap<String, String>) -> Self {
        let values = values.iter();
        let mut settings: serde_json::Map<_, _> = values
            .map(|(name, value)| {
                let number = serde_json::from_str(value).ok();
                (name.clone(), number.unwrap_or_else(|| value.clone().into()))
            })
            .collect();
        settings.extend(self.settings);
        let names = [name, &self.name]
            .into_iter()
            .filter(|name| !name.is_empty());
        Self {
            settings,
            name: names.collect::<Vec<_>>().join(", "),
            ..self
        }
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    /// A line, with the name in so many columns.
    pub fn line(&self, width: usize) -> String {
        let [name, solved, median, quartiles, worst] = self.row();
        format!(
            "{name:width$}  {solved} solved, median {median}, quartiles {quartiles}, worst {worst}"
        )
    }

    /// `name, solved, median, quartiles, worst`.
    fn row(&self) -> [String; 5] {
        [
            self.name.clone(),
            format!("{} of {}", self.solved, self.population),
            number(self.median),
            format!("{} to {}", number(self.q25), number(self.q75)),
            number(self.worst),
        ]
    }
}

/// What came of each point of a sweep, and the best; nothing of a run without a sweep.
fn points(recipe: &Recipe, trained: &Trained) -> (Vec<Point>, Option<usize>) {
    if recipe.sweep.is_empty() {
        return (Vec::new(), None);
    }
    let results = trained.points(recipe);
    (points_of(recipe, &results), PointResult::best(&results))
}

/// Points from what came of them.
pub(super) fn points_of(recipe: &Recipe, results: &[PointResult]) -> Vec<Point> {
    let each = results.iter().enumerate();
    let points = each.map(|(index, result)| Point::of(recipe, index, result));
    points.collect()
}

/// Mean error per counted step over the frozen episodes; where a run was stopped, over the last ones before that. `null`
/// where it is not finite, or the run was stopped before there was any.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct FinalError {
    median: Option<f64>,
    q25: Option<f64>,
    q75: Option<f64>,
    worst: Option<f64>,
    per_network: Vec<Option<f64>>,
}

/// The fraction of wrong answers on as many fresh episodes as ran frozen; `null` where the run was stopped.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct WrongAnswers {
    median: Option<f64>,
    q25: Option<f64>,
    q75: Option<f64>,
    worst: Option<f64>,
    per_network: Vec<Option<f64>>,
}

impl WrongAnswers {
    fn of(trained: &Trained) -> Self {
        let per_network: Vec<_> = trained.networks.iter().map(|n| n.wrong).collect();
        let all: Option<Vec<f64>> = per_network.iter().copied().collect();
        let statistics = all.and_then(|all| Statistics::of(&all));
        let one = |value: fn(&Statistics) -> f64| statistics.as_ref().map(value);
        Self {
            median: one(|s| s.median),
            q25: one(|s| s.q25),
            q75: one(|s| s.q75),
            worst: one(|s| s.worst),
            per_network,
        }
    }
}

impl Summary {
    /// Of a run that is saved as `saved`.
    pub fn new(run: &Run<'_>, saved: Option<(&Identity, &Path)>) -> Self {
        let engine = &run.begun.choice.engine;
        let names = [engine.kind().to_owned(), engine.device()];
        Self::of(&run.begun.recipe, run.trained, run.seconds, names, saved)
    }

    /// The same of a run on an engine of this kind and device.
    pub(super) fn of(
        recipe: &Recipe,
        trained: &Trained,
        seconds: f64,
        [engine, device]: [String; 2],
        saved: Option<(&Identity, &Path)>,
    ) -> Self {
        let statistics = trained.final_error();
        let one = |value: fn(&Statistics) -> f64| {
            statistics
                .as_ref()
                .map(value)
                .filter(|value| value.is_finite())
        };
        let (points, best) = points(recipe, trained);
        Self {
            points,
            best,
            identity: saved.map(|(identity, _)| identity.clone()),
            task: recipe.task.name().to_owned(),
            solved: trained.solved(),
            population: recipe.networks(),
            solved_below: recipe.task.solved_below(),
            final_error: FinalError {
                median: one(|s| s.median),
                q25: one(|s| s.q25),
                q75: one(|s| s.q75),
                worst: one(|s| s.worst),
                per_network: trained
                    .networks
                    .iter()
                    .map(|network| network.final_error.filter(|error| error.is_finite()))
                    .collect(),
            },
            wrong_answers: recipe
                .task
                .is_judged_by_answers()
                .then(|| WrongAnswers::of(trained)),
            episodes: trained.history.last().map_or(0, |report| report.episode),
            seed: recipe.seed,
            interrupted: trained.stopped,
            failures: trained.failures.clone(),
            seconds,
            engine,
            device,
            run: saved.map(|(_, folder)| folder.display().to_string()),
        }
    }

    /// Of a `summary.json`.
    pub(super) fn of_json(text: &str) -> serde_json::Result<Self> {
        serde_json::from_str(text)
    }

    /// The run's identity; none where nothing was saved.
    pub fn identity(&self) -> Option<&Identity> {
        self.identity.as_ref()
    }

    /// The folder that the run was saved in; none where nothing was saved.
    pub fn folder(&self) -> Option<&str> {
        self.run.as_deref()
    }

    /// Whether the run was stopped before its end.
    pub(super) fn interrupted(&self) -> bool {
        self.interrupted
    }

    /// Networks that stopped learning.
    pub(super) fn failures(&self) -> &[Failure] {
        &self.failures
    }

    /// The fraction of wrong answers of a network, where the task judges by that.
    pub(super) fn wrong(&self, index: usize) -> Option<f64> {
        let wrong = self.wrong_answers.as_ref()?;
        wrong.per_network.get(index).copied().flatten()
    }

    /// Of a sweep, a row for each point: `name, solved, median, quartiles, worst`, as texts for a table.
    pub fn point_rows(&self) -> Vec<[String; 5]> {
        self.points.iter().map(Point::row).collect()
    }

    /// Of a sweep, the index of the best point, and what it is called.
    pub fn best(&self) -> Option<(usize, &str)> {
        let best = self.best?;
        Some((best, &self.points.get(best)?.name))
    }

    /// The engine and its device.
    pub fn engine(&self) -> [&str; 2] {
        [&self.engine, &self.device]
    }

    /// Wall time of training, in seconds.
    pub fn seconds(&self) -> f64 {
        self.seconds
    }

    /// `task, solved, median, quartiles, worst, time`, as texts for a table.
    pub fn row(&self) -> [String; 6] {
        let error = &self.final_error;
        let [median, quartiles, worst] = if self.episodes == 0 {
            ["nothing learned", "", ""].map(str::to_owned)
        } else {
            let quartiles = format!("{} to {}", number(error.q25), number(error.q75));
            [number(error.median), quartiles, number(error.worst)]
        };
        [
            self.task.clone(),
            format!("{} of {}", self.solved, self.population),
            median,
            quartiles,
            worst,
            format!("{:.1} s", self.seconds),
        ]
    }

    /// One line.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("a summary is always representable as JSON")
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let error = &self.final_error;
        let (stopped, kind) = if self.interrupted {
            let stopped = format!("stopped after {} episodes; so far ", self.episodes);
            (stopped, "last error ")
        } else {
            (String::new(), "final error")
        };
        let judged = match &self.wrong_answers {
            Some(_) => "wrong answers",
            None => kind.trim_end(),
        };
        if self.wrong_answers.is_some() && self.interrupted {
            writeln!(
                f,
                "{}: stopped after {} episodes, before wrong answers were counted",
                self.task, self.episodes
            )?;
        } else {
            writeln!(
                f,
                "{}: {stopped}{} of {} networks solved it ({judged} below {})",
                self.task, self.solved, self.population, self.solved_below
            )?;
        }
        if self.episodes > 0 {
            writeln!(
                f,
                "  {kind}  median {}, quartiles {} to {}, worst {}",
                number(error.median),
                number(error.q25),
                number(error.q75),
                number(error.worst)
            )?;
        }
        if let Some(wrong) = &self.wrong_answers
            && wrong.median.is_some()
        {
            let percent = |value: Option<f64>| 100.0 * value.unwrap_or(f64::NAN);
            writeln!(
                f,
                "  wrong        median {:.2} %, quartiles {:.2} to {:.2} %, worst {:.2} %",
                percent(wrong.median),
                percent(wrong.q25),
                percent(wrong.q75),
                percent(wrong.worst)
            )?;
        }
        let width = self
            .points
            .iter()
            .map(|point| point.name.chars().count())
            .max();
        for point in self.points.iter().filter(|_| self.episodes > 0) {
            writeln!(f, "  {}", point.line(width.unwrap_or(0)))?;
        }
        if let Some(best) = self.best {
            writeln!(f, "  best         {}", self.points[best].name)?;
        }
        writeln!(
            f,
            "  time         {:.1} s on {} ({})",
            self.seconds, self.engine, self.device
        )?;
        let files = self.run.as_deref();
        write!(f, "  files        {}", files.unwrap_or("none"))
    }
}

fn number(value: Option<f64>) -> String {
    match value {
        Some(value) => decimal(value),
        None => "not finite".to_owned(),
    }
}
