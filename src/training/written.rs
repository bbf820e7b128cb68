//! Tasks as recipe files have them: those that come with the crate, and episodes of one's own.

use super::data::{Data, KIND};
use crate::error::Result;
use crate::tasks::{Task, written};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use std::sync::Arc;
use toml::{Table, Value};

pub(crate) use written::serialize;

pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Arc<dyn Task>, D::Error> {
    let table = Table::deserialize(from)?;
    match table.get("kind") {
        Some(Value::String(kind)) if kind == KIND => {
            let data = Data::of_table(&table).map_err(D::Error::custom)?;
            Ok(Arc::new(data))
        }
        _ => written::deserialize(Value::Table(table)).map_err(D::Error::custom),
    }
}
