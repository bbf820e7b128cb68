//! Runs that begin with the parameters of another run.

use super::Settings;
use crate::command::task::TaskName;
use metaplastic::runs::{Origin, StoredRun};
use metaplastic::training::{Population, Recipe};
use metaplastic::{Error, Parameters, Result};
use std::path::Path;

/// What a run is to be.
#[derive(Debug)]
pub(in crate::command) struct Wished {
    /// The populations that are trained, one after the other.
    pub populations: Vec<Population>,
    /// The run whose parameters they begin with, if they do.
    pub from: Option<Origin>,
    /// Those parameters, of each population.
    pub parameters: Option<Vec<Parameters<f32>>>,
}

impl Settings {
    /// What is asked for: recipes, checked and complete, and what the run begins with.
    pub fn wished(&self, task: Option<&TaskName>) -> Result<Wished> {
        let Some(path) = &self.from else {
            let (recipe, from) = self.recipe_and_origin(task)?;
            let populations = self.populations(&recipe)?;
            let each = populations.iter();
            let parameters = from.as_ref().map(|from| {
                each.map(|one| parameters_of(from, &one.recipe))
                    .collect::<Result<_>>()
            });
            return Ok(Wished {
                parameters: parameters.transpose()?,
                populations,
                from,
            });
        };
        let run = ended(path)?;
        let recipe = match self.recipe {
            Some(_) => self.recipe_and_origin(task)?.0,
            None => self.data.apply(base(&run, task)?)?,
        };
        let populations = self.populations(&recipe)?;
        let run_path = std::path::absolute(path).map_err(|source| Error::Read {
            path: path.clone(),
            source,
        })?;
        let from = Origin {
            run: run_path,
            identity: run.identity.clone(),
        };
        let parameters = populations.iter().map(|one| fitting(&run, &one.recipe));
        Ok(Wished {
            parameters: Some(parameters.collect::<Result<_>>()?),
            populations,
            from: Some(from),
        })
    }
}

/// The settings of a run; on another task, that task's settings for the network.
fn base(run: &StoredRun, task: Option<&TaskName>) -> Result<Recipe> {
    let own = &run.recipe;
    match task.map(TaskName::task) {
        Some(task) if task.name() != own.task.name() => Ok(Recipe {
            seed: own.seed,
            population: own.population,
            network: own.network.clone(),
            ..Recipe::new(task)?
        }),
        _ => Ok(own.clone()),
    }
}

/// The parameters that a run begins with.
pub(in crate::command) fn parameters_of(from: &Origin, recipe: &Recipe) -> Result<Parameters<f32>> {
    let run = ended(&from.run)?;
    if run.identity != from.identity {
        return Err(Error::Setting {
            field: "from".into(),
            reason: format!(
                "{} holds another run by now (identity {}, expected {})",
                from.run.display(),
                run.identity,
                from.identity
            ),
        });
    }
    fitting(&run, recipe)
}

/// A run that has come to its end, so that what is there now will be there later.
fn ended(path: &Path) -> Result<StoredRun> {
    let run = StoredRun::read(path)?;
    match run.unfinished_at {
        None => Ok(run),
        Some(_) => Err(Error::Setting {
            field: "--from".into(),
            reason: format!("the run in {} has not ended", path.display()),
        }),
    }
}

/// The parameters of a run as those of a recipe's networks: of one network for all, of one for each seed for every point.
fn fitting(run: &StoredRun, recipe: &Recipe) -> Result<Parameters<f32>> {
    let parameters = &run.parameters;
    let (given, wanted) = (parameters.population(), recipe.networks());
    if given == 1 && wanted > 1 {
        return parameters.repeat(wanted);
    }
    if given < wanted && given == recipe.population {
        return parameters.repeat(recipe.point_count());
    }
    Ok(parameters.clone())
}
