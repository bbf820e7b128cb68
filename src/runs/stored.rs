//! A run that was made before, read back from its folder.

use super::checkpoint::{self, StoredCheckpoint};
use super::decimal::decimal;
use super::files::{CURVE, METRICS, NETWORK, PARAMETERS, RUN, SUMMARY};
use super::identity::{self, Identity};
use super::settings::Settings;
use super::staging::find;
use super::typical::typical_of;
use crate::error::{Error, Result};
use crate::file::read_text;
use crate::network::Network;
use crate::parameters::Parameters;
use crate::tasks::Task;
use crate::tensors::read_parameters_with;
use crate::training::{Checkpoint, Recipe};
use serde::Deserialize;
use std::fs::File;
use std::io::{self, BufReader};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use toml::Table;

/// A run that was made before.
#[derive(Debug)]
#[non_exhaustive]
pub struct StoredRun {
    /// What its files carry.
    pub identity: Identity,
    /// Its settings.
    pub recipe: Recipe,
    /// The parameters at its end.
    pub parameters: Parameters<f32>,
    /// Of a run that was stopped, of its last episodes; `None` where there was none, or where the error is not finite.
    pub final_errors: Vec<Option<f64>>,
    /// Which networks solved the task.
    pub solved: Vec<bool>,
    /// Of a run that has not ended, the episodes that each network had seen at its newest checkpoint, which all this is of.
    pub unfinished_at: Option<u64>,
}

/// The part of `summary.json` that is needed.
#[derive(Deserialize)]
struct Summary {
    identity: Option<String>,
    task: String,
    population: usize,
    solved: usize,
    solved_below: f64,
    final_error: PerNetwork,
    wrong_answers: Option<PerNetwork>,
    failures: Vec<Failure>,
}

#[derive(Deserialize)]
struct PerNetwork {
    per_network: Vec<Option<f64>>,
}

#[derive(Deserialize)]
struct Failure {
    network: usize,
}

/// How often a run is read anew, and after what time. Moving the files of a new run into its place takes less.
const RETRIES: u32 = 4;
const PAUSE: Duration = Duration::from_millis(15);

impl StoredRun {
    /// Reads the folder of a run on a task that comes with the crate. Its files are checked, by themselves and against each
    /// other. What is wrong is looked at again, since the run may have been replaced by another from one file to the next.
    ///
    /// # Errors
    /// Names the file that is missing, damaged, or not of the same run as the others.
    pub fn read(folder: impl AsRef<Path>) -> Result<Self> {
        let folder = folder.as_ref();
        Self::read_patiently(folder, None)
    }

    /// As [`StoredRun::read`], of a run on a task of the kind of `task`, which need not come with the crate.
    ///
    /// # Errors
    /// As [`StoredRun::read`], or if the run is on another kind of task.
    pub fn read_for(task: &Arc<dyn Task>, folder: impl AsRef<Path>) -> Result<Self> {
        let folder = folder.as_ref();
        Self::read_patiently(folder, Some(task))
    }

    fn read_patiently(folder: &Path, task: Option<&Arc<dyn Task>>) -> Result<Self> {
        for _ in 0..RETRIES {
            if let Ok(run) = Self::read_once(folder, task) {
                return Ok(run);
            }
            std::thread::sleep(PAUSE);
        }
        Self::read_once(folder, task)
    }

    fn read_once(folder: &Path, task: Option<&Arc<dyn Task>>) -> Result<Self> {
        let (settings, identity, recipe) = read_settings(folder, task)?;
        let Some(identity) = identity else {
            return Self::read_unfinished(folder, task, &recipe);
        };
        if let Some(path) = lost(folder) {
            return Err(Error::RunIncomplete { path });
        }
        let path = find(folder, NETWORK);
        let text = read_text(&path)?;
        let network = Network::from_toml(&text, &path.display().to_string())
            .map_err(|error| in_file(&path, error))?;
        identity.require(Identity::of_toml(&text), &path, &settings)?;
        if network != recipe.network {
            let reason = format!("another network than that of {}", settings.display());
            return Err(Error::Run { path, reason });
        }
        let path = find(folder, PARAMETERS);
        let (parameters, metadata) =
            read_parameters_with(&path, &network).map_err(|error| in_file(&path, error))?;
        let found = metadata.get(identity::KEY).map(String::as_str);
        identity.require(found, &path, &settings)?;
        if parameters.population() != recipe.networks() {
            let reason = format!(
                "of {} networks, but {} has a population of {}",
                parameters.population(),
                settings.display(),
                recipe.networks()
            );
            return Err(Error::Run { path, reason });
        }
        let path = find(folder, SUMMARY);
        let summary = Summary::read(&path, &recipe)?;
        identity.require(summary.identity.as_deref(), &path, &settings)?;
        check_metrics(&find(folder, METRICS), &identity, &settings)?;
        check_curve(&find(folder, CURVE), &identity, &settings)?;
        let judged = match &summary.wrong_answers {
            Some(wrong) => &wrong.per_network,
            None => &summary.final_error.per_network,
        };
        let solved = (0..recipe.networks())
            .map(|index| {
                let failed = summary.failures.iter().any(|f| f.network == index);
                !failed && judged[index].is_some_and(|value| value < summary.solved_below)
            })
            .collect();
        let final_errors = summary.final_error.per_network;
        Ok(Self {
            identity,
            recipe,
            parameters,
            final_errors,
            solved,
            unfinished_at: None,
        })
    }

    /// A run that has not ended, as it was at its newest checkpoint.
    fn read_unfinished(
        folder: &Path,
        task: Option<&Arc<dyn Task>>,
        recipe: &Recipe,
    ) -> Result<Self> {
        let StoredCheckpoint { checkpoint, .. } = so_far(folder, task, recipe)?;
        let trained = checkpoint.trained();
        let networks = &trained.networks;
        Ok(Self {
            identity: Identity::new(&recipe.to_toml(), &trained),
            recipe: recipe.clone(),
            final_errors: networks
                .iter()
                .map(|network| network.final_error.filter(|error| error.is_finite()))
                .collect(),
            solved: networks.iter().map(|network| network.solved).collect(),
            parameters: trained.parameters,
            unfinished_at: Some(checkpoint.episode()),
        })
    }

    /// The index of the network that stands for the others; of a sweep, for those of the best point.
    pub fn typical(&self) -> usize {
        typical_of(&self.recipe, &self.final_errors, &self.solved)
    }

    /// `network 3 (seed 3), solved, final error 0.0014`; of a sweep, with the values that the network has.
    ///
    /// # Panics
    /// If there is no such network.
    pub fn describe(&self, index: usize) -> String {
        let seed = self.recipe.seed_of(index);
        let point = match self.recipe.describe_point(self.recipe.point_of(index)) {
            none if none.is_empty() => none,
            point => format!(", {point}"),
        };
        let solved = if self.solved[index] {
            "solved"
        } else {
            "not solved"
        };
        let error = match self.final_errors[index] {
            Some(error) => format!("final error {}", decimal(error)),
            None => "no final error".to_owned(),
        };
        format!("network {index} (seed {seed}{point}), {solved}, {error}")
    }
}

/// A line of `metrics.jsonl`.
#[derive(Deserialize)]
struct Line {
    identity: Option<String>,
}

/// Checks that reports, if they have not been removed, are of this run.
fn check_metrics(path: &Path, identity: &Identity, settings: &Path) -> Result<()> {
    if !path.exists() {
        return Ok(());
    }
    let file = File::open(path).map_err(|source| Error::Read {
        path: path.to_owned(),
        source,
    })?;
    for line in serde_json::Deserializer::from_reader(BufReader::new(file)).into_iter::<Line>() {
        let line = line.map_err(|error| Error::Run {
            path: path.to_owned(),
            reason: error.to_string(),
        })?;
        identity.require(line.identity.as_deref(), path, settings)?;
    }
    Ok(())
}

/// Checks that the curve, if it has not been removed, is of this run.
fn check_curve(path: &Path, identity: &Identity, settings: &Path) -> Result<()> {
    if !path.exists() {
        return Ok(());
    }
    identity.require(Identity::of_svg(&read_text(path)?), path, settings)
}

/// The newest checkpoint of a run that has not ended.
pub(super) fn so_far(
    folder: &Path,
    task: Option<&Arc<dyn Task>>,
    recipe: &Recipe,
) -> Result<StoredCheckpoint> {
    let is_of_run = |checkpoint: &Checkpoint| checkpoint.is_of(recipe);
    let newest = checkpoint::newest(folder, task, is_of_run, |_| {});
    newest.ok_or_else(|| Error::RunUnfinished {
        path: folder.to_owned(),
    })
}

fn read_settings(
    folder: &Path,
    task: Option<&Arc<dyn Task>>,
) -> Result<(PathBuf, Option<Identity>, Recipe)> {
    let (path, settings) = read_run_file(folder, task)?;
    Ok((path, settings.identity, settings.recipe))
}

/// The first file of a run that has ended which is not there, though such a run cannot be read without.
pub(super) fn lost(folder: &Path) -> Option<PathBuf> {
    let needed = [SUMMARY, PARAMETERS, NETWORK].map(|name| find(folder, name));
    needed.into_iter().find(|path| !path.exists())
}

/// Fails, and says why, unless there is a folder.
pub(super) fn require_folder(path: &Path) -> Result<()> {
    let source = match path.metadata() {
        Ok(found) if found.is_dir() => return Ok(()),
        Ok(_) => io::Error::new(io::ErrorKind::NotADirectory, "it is no folder"),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            io::Error::new(error.kind(), "there is no such folder")
        }
        Err(error) => error,
    };
    Err(Error::Read {
        path: path.to_owned(),
        source,
    })
}

/// `run.toml` of a folder.
pub(super) fn read_run_file(
    folder: &Path,
    task: Option<&Arc<dyn Task>>,
) -> Result<(PathBuf, Settings<Recipe>)> {
    require_folder(folder)?;
    let path = find(folder, RUN);
    if !path.exists() {
        return Err(Error::NoRun {
            path: folder.to_owned(),
        });
    }
    let text = read_text(&path)?;
    let origin = path.display().to_string();
    let settings = match task {
        None => Settings::<Recipe>::read(&text, &origin)?,
        Some(task) => {
            let settings = Settings::<Table>::read(&text, &origin)?;
            let recipe = Recipe::from_table_for(task, settings.recipe.clone(), &origin)?;
            settings.with_recipe(recipe)
        }
    };
    let checked = settings.recipe.check();
    checked.map_err(|error| in_file(&path, error))?;
    Ok((path, settings))
}

/// An error that names the file, if it does not yet.
fn in_file(path: &Path, error: Error) -> Error {
    match error {
        Error::Read { .. } | Error::Toml { .. } | Error::Tensors { .. } | Error::Memory { .. } => {
            error
        }
        Error::In { source, .. } => in_file(path, *source),
        other => Error::Run {
            path: path.to_owned(),
            reason: other.to_string(),
        },
    }
}

impl Summary {
    fn read(path: &Path, recipe: &Recipe) -> Result<Self> {
        let wrong = |reason: String| Error::Run {
            path: path.to_owned(),
            reason,
        };
        let text = read_text(path)?;
        let summary: Self = serde_json::from_str(&text).map_err(|e| wrong(e.to_string()))?;
        let (task, population) = (recipe.task.name(), recipe.networks());
        if summary.task != task || summary.population != population {
            return Err(wrong(format!(
                "of {} networks on {}, but run.toml is of {population} on {task}",
                summary.population, summary.task
            )));
        }
        let is_judged_by_answers = recipe.task.is_judged_by_answers();
        if summary.wrong_answers.is_some() != is_judged_by_answers {
            let reason = format!("wrong_answers: {task} has them if it judges by answers");
            return Err(wrong(reason));
        }
        let per_network = [
            ("final_error", Some(&summary.final_error)),
            ("wrong_answers", summary.wrong_answers.as_ref()),
        ];
        for (name, values) in per_network {
            let count = values.map_or(population, |values| values.per_network.len());
            if count != population {
                return Err(wrong(format!(
                    "{name}.per_network has {count} values, expected {population}"
                )));
            }
        }
        if let Some(failure) = summary.failures.iter().find(|f| f.network >= population) {
            return Err(wrong(format!(
                "failures: network {}, expected one below {population}",
                failure.network
            )));
        }
        if summary.solved > population || summary.solved_below != recipe.task.solved_below() {
            return Err(wrong(format!(
                "solved {} below {}, expected at most {population} below {}",
                summary.solved,
                summary.solved_below,
                recipe.task.solved_below()
            )));
        }
        Ok(summary)
    }
}
