//! What a run came to, for people and for programs.

use super::decimal::decimal;
use super::identity::Identity;
use super::run::Run;
use crate::computation::Failure;
use crate::training::{Statistics, Trained};
use serde::{Deserialize, Serialize};
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
    /// Wall time of training.
    seconds: f64,
    engine: String,
    device: String,
    /// The run folder.
    run: Option<String>,
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
        let (trained, recipe) = (run.trained, &run.begun.recipe);
        let engine = &run.begun.choice.engine;
        let statistics = trained.final_error();
        let one = |value: fn(&Statistics) -> f64| {
            statistics
                .as_ref()
                .map(value)
                .filter(|value| value.is_finite())
        };
        Self {
            identity: saved.map(|(identity, _)| identity.clone()),
            task: recipe.task.name().to_owned(),
            solved: trained.solved(),
            population: recipe.population,
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
            seconds: run.seconds,
            engine: engine.kind().to_owned(),
            device: engine.device(),
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
