//! Every setting of a run, from a recipe and from the command line, which has the last word.

mod data;
mod network;
mod optimiser;
mod origin;

use crate::command::input::read_table;
use crate::command::number::whole;
use crate::command::task::TaskName;
use crate::command::values::{Lists, Several, list, set, several};
use clap::Args;
use data::DataSettings;
use metaplastic::file::read_text;
use metaplastic::runs::{Origin, recipe_of_run};
use metaplastic::tasks::{self, Task};
use metaplastic::training::{Data, Population, Recipe};
use metaplastic::{Error, Result};
use network::NetworkSettings;
use optimiser::OptimiserSettings;
pub(super) use origin::{Wished, parameters_of};
use std::path::{Path, PathBuf};
use std::sync::Arc;

#[derive(Args, Clone, Debug)]
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
    #[arg(long, allow_negative_numbers = true, value_parser = several(whole::<u64>))]
    episodes: Option<Several<u64>>,

    /// Episodes per network and update
    #[arg(long, allow_negative_numbers = true, value_parser = several(whole::<usize>))]
    batch: Option<Several<usize>>,

    /// Episodes at the end that run with frozen parameters and measure the final error
    /// [default: 500, or a tenth of fewer than 1,000]
    #[arg(long, allow_negative_numbers = true, value_parser = several(whole::<u64>))]
    frozen: Option<Several<u64>>,

    /// Begin with the parameters of another run, of the same sizes and number of networks, or of one network
    #[arg(long, value_name = "RUN")]
    from: Option<PathBuf>,

    #[command(flatten)]
    data: DataSettings,

    #[command(flatten)]
    network: NetworkSettings,

    #[command(flatten)]
    optimiser: OptimiserSettings,
}

/// The recipe that every setting is of that is not given.
const DEFAULT: &str = "paper";

impl Settings {
    /// The recipe, and the run whose parameters it begins with, where its file is that of such a run.
    fn recipe_and_origin(&self, task: Option<&TaskName>) -> Result<(Recipe, Option<Origin>)> {
        if self.data.is_given() && self.recipe.is_none() {
            return Ok((self.data.recipe(None)?, None));
        }
        let name = Path::new(DEFAULT);
        let asked = self.recipe.as_deref().unwrap_or(name);
        let task = task.map(TaskName::task);
        // A recipe by name may depend on the task's sizes; a file has some of its own, which are changed later.
        let sized = task
            .clone()
            .map(|task| self.with_first_values().network.task(task))
            .transpose()?;
        let named = sized.map(|sized| named(sized, asked)).transpose()?;
        let (recipe, origin) = match named.flatten() {
            Some(recipe) => (recipe, None),
            None => self.read(task, asked)?,
        };
        Ok((recipe, origin))
    }

    /// The recipe of a file, laid over the paper's, and the run that it begins with.
    fn read(&self, task: Option<Arc<dyn Task>>, asked: &Path) -> Result<(Recipe, Option<Origin>)> {
        let is_path =
            asked.components().count() > 1 || asked.extension().is_some_and(|e| e == "toml");
        if !is_path {
            return Err(no_such_recipe(task, asked));
        }
        let origin = asked.display().to_string();
        let within = |error: Error| error.within(&origin);
        let (text, from) = recipe_of_run(read_text(asked)?).map_err(within)?;
        let table = read_table(&text, &origin)?;
        if task.is_none() && (self.data.is_given() || Data::is_of_recipe(&table)) {
            return Ok((self.data.recipe(Some((&text, &origin)))?, from));
        }
        let task = match task {
            Some(task) => task,
            None => task_of(&table).map_err(within)?,
        };
        let recipe = Recipe::new(task)?.variation(&text, &origin)?;
        Ok((recipe, from))
    }

    /// The options that may have several values.
    fn lists(&mut self) -> Lists<'_> {
        let own = [
            list("episodes", &mut self.episodes),
            list("batch", &mut self.batch),
            list("frozen", &mut self.frozen),
        ];
        let mut all: Lists<'_> = own.into_iter().flatten().collect();
        all.extend(self.network.lists());
        all.extend(self.optimiser.lists());
        all
    }

    /// The same with one value of each option, those of `chosen` by name, else the first.
    fn with_values(&self, chosen: &[(&str, usize)]) -> Self {
        let mut one = self.clone();
        for (name, list) in one.lists() {
            let index = chosen.iter().find(|(it, _)| *it == name);
            list.choose(index.map_or(0, |(_, index)| *index));
        }
        one
    }

    fn with_first_values(&self) -> Self {
        self.with_values(&[])
    }

    /// The recipes of what is asked for, with these settings in the place of those of `recipe`: of each population that is
    /// trained, one after the other.
    fn populations(&self, recipe: &Recipe) -> Result<Vec<Population>> {
        let mut own = self.clone();
        let lists = own.lists().into_iter();
        let lists: Vec<(&str, Vec<String>)> = lists
            .map(|(name, list)| (name, list.texts().to_vec()))
            .filter(|(_, texts)| texts.len() > 1)
            .collect();
        let mut all = Vec::new();
        for Population { values, recipe, .. } in recipe.populations()? {
            let base = self.without_overridden(recipe)?;
            let first = self.with_first_values().apply(base.clone())?;
            let (within, apart): (Vec<_>, Vec<_>) = {
                let shares = lists.iter().map(|list| {
                    let along = self.along(&base, &[], list)?;
                    require_once(list, &along)?;
                    let plain = plain(&first);
                    Ok(along.iter().all(|it| it.shares_population_with(&plain)))
                });
                let shares = shares.collect::<Result<Vec<bool>>>()?;
                let (within, apart): (Vec<_>, Vec<_>) =
                    lists.iter().zip(shares).partition(|(_, shares)| *shares);
                let only =
                    |lists: Vec<(_, bool)>| lists.into_iter().map(|(list, _)| list).collect();
                (only(within), only(apart))
            };
            for chosen in grid(&apart) {
                let recipe = self.with_values(&chosen).apply(base.clone())?;
                let along = within.iter().map(|list| self.along(&base, &chosen, list));
                let recipe = recipe.swept(&along.collect::<Result<Vec<_>>>()?)?;
                recipe.check()?;
                let texts = apart.iter().zip(&chosen);
                let texts = texts.map(|((name, texts), (_, index))| {
                    (name.replace('-', "_"), texts[*index].clone())
                });
                let values = values.iter().cloned().chain(texts).collect();
                all.push(Population::new(values, recipe));
            }
        }
        Ok(all)
    }

    /// The recipes with each of the values of an option, without what else is swept.
    fn along(
        &self,
        base: &Recipe,
        chosen: &[(&str, usize)],
        (name, texts): &(&str, Vec<String>),
    ) -> Result<Vec<Recipe>> {
        let each = (0..texts.len()).map(|index| {
            let chosen = [chosen, &[(*name, index)]].concat();
            self.with_values(&chosen).apply(plain(base))
        });
        each.collect()
    }

    /// A recipe without the sweep of settings that are given here.
    fn without_overridden(&self, recipe: Recipe) -> Result<Recipe> {
        let settings = self.with_first_values();
        let mut left = recipe.clone();
        left.sweep.clear();
        for axis in &recipe.sweep {
            let along = recipe.along(axis)?.into_iter();
            let applied = along.map(|one| settings.apply(one));
            let applied = applied.collect::<Result<Vec<_>>>()?;
            if applied.iter().any(|one| *one != applied[0]) {
                left.sweep.push(axis.clone());
            }
        }
        Ok(left)
    }

    /// The recipe with the settings that are given.
    fn apply(&self, mut recipe: Recipe) -> Result<Recipe> {
        if let Some(seed) = self.seed {
            recipe.seed = seed;
        }
        if let Some(population) = self.population {
            recipe.population = population;
        }
        set(&mut recipe.episodes, &self.episodes);
        set(&mut recipe.batch, &self.batch);
        if let Some(frozen) = &self.frozen {
            recipe.frozen = Some(frozen.first());
        }
        self.network.apply(&mut recipe)?;
        self.optimiser.apply(&mut recipe)?;
        recipe.check()?;
        Ok(recipe)
    }
}

fn plain(recipe: &Recipe) -> Recipe {
    Recipe {
        sweep: Vec::new(),
        ..recipe.clone()
    }
}

/// Every choice of one value of each option.
fn grid<'a>(lists: &[&(&'a str, Vec<String>)]) -> Vec<Vec<(&'a str, usize)>> {
    let mut all = vec![Vec::new()];
    for (name, texts) in lists {
        let longer = all.iter().flat_map(|chosen: &Vec<(&'a str, usize)>| {
            (0..texts.len()).map(|index| [&chosen[..], &[(*name, index)]].concat())
        });
        all = longer.collect();
    }
    all
}

/// Fails if an option has the same value twice, however it is written: if two of its values give the same of these recipes.
fn require_once((name, texts): &(&str, Vec<String>), recipes: &[Recipe]) -> Result<()> {
    let first_of = |recipe: &Recipe| recipes.iter().position(|it| it == recipe);
    let firsts = recipes.iter().enumerate();
    let mut repeated = firsts.filter_map(|(index, recipe)| {
        let first = first_of(recipe).filter(|first| *first < index)?;
        Some((&texts[first], &texts[index]))
    });
    let Some((before, text)) = repeated.next() else {
        return Ok(());
    };
    let reason = match before == text {
        true => format!("{text} is given twice"),
        false => format!("{before} and {text} are one value here, given twice"),
    };
    Err(Error::Setting {
        field: format!("--{}", name.replace('_', "-")),
        reason,
    })
}

/// The recipe of a name, if there is one.
fn named(task: Arc<dyn Task>, asked: &Path) -> Result<Option<Recipe>> {
    Recipe::named(task, &asked.to_string_lossy())
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

/// The kind of task that a recipe is for.
fn task_of(table: &toml::Table) -> Result<Arc<dyn Task>> {
    let kind = table.get("task").and_then(|task| task.get("kind"));
    let task = kind.and_then(|kind| kind.as_str()).and_then(tasks::named);
    task.ok_or_else(|| Error::Setting {
        field: "task.kind".into(),
        reason: "the recipe does not say which task it is for: name it".into(),
    })
}
