//! `metaplastic train`.

use super::engine::{EngineArguments, describe};
use super::interrupt::Interrupt;
use super::keeping::Keeping;
use super::output::{Ending, note};
use super::resume::Going;
use super::settings::{Settings, Wished};
use super::task::{TaskName, task_name};
use super::watched::{complete, watched};
use clap::Args;
use metaplastic::runs::series::{Series, holds_runs};
use metaplastic::runs::{Begun, Label, Live, Origin, Wanted};
use metaplastic::training::{Population, Recipe, Training};
use metaplastic::{Engine, Error, Parameters, Result};
use std::path::PathBuf;

#[derive(Args, Debug)]
pub(super) struct Arguments {
    /// What the networks learn [default: as --recipe FILE.toml or --from says]
    #[arg(value_parser = task_name(), required_unless_present_any = ["recipe", "from", "data"])]
    task: Option<TaskName>,

    #[command(flatten)]
    engine: EngineArguments,

    /// Folder for the results [default: runs/NAME or runs/TASK-seedSEED, numbered where that is taken]
    #[arg(long, value_name = "DIR")]
    output: Option<PathBuf>,

    /// Replace the run that the folder holds, once this one has ended; other files are left alone
    #[arg(long)]
    force: bool,

    /// What the run is called
    #[arg(long, value_parser = name)]
    name: Option<String>,

    /// A word to find the run by; may be given several times
    #[arg(long = "tag", value_name = "TAG", value_parser = name)]
    tags: Vec<String>,

    #[command(flatten)]
    keeping: Keeping,

    #[command(flatten)]
    settings: Settings,
}

/// A name that can be that of a folder; for the argument parser, which names the option.
fn name(text: &str) -> Result<String, String> {
    let is_path = text.contains(['/', '\\', '\n']) || [".", ".."].contains(&text);
    if text.trim().is_empty() || is_path {
        return Err("expected a name of one line, without slashes".to_owned());
    }
    Ok(text.to_owned())
}

pub(super) fn run(arguments: &Arguments) -> Result<Ending> {
    let Wished {
        mut populations,
        from,
        parameters,
    } = arguments.settings.wished(arguments.task.as_ref())?;
    let label = Label::now().called(arguments.name.clone(), arguments.tags.clone());
    if populations.len() > 1 {
        return series(arguments, &populations, label, from, parameters.as_deref());
    }
    let recipe = populations.swap_remove(0).recipe;
    let parameters = parameters.and_then(|all| all.into_iter().next());
    let wanted = arguments.wanted(&recipe);
    wanted.check()?;
    let choice = arguments.engine.choose(recipe.synapse_steps(), false)?;
    let training = training(&choice.engine, &recipe, parameters.as_ref())?;
    let interrupt = Interrupt::listen(true);
    let folder = wanted.claim()?;
    let mut begun = Begun::new(&recipe, &choice);
    begun.label = label;
    begun.from = from;
    let keeping = &arguments.keeping;
    let asked = folder.path().to_owned();
    let live = Live::begin(folder, begun, None, keeping.checkpoint_every)?;
    if !keeping.quiet {
        note(format_args!("engine: {}", describe(&choice)));
        note(format_args!("run: {}", live.path().display()));
        if live.path() != asked {
            note(format_args!(
                "the run in {} is kept until this one has ended",
                asked.display()
            ));
        }
    }
    let watched = watched(training, Some(live), &interrupt, keeping.quiet)?;
    complete(watched, keeping.telling())
}

impl Arguments {
    /// The folder for a run of this recipe.
    fn wanted(&self, recipe: &Recipe) -> Wanted<'_> {
        let name = self.name.clone();
        Wanted {
            asked: self.output.as_deref(),
            name: name.unwrap_or_else(|| format!("{}-seed{}", recipe.task.name(), recipe.seed)),
            force: self.force,
            is_taken: holds_runs,
        }
    }
}

/// Trains populations one after the other, each as a run inside of one folder.
fn series(
    arguments: &Arguments,
    populations: &[Population],
    label: Label,
    from: Option<Origin>,
    parameters: Option<&[Parameters<f32>]>,
) -> Result<Ending> {
    let wanted = arguments.wanted(&populations[0].recipe);
    wanted.check()?;
    if let Some(path) = arguments.output.as_deref().filter(|path| holds_runs(path)) {
        let reason = format!(
            "{} holds a run, and runs that are trained one after the other replace none: choose another --output",
            path.display()
        );
        return Err(Error::Setting {
            field: "--force".into(),
            reason,
        });
    }
    let mut begun = Vec::new();
    for (index, Population { recipe, .. }) in populations.iter().enumerate() {
        let choice = arguments.engine.choose(recipe.synapse_steps(), false)?;
        // So that whatever cannot be trained is refused before anything is.
        training(&choice.engine, recipe, parameters.map(|all| &all[index]))?;
        let mut one = Begun::new(recipe, &choice);
        (one.label, one.from) = (label.clone(), from.clone());
        begun.push(one);
    }
    let interrupt = Interrupt::listen(true);
    let wanted = Wanted {
        force: false,
        ..wanted
    };
    let whole = wanted.claim()?;
    let series = Series::new(populations.iter().map(|one| &one.values[..]));
    let keeping = &arguments.keeping;
    for (part, begun) in series.runs.iter().zip(begun) {
        let folder = whole.inside(&part.folder)?;
        Live::begin(folder, begun, None, keeping.checkpoint_every)?;
    }
    series.write(whole.path())?;
    if !keeping.quiet {
        note(format_args!(
            "{} runs, one after the other: {}",
            series.runs.len(),
            whole.path().display()
        ));
    }
    let going = Going {
        episodes: None,
        engine: &arguments.engine,
        keeping,
    };
    going.on_with_all(whole.path(), &series, &interrupt)
}

fn training(
    engine: &Engine,
    recipe: &Recipe,
    parameters: Option<&Parameters<f32>>,
) -> Result<Training> {
    match parameters {
        None => Training::new(engine, recipe),
        Some(parameters) => Training::from_parameters(engine, recipe, parameters),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_what_people_write() {
        assert_eq!(name("first try"), Ok("first try".to_owned()));
        for text in ["", " ", "a/b", "..", "two\nlines"] {
            assert!(name(text).is_err(), "{text:?}");
        }
    }
}
