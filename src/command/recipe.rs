//! `metaplastic recipe`.

use super::output::{Ending, say};
use super::settings::Settings;
use super::task::{TaskName, task_name};
use clap::Args;
use metaplastic::Result;

#[derive(Args, Debug)]
pub(super) struct Arguments {
    /// The task whose recipe is printed
    #[arg(value_parser = task_name())]
    task: TaskName,

    #[command(flatten)]
    settings: Settings,
}

pub(super) fn run(arguments: &Arguments) -> Result<Ending> {
    let recipe = arguments.settings.wished(Some(&arguments.task))?.recipe;
    say(recipe.to_commented_toml().trim_end())?;
    Ok(Ending::Done)
}
