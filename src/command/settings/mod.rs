//! Every setting of a run, from a recipe and from the command line, which has the last word.

mod network;
mod optimiser;
mod origin;

use crate::command::number::whole;
use crate::command::task::TaskName;
use clap::Args;
use metaplastic::file::read_text;
use metaplastic::runs::{Origin, recipe_of_run};
use metaplastic::tasks::{self, Task};
use metaplastic::training::Recipe;
use metaplastic::{Error, Result};
use network::NetworkSettings;
use optimiser::OptimiserSettings;
pub(super) use origin::{Wished, parameters_of};
use std::path::{Path, PathBuf};
use std::sync::Arc;

#[derive(Args, Debug)]
pub(super) struct Settings {
    /// What every setting is that is not given here: a recipe's name (paper, reliable), or a TOML file (see `metaplastic
    /// recipe`; a `run.toml` is one) [default: paper; with --from, as that run]
    #[arg(long, value_name = "NAME|FILE.toml")]
    recipe: Option<PathBuf>,

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

    /// Begin with the parameters of another run, of the same sizes and number of networks, or of one network
    #[arg(long, value_name = "RUN")]
    from: Option<PathBuf>,

    #[command(flatten)]
    network: NetworkSettings,

    #[command(flatten)]
    optimiser: OptimiserSettings,
}

/// The recipe that every setting is of that is not given.
const DEFAULT: &str = "paper";

impl Settings {
    /// The recipe of a run: checked, and complete. The task may be left out where a file says it.
    pub fn recipe(&self, task: Option<&TaskName>) -> Result<Recipe> {
        Ok(self.recipe_and_origin(task)?.0)
    }

    /// The recipe, and the run whose parameters it begins with, where its file is that of such a run.
    fn recipe_and_origin(&self, task: Option<&TaskName>) -> Result<(Recipe, Option<Origin>)> {
        let name = Path::new(DEFAULT);
        let asked = self.recipe.as_deref().unwrap_or(name);
        let task = task.map(TaskName::task);
        // A recipe by name may depend on the task's sizes; a file has some of its own, which are changed later.
        let sized = task
            .clone()
            .map(|task| self.network.task(task))
            .transpose()?;
        let named = sized.map(|sized| named(sized, asked)).transpose()?;
        let (recipe, origin) = match named.flatten() {
            Some(recipe) => (recipe, None),
            None => read(task, asked)?,
        };
        Ok((self.apply(recipe)?, origin))
    }

    /// The recipe with the settings that are given.
    fn apply(&self, mut recipe: Recipe) -> Result<Recipe> {
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

/// The recipe of a file, laid over the paper's, and the run that it begins with.
fn read(task: Option<Arc<dyn Task>>, asked: &Path) -> Result<(Recipe, Option<Origin>)> {
    let is_path = asked.components().count() > 1 || asked.extension().is_some_and(|e| e == "toml");
    if !is_path {
        return Err(no_such_recipe(task, asked));
    }
    let origin = asked.display().to_string();
    let within = |error: Error| error.within(&origin);
    let (text, from) = recipe_of_run(read_text(asked)?).map_err(within)?;
    let task = match task {
        Some(task) => task,
        None => task_of(&text).map_err(within)?,
    };
    let recipe = Recipe::new(task)?.variation(&text, &origin)?;
    Ok((recipe, from))
}

fn no_such_recipe(task: Option<Arc<dyn Task>>, asked: &Path) -> Error {
    let asked = asked.display().to_string();
    let reason = match task {
        None => format!(
            "{asked:?} is no file whose name ends in .toml; name the task for a recipe by name"
        ),
        Some(task) => {
            let has = |name: &&str| matches!(Recipe::named(task.clone(), name), Ok(Some(_)));
            let names: Vec<_> = Recipe::NAMES.into_iter().filter(has).collect();
            format!(
                "{} has no recipe {asked:?}; expected {}, or a file whose name ends in .toml",
                task.name(),
                names.join(", "),
            )
        }
    };
    Error::Setting {
        field: "--recipe".into(),
        reason,
    }
}

/// The kind of task that the text of a recipe is for.
fn task_of(text: &str) -> Result<Arc<dyn Task>> {
    let table: toml::Table = text.parse().map_err(|source| Error::Toml {
        origin: "recipe".into(),
        source: Box::new(source),
    })?;
    let kind = table.get("task").and_then(|task| task.get("kind"));
    let task = kind.and_then(|kind| kind.as_str()).and_then(tasks::named);
    task.ok_or_else(|| Error::Setting {
        field: "task.kind".into(),
        reason: "the recipe does not say which task it is for: name it".into(),
    })
}
