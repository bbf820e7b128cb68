//! The settings of a recipe that have several values, and their places in its table.

use crate::error::{Error, Result};
use toml::{Table, Value};

/// Keys whose one value is a list; several values are a list of lists.
const LISTS: [&str; 2] = ["optimiser.rate_bounds", "optimiser.frozen"];
/// The list of layers.
pub(super) const LAYERS: &str = "network.layer";
/// Its keys are names with dots.
const FACTORS: &str = "optimiser.factors";

/// A setting that has several values. The same setting of several layers, with the same values, counts as one.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Axis {
    /// The keys in a recipe, such as `optimiser.learning_rate` or `network.layer0.rate.value`.
    pub keys: Vec<String>,
    /// Its values, each once.
    pub values: Vec<Value>,
}

impl Axis {
    /// What it is called: `learning_rate`, or `layer0.rate.value`.
    pub fn name(&self) -> &str {
        let key = &self.keys[0];
        match key.strip_prefix("network.") {
            Some(of_network) => of_network,
            None => key.split_once('.').map_or(key, |(_, last)| last),
        }
    }

    /// A value, for people: of a table its kind.
    pub fn text(&self, index: usize) -> String {
        match &self.values[index] {
            Value::String(text) => text.clone(),
            Value::Table(table) => match table.get("kind") {
                Some(Value::String(kind)) => kind.clone(),
                _ => table.to_string(),
            },
            Value::Float(value) if is_ordinary(*value) => value.to_string(),
            value => setting_text(value),
        }
    }
}

/// A setting's value as TOML has it, with an exponent where a number would be a row of zeros.
pub(crate) fn setting_text(value: &Value) -> String {
    match value {
        Value::Float(value) if !is_ordinary(*value) => format!("{value:e}"),
        Value::Array(items) => {
            let items: Vec<_> = items.iter().map(setting_text).collect();
            format!("[{}]", items.join(", "))
        }
        value => value.to_string(),
    }
}

/// Whether a number is read with ease when all its digits are written.
fn is_ordinary(value: f64) -> bool {
    let size = value.abs();
    value == 0.0 || !value.is_finite() || (1e-4..1e15).contains(&size)
}

/// Whether two values are one, however they are written: a whole number is a number.
fn same(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Integer(whole), Value::Float(number))
        | (Value::Float(number), Value::Integer(whole)) => *whole as f64 == *number,
        (Value::Array(one), Value::Array(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| same(one, other))
        }
        (Value::Table(one), Value::Table(other)) => {
            one.len() == other.len()
                && one
                    .iter()
                    .all(|(key, value)| other.get(key).is_some_and(|it| same(value, it)))
        }
        (one, other) => one == other,
    }
}

/// The innermost places at which values of the same kind differ.
pub(super) fn differing(path: &str, values: &[&Value], found: &mut Vec<Axis>) {
    if values.iter().all(|value| *value == values[0]) {
        return;
    }
    let tables: Option<Vec<_>> = values.iter().map(|value| value.as_table()).collect();
    if let Some(tables) = tables
        && tables.iter().all(|table| {
            table.get("kind") == tables[0].get("kind") && table.keys().eq(tables[0].keys())
        })
    {
        for key in tables[0].keys() {
            let inner: Vec<_> = tables.iter().map(|table| &table[key]).collect();
            let path = if path.is_empty() {
                key.clone()
            } else {
                format!("{path}.{key}")
            };
            differing(&path, &inner, found);
        }
        return;
    }
    let arrays: Option<Vec<_>> = values.iter().map(|value| value.as_array()).collect();
    if let Some(arrays) = arrays
        && path == LAYERS
        && arrays.iter().all(|array| array.len() == arrays[0].len())
    {
        for index in 0..arrays[0].len() {
            let inner: Vec<_> = arrays.iter().map(|array| &array[index]).collect();
            differing(&format!("{path}{index}"), &inner, found);
        }
        return;
    }
    found.push(Axis {
        keys: vec![path.to_owned()],
        values: values.iter().map(|value| (*value).clone()).collect(),
    });
}

/// Takes the lists of a sweep out of a recipe's table, and leaves the first value of each.
pub(super) fn take_sweep(table: &mut Table) -> Result<Vec<Axis>> {
    let mut axes = Vec::new();
    for (key, value) in table.iter_mut() {
        take(key, value, &mut axes)?;
    }
    Ok(together(axes))
}

fn take(path: &str, value: &mut Value, axes: &mut Vec<Axis>) -> Result<()> {
    if let Value::Table(table) = value {
        for (key, value) in table.iter_mut() {
            take(&format!("{path}.{key}"), value, axes)?;
        }
        return Ok(());
    }
    let Value::Array(items) = value else {
        return Ok(());
    };
    let is_one_value = match path {
        LAYERS => items.iter().all(Value::is_table),
        _ => LISTS.contains(&path) && !items.iter().any(Value::is_array),
    };
    if is_one_value {
        let layers = items.iter_mut().enumerate().filter(|_| path == LAYERS);
        for (index, item) in layers {
            take(&format!("{path}{index}"), item, axes)?;
        }
        return Ok(());
    }
    let repeated = items
        .iter()
        .enumerate()
        .find(|(index, item)| items[..*index].iter().any(|before| same(before, item)));
    if let Some((_, item)) = repeated {
        return Err(Error::setting(path, format!("{item} is given twice")));
    }
    let Some(first) = items.first().cloned() else {
        return Err(Error::setting(path, "a list without a value"));
    };
    let values = std::mem::take(items);
    *value = first;
    // A list of one is that value.
    if values.len() > 1 {
        let keys = vec![path.to_owned()];
        axes.push(Axis { keys, values });
    }
    Ok(())
}

/// The axes, with those of the same setting and values in several layers as one.
pub(super) fn together(axes: Vec<Axis>) -> Vec<Axis> {
    let mut all: Vec<Axis> = Vec::new();
    for axis in axes {
        let own = in_any_layer(&axis.keys[0]);
        let same = |it: &&mut Axis| in_any_layer(&it.keys[0]) == own && it.values == axis.values;
        match all.iter_mut().find(same) {
            Some(before) => before.keys.extend(axis.keys),
            None => all.push(axis),
        }
    }
    all
}

/// A layer's key without the layer's number; any other as it is.
fn in_any_layer(key: &str) -> String {
    match key.strip_prefix(LAYERS) {
        Some(rest) => rest
            .trim_start_matches(|c: char| c.is_ascii_digit())
            .to_owned(),
        None => key.to_owned(),
    }
}

/// Puts the lists of a sweep into a recipe's table.
pub(super) fn put_sweep(table: &mut Table, axes: &[Axis]) {
    for axis in axes {
        for key in &axis.keys {
            if let Some(place) = find(table, key) {
                *place = Value::Array(axis.values.clone());
            }
        }
    }
}

/// The place of a key in a recipe's table. A setting that a recipe may leave out has a place too.
pub(super) fn find<'a>(table: &'a mut Table, key: &str) -> Option<&'a mut Value> {
    let (tables, last) = match key.strip_prefix(FACTORS) {
        Some(factor) => (FACTORS, factor.trim_start_matches('.')),
        None => key.rsplit_once('.').unwrap_or(("", key)),
    };
    let mut here = table;
    for part in tables.split('.').filter(|part| !part.is_empty()) {
        let number = part
            .strip_prefix("layer")
            .and_then(|number| number.parse::<usize>().ok());
        here = match number {
            Some(number) => here.get_mut("layer")?.as_array_mut()?.get_mut(number)?,
            None => here.get_mut(part)?,
        }
        .as_table_mut()?;
    }
    // A table of another kind may come in its place.
    Some(here.entry(last).or_insert(Value::Boolean(false)))
}
