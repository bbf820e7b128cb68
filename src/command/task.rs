//! The tasks, and their settings, as arguments.

use super::number::whole;
use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use clap::{Arg, ArgMatches, Args, Command, FromArgMatches};
use metaplastic::tasks::{self, Task};
use std::sync::Arc;

/// The name of a task that comes with the crate.
#[derive(Clone, Debug)]
pub(super) struct TaskName(Arc<dyn Task>);

impl TaskName {
    /// The task, with the sizes of the paper.
    pub fn task(&self) -> Arc<dyn Task> {
        self.0.clone()
    }
}

/// One of the names.
pub(super) fn task_name() -> impl TypedValueParser<Value = TaskName> {
    let all = tasks::all().into_iter();
    let names = all.map(|task| PossibleValue::new(task.name().to_owned()).help(task.summary()));
    PossibleValuesParser::new(names)
        .map(|name| TaskName(tasks::named(&name).expect("one of the names")))
}

/// The settings of all tasks, one option for each name.
#[derive(Clone, Debug)]
pub(super) struct TaskSettings(toml::Table);

impl TaskSettings {
    /// Those that are given.
    pub fn given(&self) -> &toml::Table {
        &self.0
    }

    /// Each setting's name, and what it is about.
    fn all() -> Vec<(&'static str, String)> {
        let mut all: Vec<(&'static str, String)> = Vec::new();
        let tasks = tasks::all();
        for setting in tasks.iter().flat_map(|task| task.settings()) {
            match all.iter_mut().find(|(name, _)| *name == setting.name) {
                Some((_, account)) => *account = setting.account,
                None => all.push((setting.name, setting.account)),
            }
        }
        all
    }
}

impl Args for TaskSettings {
    fn augment_args(mut command: Command) -> Command {
        for (name, account) in Self::all() {
            let mut letters = account.chars();
            let first = letters.next().into_iter().flat_map(char::to_uppercase);
            let option = Arg::new(name)
                .long(name.replace('_', "-"))
                .value_name("COUNT")
                .allow_negative_numbers(true)
                .value_parser(whole::<usize>)
                .help(first.chain(letters).collect::<String>());
            command = command.arg(option);
        }
        command
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for TaskSettings {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let given = Self::all().into_iter().filter_map(|(name, _)| {
            let size = *matches.get_one::<usize>(name)?;
            let size = i64::try_from(size).unwrap_or(i64::MAX);
            Some((name.to_owned(), size.into()))
        });
        Ok(Self(given.collect()))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}
