//! The tasks, and their settings, as arguments.

use super::number::whole;
use super::values::real;
use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use clap::{Arg, ArgMatches, Args, Command, FromArgMatches};
use metaplastic::tasks::{self, Task, TaskSetting};
use metaplastic::{Error, Result};
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
    /// The task with the settings that are given.
    pub fn apply(&self, task: Arc<dyn Task>) -> Result<Arc<dyn Task>> {
        let given = &self.0;
        let own = task.settings();
        if let Some(name) = given
            .keys()
            .find(|name| own.iter().all(|it| it.name != **name))
        {
            return Err(Error::Setting {
                field: format!("--{}", name.replace('_', "-")),
                reason: format!("{} has no such setting", task.name()),
            });
        }
        match given.is_empty() {
            true => Ok(task),
            false => task.with_settings(given),
        }
    }

    /// Each setting's name and value in one of the tasks that have it, and what it is about.
    fn all() -> Vec<(&'static str, toml::Value, String)> {
        let tasks = tasks::all();
        let mut all: Vec<(TaskSetting, Vec<&str>)> = Vec::new();
        for task in &tasks {
            for setting in task.settings() {
                let same =
                    |it: &TaskSetting| it.name == setting.name && it.account == setting.account;
                match all.iter_mut().find(|(it, _)| same(it)) {
                    Some((_, of)) => of.push(task.name()),
                    None => all.push((setting, vec![task.name()])),
                }
            }
        }
        let mut options: Vec<(&'static str, toml::Value, String)> = Vec::new();
        for (setting, of) in &all {
            let mut alike = all.iter().filter(|(it, _)| it.name == setting.name);
            let account = match alike.nth(1) {
                None => setting.account.clone(),
                Some(_) => format!("{} ({})", setting.account, of.join(", ")),
            };
            match options.iter_mut().find(|(name, ..)| *name == setting.name) {
                Some((.., before)) => *before += &format!("; {account}"),
                None => options.push((setting.name, setting.value.clone(), account)),
            }
        }
        options
    }
}

impl Args for TaskSettings {
    fn augment_args(mut command: Command) -> Command {
        for (name, value, account) in Self::all() {
            let mut letters = account.chars();
            let first = letters.next().into_iter().flat_map(char::to_uppercase);
            let option = Arg::new(name)
                .long(name.replace('_', "-"))
                .allow_negative_numbers(true)
                .help(first.chain(letters).collect::<String>());
            command = command.arg(match value.is_float() {
                true => option.value_name("VALUE").value_parser(real),
                false => option.value_name("COUNT").value_parser(whole::<usize>),
            });
        }
        command
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for TaskSettings {
    fn from_arg_matches(matches: &ArgMatches) -> std::result::Result<Self, clap::Error> {
        let given = Self::all().into_iter().filter_map(|(name, value, _)| {
            let given = if value.is_float() {
                (*matches.get_one::<f64>(name)?).into()
            } else {
                let size = *matches.get_one::<usize>(name)?;
                i64::try_from(size).unwrap_or(i64::MAX).into()
            };
            Some((name.to_owned(), given))
        });
        Ok(Self(given.collect()))
    }

    fn update_from_arg_matches(
        &mut self,
        matches: &ArgMatches,
    ) -> std::result::Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}
