//! The network of a run that stands for the others.

use super::output::note;
use metaplastic::runs::decimal::decimal;
use metaplastic::runs::{StoredRun, typical};
use metaplastic::training::{Recipe, Trained};
use metaplastic::{Parameters, Result};
use std::path::Path;

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
        let index = typical(errors, solved);
        let solved = if solved[index] {
            "solved"
        } else {
            "not solved"
        };
        let seed = recipe.seed.wrapping_add(index as u64);
        let error = error_text(errors[index]);
        Self {
            recipe,
            parameters,
            index,
            about: format!("seed {seed}, {solved}, final error {error}"),
        }
    }
}

/// Reads a run; of one that has not ended, says which episodes it is of.
pub(super) fn read(path: &Path) -> Result<StoredRun> {
    let run = StoredRun::read(path)?;
    if let Some(episode) = run.unfinished_at {
        note(format_args!(
            "{}: the run has not ended; this is of its checkpoint after {episode} episodes",
            path.display()
        ));
    }
    Ok(run)
}

pub(super) fn error_text(error: Option<f64>) -> String {
    match error {
        Some(error) if error.is_finite() => decimal(error),
        _ => "not finite".to_owned(),
    }
}
