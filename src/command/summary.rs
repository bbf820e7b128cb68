//! What a run came to, for people and for programs.

use metaplastic::training::{Recipe, Statistics, Trained};
use metaplastic::{Choice, Failure};
use serde::Serialize;
use std::fmt;
use std::path::Path;

#[derive(Debug, Serialize)]
pub(super) struct Summary {
    task: &'static str,
    /// Networks that solved the task.
    solved: usize,
    population: usize,
    /// The error below which a network has solved the task.
    solved_below: f64,
    final_error: FinalError,
    /// Episodes that each network has seen.
    episodes: u64,
    seed: u64,
    interrupted: bool,
    failures: Vec<Failure>,
    /// Wall time of training.
    seconds: f64,
    engine: &'static str,
    device: String,
    /// The run folder.
    run: String,
}

/// Mean error per counted step over the frozen episodes. `null` where a run was stopped, or where it is not finite.
#[derive(Debug, Serialize)]
struct FinalError {
    median: Option<f64>,
    q25: Option<f64>,
    q75: Option<f64>,
    worst: Option<f64>,
    per_network: Vec<Option<f64>>,
}

impl Summary {
    pub fn new(
        recipe: &Recipe,
        trained: &Trained,
        choice: &Choice,
        seconds: f64,
        run: &Path,
    ) -> Self {
        let statistics = trained.final_error();
        let one = |value: fn(&Statistics) -> f64| {
            statistics
                .as_ref()
                .map(value)
                .filter(|value| value.is_finite())
        };
        Self {
            task: recipe.task.name(),
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
            episodes: trained.history.last().map_or(0, |report| report.episode),
            seed: recipe.seed,
            interrupted: trained.stopped,
            failures: trained.failures.clone(),
            seconds,
            engine: choice.engine.kind(),
            device: choice.engine.device(),
            run: run.display().to_string(),
        }
    }

    /// `task, solved, median, quartiles, worst, time`, as texts for a table.
    pub fn row(&self) -> [String; 6] {
        let error = &self.final_error;
        [
            self.task.to_owned(),
            format!("{} of {}", self.solved, self.population),
            number(error.median),
            format!("{} to {}", number(error.q25), number(error.q75)),
            number(error.worst),
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
        if self.interrupted {
            writeln!(f, "{}: stopped after {} episodes", self.task, self.episodes)?;
        } else {
            writeln!(
                f,
                "{}: {} of {} networks solved it (final error below {})",
                self.task, self.solved, self.population, self.solved_below
            )?;
            writeln!(
                f,
                "  final error  median {}, quartiles {} to {}, worst {}",
                number(error.median),
                number(error.q25),
                number(error.q75),
                number(error.worst)
            )?;
        }
        writeln!(
            f,
            "  time         {:.1} s on {} ({})",
            self.seconds, self.engine, self.device
        )?;
        write!(f, "  files        {}", self.run)
    }
}

fn number(value: Option<f64>) -> String {
    match value {
        Some(value) => format!("{value:.4}"),
        None => "not finite".to_owned(),
    }
}
