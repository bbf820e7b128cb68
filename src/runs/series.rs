//! A sweep of settings in which networks of one population cannot differ: several runs in one folder, trained one after the other.
//!
//! The folder has, beside a folder for each run:
//!
//! * `sweep.toml`: `version` (of the crate), and a table `[[run]]` for each, in order, with its `folder` and the `values` by which
//!   it differs from the others.
//! * `summary.json`: `task`, `seed`, `points` (what came of each point of each run so far: `run`, the folder, and what a point in
//!   a run's own `summary.json` has), `best` (the index of the best point, `null` where there is none) and `interrupted` (whether
//!   some run has not come to its end).
//! * `curve.svg`: the learning curves of the points.

use super::figure::{self, Compared};
use super::files::{CURVE, SUMMARY, SWEEP, holds_a_run};
use super::record::Record;
use super::staging::Staging;
use super::summary::{Point, points_of};
use crate::error::{Error, Result};
use crate::file::{read_text, write_atomically};
use crate::training::{PointResult, Recipe};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

/// Which runs there are.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Series {
    version: String,
    /// The runs, in the order in which they are trained.
    #[serde(rename = "run")]
    pub runs: Vec<Part>,
}

/// One of them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Part {
    /// The name of its folder, inside of that of all.
    pub folder: String,
    /// The values by which it differs from the others, as they are called and written.
    pub values: BTreeMap<String, String>,
}

impl Part {
    /// `batch 4, steps 20`.
    pub fn name(&self) -> String {
        let values = self.values.iter();
        let values: Vec<_> = values
            .map(|(name, value)| format!("{name} {value}"))
            .collect();
        values.join(", ")
    }

    /// The values by the keys of the run's recipe.
    fn settings(&self, recipe: &Recipe) -> BTreeMap<String, String> {
        let values = self.values.iter();
        let of_key = values.map(|(name, value)| (recipe.key_of(name), value.clone()));
        of_key.collect()
    }
}

impl Series {
    /// Runs that differ in these values.
    pub fn new<'a>(values: impl IntoIterator<Item = &'a [(String, String)]>) -> Self {
        let mut runs: Vec<Part> = Vec::new();
        for values in values {
            let words = values.iter().map(|(name, value)| format!("{name}-{value}"));
            let plain = words.collect::<Vec<_>>().join("_");
            let may_be = |c: char| c.is_alphanumeric() || "._-+".contains(c);
            let plain = plain.replace(|c: char| !may_be(c), "_");
            let mut folder = plain.clone();
            let mut count = 1;
            while runs.iter().any(|run| run.folder == folder) {
                count += 1;
                folder = format!("{plain}_{count}");
            }
            let values = values.iter().cloned().collect();
            runs.push(Part { folder, values });
        }
        Self {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            runs,
        }
    }

    /// The runs in a folder; `None` where it has no `sweep.toml`.
    ///
    /// # Errors
    /// If that file cannot be read.
    pub fn read(folder: &Path) -> Result<Option<Self>> {
        let path = folder.join(SWEEP);
        if !path.exists() {
            return Ok(None);
        }
        let text = read_text(&path)?;
        let series: Self = toml::from_str(&text).map_err(|source| Error::Toml {
            origin: path.display().to_string(),
            source: Box::new(source),
        })?;
        let is_name = |part: &Part| Path::new(&part.folder).components().count() == 1;
        match series.runs.iter().find(|part| !is_name(part)) {
            None => Ok(Some(series)),
            Some(part) => Err(Error::Run {
                path,
                reason: format!("run.folder: {:?} is no name of a folder", part.folder),
            }),
        }
    }

    /// Writes `sweep.toml`.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn write(&self, folder: &Path) -> Result<()> {
        let text = toml::to_string(self).expect("names and texts are representable as TOML");
        write_atomically(folder.join(SWEEP), |file| file.write_all(text.as_bytes()))
    }

    /// The folders of the runs in `folder`.
    pub fn folders(&self, folder: &Path) -> Vec<PathBuf> {
        let runs = self.runs.iter();
        runs.map(|part| folder.join(&part.folder)).collect()
    }

    /// What has come of the runs so far.
    pub fn results(&self, folder: &Path) -> SeriesSummary {
        SeriesSummary::new(self, folder, &self.records(folder))
    }

    /// Those that have ended, or were stopped; the others are not there yet.
    fn records(&self, folder: &Path) -> Vec<(&Part, Record)> {
        let runs = self.runs.iter().zip(self.folders(folder));
        let read = runs.filter_map(|(part, path)| Some((part, Record::read(path).ok()?)));
        let ended = read.filter(|(_, record)| record.unfinished_at.is_none());
        ended.collect()
    }

    /// Writes what has come of the runs so far: `summary.json` and `curve.svg`.
    ///
    /// # Errors
    /// If they cannot be written.
    pub fn summarise(&self, folder: &Path) -> Result<SeriesSummary> {
        let records = self.records(folder);
        let summary = SeriesSummary::new(self, folder, &records);
        let staging = Staging::new(folder)?;
        staging.write_text(SUMMARY, &(summary.to_json() + "\n"))?;
        let names: Vec<_> = records.iter().map(|(part, _)| part.name()).collect();
        let compared = records
            .iter()
            .zip(&names)
            .map(|((_, record), name)| Compared {
                name,
                recipe: &record.recipe,
                trained: &record.trained,
            });
        let compared: Vec<_> = compared.collect();
        if !compared.is_empty() {
            staging.write_text(CURVE, &figure::sweep(&compared))?;
        }
        staging.commit()?;
        Ok(summary)
    }
}

/// Whether a folder holds several runs or one.
pub fn holds_runs(path: &Path) -> bool {
    path.join(SWEEP).exists() || holds_a_run(path)
}

/// What several runs came to.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct SeriesSummary {
    task: String,
    seed: u64,
    points: Vec<PointOfRun>,
    best: Option<usize>,
    interrupted: bool,
    #[serde(rename = "run")]
    folder: String,
}

/// What came of a point of one of the runs.
#[derive(Clone, Debug, Serialize)]
struct PointOfRun {
    run: String,
    #[serde(flatten)]
    point: Point,
}

impl SeriesSummary {
    fn new(series: &Series, folder: &Path, records: &[(&Part, Record)]) -> Self {
        let mut points = Vec::new();
        let mut results = Vec::new();
        for (part, record) in records {
            let of_run = record.trained.points(&record.recipe);
            for point in points_of(&record.recipe, &of_run) {
                points.push(PointOfRun {
                    run: part.folder.clone(),
                    point: point.within(&part.name(), &part.settings(&record.recipe)),
                });
            }
            results.extend(of_run);
        }
        let first = records.first().map(|(_, record)| &record.recipe);
        let ended = records.iter().filter(|(_, record)| !record.trained.stopped);
        Self {
            task: first.map_or(String::new(), |recipe| recipe.task.name().to_owned()),
            seed: first.map_or(0, |recipe| recipe.seed),
            best: PointResult::best(&results),
            points,
            interrupted: ended.count() < series.runs.len(),
            folder: folder.display().to_string(),
        }
    }

    /// The folder of the run with the best point, inside of that of all.
    pub fn best_run(&self) -> Option<&str> {
        Some(&self.points[self.best?].run)
    }

    /// The folder of all.
    pub fn folder(&self) -> &str {
        &self.folder
    }

    /// One line.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("a summary is always representable as JSON")
    }
}

impl fmt::Display for SeriesSummary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let stopped = match self.interrupted {
            true => ", stopped before the end",
            false => "",
        };
        writeln!(f, "{}: {} points{stopped}", self.task, self.points.len())?;
        let names = self.points.iter().map(|it| it.point.name().chars().count());
        let width = names.max().unwrap_or(0);
        for PointOfRun { point, .. } in &self.points {
            writeln!(f, "  {}", point.line(width))?;
        }
        if let Some(best) = self.best {
            let PointOfRun { run, point } = &self.points[best];
            writeln!(f, "  best   {} ({run})", point.name())?;
        }
        write!(f, "  files  {}", self.folder)
    }
}
