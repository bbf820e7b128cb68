//! `metaplastic recipe`.

use super::output::{Ending, say};
use super::settings::Settings;
use super::task::{TaskName, task_name};
use clap::Args;
use metaplastic::{Error, Result};

#[derive(Args, Debug)]
pub(super) struct Arguments {
    /// The task whose recipe is printed
    #[arg(value_parser = task_name())]
    task: TaskName,

    #[command(flatten)]
    settings: Settings,
}

pub(super) fn run(arguments: &Arguments) -> Result<Ending> {
    let wished = arguments.settings.wished(Some(&arguments.task))?;
    let [only] = &wished.populations[..] else {
        let values = wished.populations.iter().flat_map(|one| &one.values);
        let name = values.map(|(name, _)| name.replace('_', "-")).next();
        return Err(Error::Setting {
            field: format!("--{}", name.unwrap_or_default()),
            reason: "a recipe has one value of it here, since networks of one population cannot differ in it; \
                     in the recipe's text it may be a list"
                .into(),
        });
    };
    say(only.recipe.to_commented_toml().trim_end())?;
    Ok(Ending::Done)
}
