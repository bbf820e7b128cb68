//! The network of a run that stands for the others.

use super::output::note;
use metaplastic::runs::checkpoint;
use metaplastic::runs::decimal::decimal;
use metaplastic::runs::files::PARAMETERS;
use metaplastic::runs::series::Series;
use metaplastic::runs::{Record, StoredRun, typical_of};
use metaplastic::training::{Recipe, Trained};
use metaplastic::{Error, Parameters, Result};
use std::path::{Path, PathBuf};

/// A network of a run.
pub(super) struct Subject<'a> {
    pub recipe: &'a Recipe,
    /// Of the whole population.
    pub parameters: &'a Parameters<f32>,
    pub index: usize,
    /// `seed 3, solved, final error 0.0014`.
    pub about: String,
}

impl<'a> Subject<'a> {
    /// The typical network of a run that has ended.
    pub fn of_trained(recipe: &'a Recipe, trained: &'a Trained) -> Self {
        let errors: Vec<_> = trained.networks.iter().map(|n| n.final_error).collect();
        let solved: Vec<_> = trained.networks.iter().map(|n| n.solved).collect();
        let parameters = &trained.parameters;
        Self::of(recipe, parameters, &errors, &solved)
    }

    /// The typical network of a run that was made before.
    pub fn of_stored(run: &'a StoredRun) -> Self {
        Self::of(&run.recipe, &run.parameters, &run.final_errors, &run.solved)
    }

    fn of(
        recipe: &'a Recipe,
        parameters: &'a Parameters<f32>,
        errors: &[Option<f64>],
        solved: &[bool],
    ) -> Self {
        let index = typical_of(recipe, errors, solved);
        let point = match recipe.sweep.is_empty() {
            true => String::new(),
            false => format!("{}, ", recipe.describe_point(recipe.point_of(index))),
        };
        let solved = if solved[index] {
            "solved"
        } else {
            "not solved"
        };
        let seed = recipe.seed_of(index);
        let error = error_text(errors[index]);
        Self {
            recipe,
            parameters,
            index,
            about: format!("{point}seed {seed}, {solved}, final error {error}"),
        }
    }
}

/// Reads a run; of one that has not ended, says which episodes it is of. Of runs that were trained one after the other, the one
/// with the best point.
pub(super) fn read(path: &Path) -> Result<StoredRun> {
    let best = best_of_series(path)?;
    let path = best.as_deref().unwrap_or(path);
    let run = StoredRun::read(path)?;
    note_unfinished(path, run.unfinished_at);
    Ok(run)
}

/// Reads all that a run has left; of one that has not ended, says which episodes it is of.
pub(super) fn record(folder: &Path) -> Result<Record> {
    let record = Record::read(folder)?;
    note_unfinished(folder, record.unfinished_at);
    Ok(record)
}

fn note_unfinished(path: &Path, at: Option<u64>) {
    if let Some(episode) = at {
        note(format_args!(
            "{}: the run has not ended; this is of its checkpoint after {episode} episodes",
            path.display()
        ));
    }
}

/// Of runs that were trained one after the other, the folder of the one with the best point.
fn best_of_series(path: &Path) -> Result<Option<PathBuf>> {
    let Some(series) = Series::read(path)? else {
        return Ok(None);
    };
    let Some(best) = series.results(path).best_run().map(|run| path.join(run)) else {
        return Err(Error::RunUnfinished {
            path: path.to_owned(),
        });
    };
    note(format_args!(
        "{}: this is of the best of {} runs, {}",
        path.display(),
        series.runs.len(),
        best.display()
    ));
    Ok(Some(best))
}

/// The folders of runs; where one has several, each of those. Fails if a run is given twice.
pub(super) fn each(folders: &[PathBuf]) -> Result<Vec<PathBuf>> {
    let mut all: Vec<PathBuf> = Vec::new();
    for folder in folders {
        match Series::read(folder)? {
            Some(series) => {
                let (begun, not): (Vec<_>, Vec<_>) = series
                    .folders(folder)
                    .into_iter()
                    .partition(|run| has_results(run));
                for run in &not {
                    let run = run.display();
                    note(format_args!("{run}: left out, the run has no results yet"));
                }
                // Where none has, the first says so.
                all.extend(if begun.is_empty() { not } else { begun });
            }
            None => all.push(folder.clone()),
        }
    }
    require_different(&all)?;
    Ok(all)
}

/// Fails if two folders are one, however they are written.
fn require_different(folders: &[PathBuf]) -> Result<()> {
    let mut seen: Vec<(PathBuf, &Path)> = Vec::new();
    for folder in folders {
        // What is not there is refused later.
        let whole = folder.canonicalize().unwrap_or_else(|_| folder.clone());
        let folder = folder.as_path();
        if let Some((_, before)) = seen.iter().find(|(it, _)| *it == whole) {
            let [before, folder] = [before, folder].map(|it| it.display().to_string());
            let reason = match before == folder {
                true => format!("{folder} is given twice"),
                false => format!("{folder} is given twice, as {before} too"),
            };
            return Err(Error::Setting {
                field: "RUN".into(),
                reason,
            });
        }
        seen.push((whole, folder));
    }
    Ok(())
}

/// Whether a run has ended or left a checkpoint.
fn has_results(run: &Path) -> bool {
    run.join(PARAMETERS).exists() || !checkpoint::all(run).is_empty()
}

pub(super) fn error_text(error: Option<f64>) -> String {
    match error {
        Some(error) if error.is_finite() => decimal(error),
        _ => "not finite".to_owned(),
    }
}
