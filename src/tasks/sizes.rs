//! A task's sizes out of a table of settings.

use super::task::Task;
use crate::error::{Error, Result};
use std::sync::Arc;
use toml::{Table, Value};

/// Sizes that are taken out of a table, one after the other.
pub(super) struct Sizes<'a> {
    task: &'a dyn Task,
    settings: &'a Table,
}

impl<'a> Sizes<'a> {
    /// Those in `settings`, and for the others what `task` has.
    pub fn of(task: &'a dyn Task, settings: &'a Table) -> Self {
        Self { task, settings }
    }

    /// The size of a name.
    pub fn take(&mut self, name: &str) -> Result<usize> {
        match self.value(name) {
            Some(Value::Integer(size)) if size >= 0 => Ok(size as usize),
            other => Err(unexpected(name, other, "a whole number, at least 0")),
        }
    }

    /// The number of a name, which need not be whole.
    pub fn take_real(&mut self, name: &str) -> Result<f64> {
        match self.value(name) {
            Some(Value::Float(number)) => Ok(number),
            Some(Value::Integer(number)) => Ok(number as f64),
            other => Err(unexpected(name, other, "a number")),
        }
    }

    fn value(&self, name: &str) -> Option<Value> {
        let own = || {
            let mut all = self.task.settings().into_iter();
            Some(all.find(|setting| setting.name == name)?.value)
        };
        self.settings.get(name).cloned().or_else(own)
    }

    /// The task with the sizes that were taken. Fails if the table has others.
    pub fn end(self, task: impl Task + 'static) -> Result<Arc<dyn Task>> {
        let known = self.task.settings();
        let is_known = |name: &str| known.iter().any(|setting| setting.name == name);
        match self.settings.keys().find(|name| !is_known(name)) {
            Some(name) => Err(Error::setting(
                format!("task.{name}"),
                format!(
                    "an unknown setting; {} has none of that name",
                    self.task.name()
                ),
            )),
            None => Ok(Arc::new(task)),
        }
    }
}

fn unexpected(name: &str, value: Option<Value>, expected: &str) -> Error {
    let value = value.map_or_else(String::new, |value| value.to_string());
    Error::setting(
        format!("task.{name}"),
        format!("{value}, expected {expected}"),
    )
}
