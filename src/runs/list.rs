//! The runs in a folder, as a list.

use super::claim::is_claimed;
use super::files::{METRICS, RUN, SUMMARY};
use super::settings::{Label, Settings};
use super::staging::find;
use super::stored::{lost, require_folder};
use crate::error::{Error, Result};
use crate::file::read_text;
use crate::named::named;
use crate::training::setting_text;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use toml::{Table, Value};

named! {
    /// How far a run is.
    #[non_exhaustive]
    pub enum State ("state") {
        /// A process goes on with it.
        Running = "running",
        /// It has come to its end.
        Done = "done",
        /// It was stopped or killed before that, and can go on.
        Interrupted = "interrupted",
    }
}

/// A run of a list.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Listed {
    /// Its folder.
    pub path: PathBuf,
    /// What it is called, and where it was begun.
    pub label: Label,
    /// How far it is.
    pub state: State,
    /// Its task.
    pub task: String,
    /// Every setting of its recipe, by the path of its key: `optimiser.learning_rate`.
    pub settings: BTreeMap<String, String>,
    /// Networks; of a sweep that has not ended, for each point.
    pub population: u64,
    /// Of a sweep that has ended or was stopped, what its best point is called.
    pub best: Option<String>,
    /// Networks that solved the task, of a run that has ended or was stopped.
    pub solved: Option<u64>,
    /// The median of the final errors; of a run that has not ended, of its last report.
    pub error: Option<f64>,
    /// Episodes that each network has seen.
    pub episodes: u64,
    /// Wall time of training in seconds, of a run that has ended or was stopped.
    pub seconds: Option<f64>,
}

/// The part of `summary.json` that is needed.
#[derive(Deserialize)]
struct Summary {
    solved: u64,
    population: u64,
    #[serde(default)]
    points: Vec<Point>,
    best: Option<usize>,
    episodes: u64,
    interrupted: bool,
    seconds: f64,
    final_error: FinalError,
}

/// A point of a sweep.
#[derive(Deserialize)]
struct Point {
    name: String,
}

#[derive(Deserialize)]
struct FinalError {
    median: Option<f64>,
}

/// A line of `metrics.jsonl`.
#[derive(Deserialize)]
struct Line {
    episode: u64,
    median: Option<f64>,
}

/// How deep runs may lie below the folder: those of a reproduction lie in one more.
const DEPTH: usize = 3;

/// The runs in a folder and in the folders inside of it, by their paths. One that cannot be read is told of by `tell`, and left
/// out.
///
/// # Errors
/// If the folder cannot be read.
pub fn list(folder: &Path, mut tell: impl FnMut(&str)) -> Result<Vec<Listed>> {
    let mut found = Vec::new();
    require_folder(folder)?;
    let entries = folder.read_dir();
    entries.map_err(|source| Error::Read {
        path: folder.to_owned(),
        source,
    })?;
    walk(folder, DEPTH, &mut found);
    found.sort();
    let mut runs = Vec::new();
    for path in found {
        match Listed::read(path, &mut tell) {
            Ok(run) => runs.push(run),
            Err(error) => tell(&error.to_string()),
        }
    }
    Ok(runs)
}

/// Adds the folders that have a `run.toml`.
fn walk(folder: &Path, depth: usize, found: &mut Vec<PathBuf>) {
    if find(folder, RUN).is_file() {
        found.push(folder.to_owned());
    } else if depth > 0 {
        // What may not be read is not one's own.
        for entry in folder.read_dir().into_iter().flatten().flatten() {
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                walk(&entry.path(), depth - 1, found);
            }
        }
    }
}

impl Listed {
    /// Reads a run's files; without a summary it is one that can go on.
    fn read(path: PathBuf, tell: &mut dyn FnMut(&str)) -> Result<Self> {
        let file = find(&path, RUN);
        let origin = file.display().to_string();
        let run: Settings<Table> = Settings::read(&read_text(&file)?, &origin)?;
        let mut settings = BTreeMap::new();
        flatten("", &run.recipe, &mut settings);
        let population = run.recipe.get("population").and_then(Value::as_integer);
        let task = run.recipe.get("task").and_then(|task| task.get("kind"));
        let summary = run.identity.as_ref().map(|_| summary(&path)).transpose();
        let summary = summary.unwrap_or_else(|error| {
            tell(&error.to_string());
            None
        });
        let state = match &summary {
            _ if is_claimed(&path) => State::Running,
            Some(summary) if !summary.interrupted => State::Done,
            _ => State::Interrupted,
        };
        let last = last_line(&find(&path, METRICS));
        Ok(Self {
            label: run.label,
            state,
            task: task.and_then(Value::as_str).unwrap_or_default().to_owned(),
            settings,
            population: match &summary {
                Some(summary) => summary.population,
                None => population.and_then(|it| it.try_into().ok()).unwrap_or(0),
            },
            best: summary
                .as_ref()
                .and_then(|it| Some(it.points.get(it.best?)?.name.clone())),
            solved: summary.as_ref().map(|it| it.solved),
            error: match &summary {
                Some(summary) => summary.final_error.median,
                None => last.as_ref().and_then(|line| line.median),
            },
            episodes: match (&summary, last) {
                (Some(summary), _) => summary.episodes,
                (None, last) => last.map_or(0, |line| line.episode),
            },
            seconds: summary.map(|it| it.seconds),
            path,
        })
    }

    /// Its folder, and what the run is called where that is something else.
    pub fn name(&self) -> String {
        let folder = self.path.display();
        match &self.label.name {
            Some(name) if !self.path.ends_with(name) => format!("{folder} ({name})"),
            _ => folder.to_string(),
        }
    }
}

/// What a run that has ended came to.
fn summary(folder: &Path) -> Result<Summary> {
    if let Some(path) = lost(folder) {
        return Err(Error::RunIncomplete { path });
    }
    let path = find(folder, SUMMARY);
    serde_json::from_str(&read_text(&path)?).map_err(|error| Error::Run {
        path,
        reason: error.to_string(),
    })
}

fn last_line(path: &Path) -> Option<Line> {
    let text = read_text(path).ok()?;
    // The last one may be half there.
    let mut lines = text.lines().rev();
    lines.find_map(|line| serde_json::from_str(line).ok())
}

fn flatten(prefix: &str, table: &Table, into: &mut BTreeMap<String, String>) {
    for (key, value) in table {
        let path = format!("{prefix}{key}");
        match value {
            Value::Table(inner) => flatten(&format!("{path}."), inner, into),
            Value::Array(items) if items.iter().all(Value::is_table) => {
                for (index, item) in items.iter().enumerate() {
                    let item = item.as_table().cloned().unwrap_or_default();
                    flatten(&format!("{path}{index}."), &item, into);
                }
            }
            Value::String(text) => drop(into.insert(path, text.clone())),
            value => drop(into.insert(path, setting_text(value))),
        }
    }
}

/// The settings in which some of the runs differ: their keys, in order.
pub fn differing(runs: &[Listed]) -> Vec<&str> {
    let keys: std::collections::BTreeSet<_> =
        runs.iter().flat_map(|run| run.settings.keys()).collect();
    let differs = |key: &&String| {
        let mut values = runs.iter().map(|run| run.settings.get(*key));
        let first = values.next();
        values.any(|value| Some(value) != first)
    };
    keys.into_iter()
        .filter(differs)
        .map(String::as_str)
        .collect()
}
