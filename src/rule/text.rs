//! Rules in files and messages: by name, or as `{ trace = "…" }`.

use super::{NAMED, Rule};
use crate::error::{Error, Result};
use serde::de::value::MapAccessDeserializer;
use serde::de::{Error as _, IgnoredAny, MapAccess, Visitor};
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt::{Debug, Display, Formatter};
use std::str::FromStr;

/// The name, or the text of a rule that has none.
impl Display for Rule {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name().unwrap_or(self.trace()))
    }
}

impl Debug for Rule {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        write!(f, "Rule({self})")
    }
}

/// A rule by its name, or any text of the language.
impl FromStr for Rule {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match Self::find(text.trim()) {
            Some(named) => Ok(named),
            None => Self::parse(text),
        }
    }
}

impl Serialize for Rule {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.name() {
            Some(name) => serializer.serialize_str(name),
            None => {
                let mut table = serializer.serialize_map(Some(1))?;
                table.serialize_entry("trace", self.trace())?;
                table.end()
            }
        }
    }
}

impl<'de> Deserialize<'de> for Rule {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(RuleVisitor)
    }
}

/// The table, with what it does not take yet.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    trace: String,
    bound: Option<IgnoredAny>,
    eligibility: Option<IgnoredAny>,
    coefficients: Option<IgnoredAny>,
}

struct RuleVisitor;

impl<'de> Visitor<'de> for RuleVisitor {
    type Value = Rule;

    fn expecting(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        let names: Vec<_> = NAMED.iter().map(|(name, ..)| format!("{name:?}")).collect();
        let names = names.join(", ");
        write!(
            f,
            "{names} or {{ trace = \"a text such as {}\" }}",
            NAMED[0].1
        )
    }

    fn visit_str<E: serde::de::Error>(self, name: &str) -> Result<Rule, E> {
        let unknown = || E::invalid_value(serde::de::Unexpected::Str(name), &self);
        Rule::find(name).ok_or_else(unknown)
    }

    fn visit_map<A: MapAccess<'de>>(self, table: A) -> Result<Rule, A::Error> {
        let table = Table::deserialize(MapAccessDeserializer::new(table))?;
        let unsupported = [
            ("bound", table.bound),
            ("eligibility", table.eligibility),
            ("coefficients", table.coefficients),
        ];
        for (key, given) in unsupported {
            if given.is_some() {
                let message = format!("rule.{key}: not supported yet; a rule has a trace alone");
                return Err(A::Error::custom(message));
            }
        }
        Rule::parse(&table.trace).map_err(A::Error::custom)
    }
}
