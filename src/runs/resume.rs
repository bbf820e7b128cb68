//! A run that stopped before its end, or is to be longer, found in its folder.

use super::checkpoint::{self, StoredCheckpoint};
use super::files::SUMMARY;
use super::run::Begun;
use super::settings::{Label, Origin};
use super::staging::find;
use super::stored::{lost, read_run_file};
use crate::engine::Choice;
use crate::error::{Error, Result};
use crate::file::read_text;
use crate::tasks::Task;
use crate::training::{Checkpoint, Recipe};
use serde::Deserialize;
use std::path::Path;
use std::sync::Arc;

/// A run that can go on.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Unfinished {
    /// Its settings.
    pub recipe: Recipe,
    /// What it is called, and where it was begun.
    pub label: Label,
    /// The run whose parameters it begins with, if it does.
    pub from: Option<Origin>,
    /// The kind of its engine, `cpu` or `gpu`.
    pub engine: String,
    /// Its engine's device.
    pub device: String,
    /// Why its engine was chosen.
    pub reason: String,
    /// What it goes on from; from the beginning where there is none.
    pub checkpoint: Option<StoredCheckpoint>,
}

/// The part of `summary.json` that is needed.
#[derive(Deserialize)]
struct Summary {
    interrupted: bool,
}

impl Unfinished {
    /// The run in a folder, on the kind of `task`, or on a task that comes with the crate; with `episodes` in all, if another
    /// number is given. `None` if it has come to its end. Whoever waits hears by `tell` of checkpoints that cannot be read; one
    /// before is taken then.
    ///
    /// # Errors
    /// If there is no run, its settings cannot be read, or it cannot have so many episodes.
    pub fn read(
        folder: &Path,
        task: Option<&Arc<dyn Task>>,
        episodes: Option<u64>,
        mut tell: impl FnMut(&str),
    ) -> Result<Option<Self>> {
        let (_, settings) = read_run_file(folder, task)?;
        let recipe = Recipe {
            episodes: episodes.unwrap_or(settings.recipe.episodes),
            ..settings.recipe.clone()
        };
        let lost = settings.identity.as_ref().and_then(|_| lost(folder));
        let has_ended = settings.identity.is_some() && lost.is_none() && has_ended(folder)?;
        if has_ended && recipe == settings.recipe {
            return Ok(None);
        }
        let is_longer = |at: &Checkpoint| at.recipe.episodes != recipe.episodes;
        let fits =
            |at: &Checkpoint| at.is_of(&recipe) && (!is_longer(at) || at.can_be_lengthened());
        let found = checkpoint::newest(folder, task, fits, &mut tell);
        let checkpoint = found.map(|stored| {
            let checkpoint = stored.checkpoint.lengthened(recipe.episodes)?;
            Ok(StoredCheckpoint {
                checkpoint,
                ..stored
            })
        });
        let checkpoint = checkpoint.transpose()?;
        if let Some(path) = lost {
            if checkpoint.is_none() {
                return Err(Error::RunIncomplete { path });
            }
            tell(&format!(
                "{}: missing; it is made again from the checkpoint",
                path.display()
            ));
        }
        if checkpoint.is_none() {
            require_beginning(&settings.recipe, &recipe, has_ended)?;
            if !checkpoint::all(folder).is_empty() {
                tell("no checkpoint to go on from: the run begins anew");
            }
        }
        Ok(Some(Self {
            recipe,
            label: settings.label,
            from: settings.from,
            engine: settings.engine,
            device: settings.device,
            reason: settings.reason,
            checkpoint,
        }))
    }

    /// The run as it goes on, on the engine of `choice`.
    pub fn begun(&self, choice: &Choice) -> Begun {
        let mut begun = Begun::new(&self.recipe, choice);
        if choice.engine.device() == self.device {
            begun.choice.reason.clone_from(&self.reason);
        }
        begun.label = self.label.clone();
        begun.from.clone_from(&self.from);
        begun
    }
}

/// Whether the run that a folder holds came to its end.
fn has_ended(folder: &Path) -> Result<bool> {
    let path = find(folder, SUMMARY);
    let text = read_text(&path)?;
    let summary: Summary = serde_json::from_str(&text).map_err(|error| Error::Run {
        path,
        reason: error.to_string(),
    })?;
    Ok(!summary.interrupted)
}

/// Fails unless a run by `recipe` may begin anew in the place of one by `before`.
fn require_beginning(before: &Recipe, recipe: &Recipe, has_ended: bool) -> Result<()> {
    if recipe.episodes < before.episodes {
        let reason = format!(
            "{}, but the run has {}: it can only be lengthened",
            recipe.episodes, before.episodes
        );
        return Err(Error::setting("episodes", reason));
    }
    if has_ended {
        let reason = format!(
            "{}, but the run has ended after {}, and left no checkpoint from which a longer one could go on",
            recipe.episodes, before.episodes
        );
        return Err(Error::setting("episodes", reason));
    }
    recipe.check()?;
    before.require_same_course(recipe)
}
