//! Every setting of a run, from a recipe and from the command line, which has the last word.

mod network;
mod optimiser;

use crate::command::number::whole;
use crate::command::task::TaskName;
use clap::Args;
use metaplastic::file::read_text;
use metaplastic::tasks::Task;
use metaplastic::training::Recipe;
use metaplastic::{Error, Result};
use network::NetworkSettings;
use optimiser::OptimiserSettings;
use std::path::{Path, PathBuf};
use std::sync::Arc;

#[derive(Args, Debug)]
pub(super) struct Settings {
    /// What every setting is that is not given here: `paper`, or a TOML file (see `metaplastic recipe`; a `run.toml` is one)
    #[arg(long, value_name = "NAME|FILE.toml", default_value = "paper")]
    recipe: PathBuf,

    /// Seed of the first network; the next ones have the seeds that follow
    #[arg(long, allow_negative_numbers = true, value_parser = whole::<u64>)]
    seed: Option<u64>,

    /// Networks to train, each on its own
    #[arg(long, allow_negative_numbers = true, value_parser = whole::<usize>)]
    population: Option<usize>,

    /// Episodes that each network sees, the frozen ones included
    #[arg(long, allow_negative_numbers = true, value_parser = whole::<u64>)]
    episodes: Option<u64>,

    /// Episodes per network and update
    #[arg(long, allow_negative_numbers = true, value_parser = whole::<usize>)]
    batch: Option<usize>,

    /// Episodes at the end that run with frozen parameters and measure the final error
    /// [default: 500, or a tenth of fewer than 1,000]
    #[arg(long, allow_negative_numbers = true, value_parser = whole::<u64>)]
    frozen: Option<u64>,

    #[command(flatten)]
    network: NetworkSettings,

    #[command(flatten)]
    optimiser: OptimiserSettings,
}

impl Settings {
    /// The recipe of a run: checked, and complete.
    pub fn recipe(&self, task: &TaskName) -> Result<Recipe> {
        // A recipe by name may depend on the task's sizes; a file has some of its own, which are changed later.
        let sized = self.network.task(task.task())?;
        let mut recipe = match named(sized, &self.recipe)? {
            Some(recipe) => recipe,
            None => read(task.task(), &self.recipe)?,
        };
        if let Some(seed) = self.seed {
            recipe.seed = seed;
        }
        if let Some(population) = self.population {
            recipe.population = population;
        }
        if let Some(episodes) = self.episodes {
            recipe.episodes = episodes;
        }
        if let Some(batch) = self.batch {
            recipe.batch = batch;
        }
        if self.frozen.is_some() {
            recipe.frozen = self.frozen;
        }
        self.network.apply(&mut recipe)?;
        self.optimiser.apply(&mut recipe)?;
        recipe.check()?;
        Ok(recipe)
    }
}

/// The recipe of a name, if there is one.
fn named(task: Arc<dyn Task>, asked: &Path) -> Result<Option<Recipe>> {
    Recipe::named(task, &asked.to_string_lossy())
}

/// The recipe of a file, laid over the paper's.
fn read(task: Arc<dyn Task>, asked: &Path) -> Result<Recipe> {
    let is_path = asked.components().count() > 1 || asked.extension().is_some_and(|e| e == "toml");
    if !is_path {
        let mut names = Vec::new();
        for name in Recipe::NAMES {
            names.extend(Recipe::named(task.clone(), name)?.map(|_| name));
        }
        return Err(Error::Setting {
            field: "--recipe".into(),
            reason: format!(
                "{} has no recipe {:?}; expected {}, or a file whose name ends in .toml",
                task.name(),
                asked.display().to_string(),
                names.join(", "),
            ),
        });
    }
    let origin = asked.display().to_string();
    let text = recipe_of_run(read_text(asked)?).map_err(|source| Error::In {
        origin: origin.clone(),
        source: Box::new(source),
    })?;
    Recipe::new(task)?.variation(&text, &origin)
}

/// What a `run.toml` holds beside its recipe.
const BESIDE_RECIPE: [&str; 6] = [
    "identity",
    "version",
    "engine",
    "device",
    "reason",
    "frozen_episodes",
];

/// The recipe in the `run.toml` of a run; any other text as it is.
fn recipe_of_run(text: String) -> Result<String> {
    let Ok(run) = text.parse::<toml::Table>() else {
        return Ok(text);
    };
    let Some(toml::Value::Table(recipe)) = run.get("recipe") else {
        return Ok(text);
    };
    let known = |key: &str| key == "recipe" || BESIDE_RECIPE.contains(&key);
    match run.keys().find(|key| !known(key)) {
        // It would be ignored without a word.
        Some(key) => Err(Error::Setting {
            field: key.clone(),
            reason: "an unknown key of a run; settings belong in its table `recipe`".into(),
        }),
        None => Ok(recipe.to_string()),
    }
}
