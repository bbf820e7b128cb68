//! What is inside networks over an episode, written and drawn by `metaplastic evaluate`.

use super::figure::figure_file;
use super::number::whole;
use clap::Args;
use metaplastic::file::{is_special, require_writable};
use metaplastic::runs::StoredRun;
use metaplastic::runs::figure::{Recorded, activity};
use metaplastic::runs::identity;
use metaplastic::tensors::write_recorded;
use metaplastic::training::Recording;
use metaplastic::{Engine, Error, Result};
use std::path::{Path, PathBuf};

#[derive(Args, Debug)]
#[command(next_help_heading = "Within an episode")]
pub(super) struct RecordArguments {
    /// A file for every layer's activity, its modulator and its traces over the first episodes
    #[arg(long, value_name = "FILE.safetensors")]
    record: Option<PathBuf>,

    /// Episodes of each network that are recorded, the first of the evaluation's
    #[arg(long, value_name = "COUNT", default_value_t = 1, requires = "record", allow_negative_numbers = true, value_parser = whole::<usize>)]
    record_episodes: usize,

    /// Steps whose traces are recorded, counted from 0, with commas [default: all of one episode; the last of several]
    #[arg(long, value_name = "STEP", value_delimiter = ',', requires = "record", allow_negative_numbers = true, value_parser = whole::<usize>)]
    record_steps: Option<Vec<usize>>,

    /// A file (SVG, PNG or PDF) for a figure of a typical network over the first episode: activity, modulators, traces
    #[arg(long, value_name = "FILE")]
    activity: Option<PathBuf>,
}

impl RecordArguments {
    /// Fails unless what is asked for can be written, the run has the steps, and the evaluation so many episodes.
    pub fn check(&self, run: &StoredRun, episodes: u64) -> Result<()> {
        let wrong = |field: &str, reason: String| Error::Setting {
            field: field.into(),
            reason,
        };
        if self.record_episodes == 0 {
            return Err(wrong(
                "--record-episodes",
                "zero, expected at least 1".into(),
            ));
        }
        if self.record.is_some() && self.record_episodes as u64 > episodes {
            let reason = format!(
                "{}, but the evaluation is of {episodes} episodes (--episodes)",
                self.record_episodes
            );
            return Err(wrong("--record-episodes", reason));
        }
        let steps = run.recipe.task.steps();
        let mut asked = self.record_steps.iter().flatten();
        if let Some(step) = asked.find(|step| **step >= steps) {
            let reason = format!("{step}, expected 0 to {}", steps - 1);
            return Err(wrong("--record-steps", reason));
        }
        if let Some(path) = &self.record {
            let ending = path.extension().unwrap_or_default();
            if !ending.eq_ignore_ascii_case("safetensors") && !is_special(path) {
                let reason = format!("{}: its name ends in .safetensors", path.display());
                return Err(wrong("--record", reason));
            }
            require_writable(path)?;
        }
        if let Some((path, _)) = figure_file(self.activity.as_deref(), "--activity")? {
            require_writable(path)?;
        }
        Ok(())
    }

    /// The files that are asked for, each by the name of its option.
    pub fn files(&self) -> impl Iterator<Item = (&str, &Path)> {
        let files = [("--record", &self.record), ("--activity", &self.activity)];
        let files = files.map(|(option, path)| Some((option, path.as_deref()?)));
        files.into_iter().flatten()
    }

    /// Records, writes and draws what is asked for.
    pub fn run(&self, engine: &Engine, run: &StoredRun, seed: u64) -> Result<()> {
        let recipe = &run.recipe;
        let all = || (0..recipe.task.steps()).collect::<Vec<_>>();
        if let Some(path) = &self.record {
            let steps = match (&self.record_steps, self.record_episodes) {
                (Some(steps), _) => steps.clone(),
                (None, 1) => all(),
                (None, _) => vec![recipe.task.steps() - 1],
            };
            let episodes = (seed, self.record_episodes);
            let recording = Recording::new(engine, recipe, &run.parameters, episodes, &steps)?;
            let metadata = [
                (identity::KEY.to_owned(), run.identity.to_string()),
                ("task".to_owned(), recipe.task.name().to_owned()),
                ("seed".to_owned(), seed.to_string()),
                ("version".to_owned(), env!("CARGO_PKG_VERSION").to_owned()),
            ];
            write_recorded(path, &recording.tensors, &recording.steps, metadata)?;
        }
        let Some((path, format)) = figure_file(self.activity.as_deref(), "--activity")? else {
            return Ok(());
        };
        // The one network that is drawn, alone.
        let index = run.typical();
        let own = run.parameters.slice(index..index + 1);
        let offset = recipe.seed_of(index).wrapping_sub(recipe.seed);
        let episodes = (seed.wrapping_add(offset), 1);
        let recording = Recording::new(engine, recipe, &own, episodes, &all())?;
        let drawing = activity(&Recorded {
            recording: &recording,
            network: &recipe.network,
            place: (0, 0),
            title: &format!("{}: inside a network", recipe.task.name()),
            about: &run.describe(index),
        });
        format.write(path, &run.identity.mark_svg(&drawing))
    }
}
