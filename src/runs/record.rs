//! All that a run has left on disk, for figures of it and reports on it.

use super::checkpoint::StoredCheckpoint;
use super::files::{METRICS, SUMMARY};
use super::identity::Identity;
use super::settings::{Label, Settings};
use super::staging::find;
use super::stored::{StoredRun, read_run_file, so_far};
use super::summary::Summary;
use crate::error::{Error, Result};
use crate::file::read_text;
use crate::training::{NetworkResult, Phase, Recipe, Report, Trained};
use serde::Deserialize;
use std::path::Path;

/// All that a run has left.
#[derive(Debug)]
#[non_exhaustive]
pub struct Record {
    /// What its files carry.
    pub identity: Identity,
    /// Its settings.
    pub recipe: Recipe,
    /// What came of it. Errors that were not finite are NaN.
    pub trained: Trained,
    /// What it came to.
    pub summary: Summary,
    /// What it is called, and where and when it was begun.
    pub label: Label,
    /// The version of this crate that made it.
    pub version: String,
    /// Of a run that has not ended, the episodes that each network had seen at its newest checkpoint, which all this is of.
    pub unfinished_at: Option<u64>,
}

impl Record {
    /// Reads the folder of a run on a task that comes with the crate, checked as [`StoredRun::read`] does. A run that has not ended
    /// is read as it was at its newest checkpoint, as though it had been stopped there.
    ///
    /// # Errors
    /// As [`StoredRun::read`].
    pub fn read(folder: impl AsRef<Path>) -> Result<Self> {
        let folder = folder.as_ref();
        let (settings, file) = read_run_file(folder, None)?;
        if file.identity.is_none() {
            return Self::read_unfinished(folder, file);
        }
        let run = StoredRun::read(folder)?;
        let path = find(folder, SUMMARY);
        let summary = Summary::of_json(&read_text(&path)?).map_err(|error| wrong(&path, error))?;
        let found = summary.identity().map(ToString::to_string);
        run.identity.require(found.as_deref(), &path, &settings)?;
        let history = history(&find(folder, METRICS), run.recipe.networks())?;
        let has_learned = !history.is_empty() || !summary.interrupted();
        let networks = (0..run.recipe.networks()).map(|index| NetworkResult {
            seed: run.recipe.seed_of(index),
            final_error: has_learned.then(|| run.final_errors[index].unwrap_or(f64::NAN)),
            wrong: summary.wrong(index),
            solved: run.solved[index],
        });
        Ok(Self {
            trained: Trained {
                history,
                networks: networks.collect(),
                failures: summary.failures().to_vec(),
                stopped: summary.interrupted(),
                parameters: run.parameters,
            },
            identity: run.identity,
            recipe: run.recipe,
            summary,
            label: file.label,
            version: file.version,
            unfinished_at: None,
        })
    }

    fn read_unfinished(folder: &Path, file: Settings<Recipe>) -> Result<Self> {
        let recipe = file.recipe;
        let StoredCheckpoint {
            checkpoint,
            seconds,
        } = so_far(folder, None, &recipe)?;
        let trained = checkpoint.trained();
        let identity = Identity::new(&recipe.to_toml(), &trained);
        let engine = [file.engine, file.device];
        let saved = Some((&identity, folder));
        Ok(Self {
            summary: Summary::of(&recipe, &trained, seconds, engine, saved),
            unfinished_at: Some(checkpoint.episode()),
            identity,
            recipe,
            trained,
            label: file.label,
            version: file.version,
        })
    }
}

/// A line of `metrics.jsonl`.
#[derive(Deserialize)]
struct Line {
    episode: u64,
    phase: Phase,
    error: Vec<Option<f64>>,
    failed: usize,
}

/// The reports, of which there are none where the file has been removed.
fn history(path: &Path, population: usize) -> Result<Vec<Report>> {
    if !path.exists() {
        return Ok(Vec::new());
    }
    let text = read_text(path)?;
    let lines = serde_json::Deserializer::from_str(&text).into_iter::<Line>();
    let mut history = Vec::new();
    let mut last = 0;
    for line in lines {
        let line = line.map_err(|error| wrong(path, error))?;
        if line.error.len() != population || line.episode <= last {
            let reason = format!(
                "{} errors after {} episodes, expected {population} after more than {last}",
                line.error.len(),
                line.episode
            );
            return Err(wrong(path, reason));
        }
        last = line.episode;
        let error = line.error.into_iter();
        history.push(Report {
            episode: line.episode,
            phase: line.phase,
            error: error.map(|error| error.unwrap_or(f64::NAN)).collect(),
            failed: line.failed,
        });
    }
    Ok(history)
}

fn wrong(path: &Path, reason: impl ToString) -> Error {
    Error::Run {
        path: path.to_owned(),
        reason: reason.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::{Choice, Engine};
    use crate::runs::figure::curve;
    use crate::runs::{Begun, Run, Wanted};
    use crate::tasks::{Association, Completion};
    use crate::training::Training;
    use std::ops::ControlFlow;
    use std::sync::Arc;

    /// Trains, saves and reads.
    fn saved_and_read(recipe: &Recipe, folder: &Path) -> (Trained, Record) {
        let choice = Choice::new(Engine::cpu(), "a test");
        let training = Training::new(&choice.engine, recipe).unwrap();
        let trained = training.run(|_| ControlFlow::Continue(())).unwrap();
        let mut claimed = Wanted::at(folder).claim().unwrap();
        let begun = Begun::new(recipe, &choice);
        let run = Run::new(&begun, &trained, 1.0);
        claimed.save(&run, |_| {}).unwrap();
        (trained, Record::read(folder).unwrap())
    }

    #[test]
    fn what_is_read_is_what_was_saved() {
        let folder = tempfile::tempdir().unwrap();
        let recipe = Recipe {
            episodes: 300,
            population: 3,
            ..Recipe::new(Arc::new(Association::REVERSAL)).unwrap()
        };
        let (trained, record) = saved_and_read(&recipe, &folder.path().join("good"));
        assert_eq!(record.trained.history, trained.history);
        assert_eq!(record.trained.networks, trained.networks);
        assert_eq!(
            record.trained.parameters.values(),
            trained.parameters.values()
        );
        assert_eq!(
            curve(&record.recipe, &record.trained),
            curve(&recipe, &trained)
        );
        assert_eq!(record.version, env!("CARGO_PKG_VERSION"));

        // What is not finite stays that.
        let mut recipe = Recipe::new(Arc::new(Completion::PAPER)).unwrap();
        (recipe.episodes, recipe.population, recipe.initial.scale) = (60, 3, 1e25);
        let (trained, record) = saved_and_read(&recipe, &folder.path().join("bad"));
        assert_eq!(record.trained.failures, trained.failures);
        assert_eq!(record.trained.solved(), trained.solved());
        assert!(!trained.failures.is_empty());
        assert_eq!(
            curve(&record.recipe, &record.trained),
            curve(&recipe, &trained)
        );
    }

    #[test]
    fn reports_that_are_none_are_refused_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(METRICS);
        let line = |episode, error| {
            format!(
                "{{\"episode\":{episode},\"phase\":\"training\",\"error\":{error},\"failed\":0}}\n"
            )
        };
        for text in [
            "nothing".to_owned(),
            line(1, "[0.5]"),
            line(2, "[0.5, null]") + &line(2, "[0.5, 1]"),
        ] {
            std::fs::write(&path, text).unwrap();
            let error = history(&path, 2).unwrap_err().to_string();
            assert!(error.contains(METRICS), "{error}");
        }
        std::fs::remove_file(&path).unwrap();
        assert!(history(&path, 2).unwrap().is_empty());
    }
}
