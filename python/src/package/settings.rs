//! Settings from Python, in the form in which files have them, so that names, defaults and errors are those of files.

use super::error::{Result, setting};
use super::network::Network;
use metaplastic::Error;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyDict, PyFloat, PyInt, PyString};
use serde::de::DeserializeOwned;
use toml::{Table, Value};

/// How deep settings may lie within each other; those that contain themselves have no end.
const DEEPEST: usize = 32;

/// What a dictionary, a list, a text, a number or a boolean is in a file; values of `None` are left out. It lies `depth` deep in others.
fn value(name: &str, object: &Bound<'_, PyAny>, depth: usize) -> Result<Option<Value>> {
    if object.is_none() {
        return Ok(None);
    }
    if depth > DEEPEST {
        let reason = format!("lies more than {DEEPEST} deep in other settings");
        return Err(setting("settings", reason).into());
    }
    if let Ok(dictionary) = object.cast::<PyDict>() {
        return Ok(Some(Value::Table(inner_table(name, dictionary, depth)?)));
    }
    if object.is_instance_of::<PyBool>() {
        return Ok(Some(Value::Boolean(object.extract()?)));
    }
    if object.is_instance_of::<PyString>() {
        return Ok(Some(Value::String(object.extract()?)));
    }
    if object.is_instance_of::<PyInt>() {
        let number: i64 = object
            .extract()
            .map_err(|_| setting(name, format!("{object}, at most {} is supported", i64::MAX)))?;
        return Ok(Some(Value::Integer(number)));
    }
    if object.is_instance_of::<PyFloat>() {
        return Ok(Some(Value::Float(object.extract()?)));
    }
    if let Ok(network) = object.cast::<Network>() {
        let value = Value::try_from(&*network.get().0).expect("a network can be written");
        return Ok(Some(value));
    }
    // A setting's own class, such as `Rate`.
    if let Ok(own) = object.getattr("_table") {
        return value(name, &own.call0()?, depth + 1);
    }
    // NumPy's numbers.
    if let Ok(plain) = object.getattr("item") {
        return value(name, &plain.call0()?, depth + 1);
    }
    if let Ok(items) = object.try_iter() {
        let mut list = Vec::new();
        for item in items {
            list.extend(value(name, &item?, depth + 1)?);
        }
        return Ok(Some(Value::Array(list)));
    }
    let class = object.get_type().name()?;
    let reason = format!("a {class}, expected a number, a text, a list or a dictionary");
    Err(setting(name, reason).into())
}

/// A dictionary as a table; `name` says what it is in errors.
pub fn table(name: &str, dictionary: &Bound<'_, PyDict>) -> Result<Table> {
    inner_table(name, dictionary, 0)
}

fn inner_table(name: &str, dictionary: &Bound<'_, PyDict>, depth: usize) -> Result<Table> {
    let mut table = Table::new();
    for (key, item) in dictionary {
        let key: String = key.str()?.extract()?;
        let path = match name.is_empty() {
            true => key.clone(),
            false => format!("{name}.{key}"),
        };
        if let Some(item) = value(&path, &item, depth + 1)? {
            table.insert(key, item);
        }
    }
    Ok(table)
}

/// The table of one of the classes in `metaplastic/_settings.py`, or of a dictionary.
pub fn of_object(name: &str, object: &Bound<'_, PyAny>) -> Result<Table> {
    match value(name, object, 0)? {
        Some(Value::Table(table)) => Ok(table),
        _ => {
            let class = object.get_type().name()?;
            Err(setting(
                name,
                format!("a {class}, expected settings or a dictionary"),
            )
            .into())
        }
    }
}

/// What the table says.
pub fn read<T: DeserializeOwned>(name: &str, table: Table) -> Result<T> {
    let read = T::deserialize(Value::Table(table));
    Ok(read.map_err(|source| Error::Toml {
        origin: name.to_owned(),
        source: Box::new(source),
    })?)
}
