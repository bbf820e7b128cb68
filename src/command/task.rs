//! The tasks, and their settings, as arguments.

use super::number::whole;
use super::values::{Choose, Lists, Several, real, several};
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
pub(super) struct TaskSettings(Vec<(&'static str, Several<toml::Value>)>);

impl TaskSettings {
    /// The task with the settings that are given.
    pub fn apply(&self, task: Arc<dyn Task>) -> Result<Arc<dyn Task>> {
        let own = task.settings();
        let wrong = |name: &str, reason: String| Error::Setting {
            field: format!("--{}", name.replace('_', "-")),
            reason,
        };
        for (name, given) in &self.0 {
            if task.episodes_in_all().is_some() {
                let reason = format!("{} has its episodes from a file, as they are", task.name());
                return Err(wrong(name, reason));
            }
            if own.iter().all(|it| it.name != *name) {
                return Err(wrong(name, format!("{} has no such setting", task.name())));
            }
            if !given.is_one() {
                let reason = "several values, where there can be one only";
                return Err(wrong(name, reason.to_owned()));
            }
        }
        let given = self.0.iter();
        let given: toml::Table = given
            .map(|(name, given)| (name.to_string(), given.first()))
            .collect();
        match given.is_empty() {
            true => Ok(task),
            false => task.with_settings(&given),
        }
    }

    /// The options that may have several values.
    pub fn lists(&mut self) -> Lists<'_> {
        let all = self.0.iter_mut();
        all.map(|(name, given)| (*name, given as &mut dyn Choose))
            .collect()
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

fn float_value(text: &str) -> Result<toml::Value, String> {
    real(text).map(toml::Value::from)
}

fn size_value(text: &str) -> Result<toml::Value, String> {
    let size: usize = whole(text)?;
    Ok(i64::try_from(size).unwrap_or(i64::MAX).into())
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
                true => option
                    .value_name("VALUE")
                    .value_parser(several(float_value)),
                false => option.value_name("COUNT").value_parser(several(size_value)),
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
        let given = Self::all().into_iter().filter_map(|(name, ..)| {
            let given = matches.get_one::<Several<toml::Value>>(name)?;
            Some((name, given.clone()))
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
