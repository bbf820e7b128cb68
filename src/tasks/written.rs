//! Tasks as recipe files have them: the name as `kind`, and the settings.

use super::registry::{all, named};
use super::task::Task;
use crate::error::{Error, Result};
use crate::named::listed;
use serde::de::Error as _;
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serializer};
use std::sync::Arc;
use toml::{Table, Value};

pub(crate) fn serialize<S: Serializer>(task: &Arc<dyn Task>, to: S) -> Result<S::Ok, S::Error> {
    let settings = task.settings();
    let mut map = to.serialize_map(Some(1 + settings.len()))?;
    map.serialize_entry("kind", task.name())?;
    for setting in settings {
        map.serialize_entry(setting.name, &setting.value)?;
    }
    map.end()
}

/// A task as recipe files have it.
pub(crate) fn table_of(task: &dyn Task) -> Table {
    let settings = task.settings().into_iter();
    let mut table: Table = settings
        .map(|setting| (setting.name.to_owned(), setting.value))
        .collect();
    table.insert("kind".to_owned(), Value::String(task.name().to_owned()));
    table
}

pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Arc<dyn Task>, D::Error> {
    let table = Table::deserialize(from)?;
    let task = match table.get("kind") {
        Some(Value::String(kind)) => named(kind).ok_or_else(|| {
            let known = all();
            let known = listed(known.iter().map(|task| task.name()));
            D::Error::custom(format!("task.kind: {kind:?}, expected {known}"))
        })?,
        Some(other) => {
            return Err(D::Error::custom(format!(
                "task.kind: {other}, expected a name"
            )));
        }
        None => return Err(D::Error::missing_field("kind")),
    };
    for setting in task.settings() {
        if !table.contains_key(setting.name) {
            return Err(D::Error::missing_field(setting.name));
        }
    }
    read_table(&task, table).map_err(D::Error::custom)
}

/// The task of a table, which is of the kind of `task`; settings that the table leaves out are those of `task`.
pub(crate) fn read_table(task: &Arc<dyn Task>, mut table: Table) -> Result<Arc<dyn Task>> {
    match table.remove("kind") {
        Some(Value::String(kind)) if kind == task.name() => {}
        kind => {
            let kind = match kind {
                Some(Value::String(kind)) => kind,
                Some(other) => other.to_string(),
                None => "missing".to_owned(),
            };
            return Err(Error::setting(
                "task.kind",
                format!("{kind}, but the recipe is wanted for {}", task.name()),
            ));
        }
    }
    let own = table_of(&**task);
    match table
        .iter()
        .all(|(name, value)| own.get(name) == Some(value))
    {
        true => Ok(task.clone()),
        false => task.with_settings(&table),
    }
}
