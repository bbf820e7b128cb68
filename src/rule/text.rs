//! Rules in files and messages: by name, or as `{ trace = "…", eligibility = "…" }`.

use super::Rule;
use super::named::Named;
use crate::error::{Error, Result};
use serde::de::value::MapAccessDeserializer;
use serde::de::{Error as _, IgnoredAny, MapAccess, Visitor};
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt::{Debug, Display, Formatter};
use std::str::FromStr;

/// The name, or the text of a rule that has none; or both texts, as in a file.
impl Display for Rule {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        match (self.name(), self.eligibility()) {
            (Some(name), _) => f.write_str(name),
            (None, None) => f.write_str(self.trace()),
            // They have no character that would have to be escaped.
            (None, Some(eligibility)) => {
                let trace = self.trace();
                write!(
                    f,
                    "{{ trace = \"{trace}\", eligibility = \"{eligibility}\" }}"
                )
            }
        }
    }
}

impl Debug for Rule {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        write!(f, "Rule({self})")
    }
}

/// A rule by its name, any text of the language, or the table that a file has.
impl FromStr for Rule {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct File {
            rule: RuleText,
        }

        let text = text.trim();
        if let Some(named) = Self::find(text) {
            return Ok(named);
        }
        if !text.starts_with('{') {
            return Self::parse(text);
        }
        let file: File =
            toml::from_str(&format!("rule = {text}")).map_err(|source| Error::Toml {
                origin: "rule".to_owned(),
                source: Box::new(source),
            })?;
        file.rule.with_coefficients(&[])
    }
}

impl Serialize for Rule {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if let Some(name) = self.name() {
            return serializer.serialize_str(name);
        }
        write_texts(serializer, self.trace(), self.eligibility())
    }
}

fn write_texts<S: Serializer>(
    serializer: S,
    trace: &str,
    eligibility: Option<&str>,
) -> Result<S::Ok, S::Error> {
    let mut table = serializer.serialize_map(None)?;
    table.serialize_entry("trace", trace)?;
    if let Some(eligibility) = eligibility {
        table.serialize_entry("eligibility", eligibility)?;
    }
    table.end()
}

/// Without coefficients of its own: their names are not part of a rule's text.
impl<'de> Deserialize<'de> for Rule {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = RuleText::deserialize(deserializer)?;
        text.with_coefficients(&[]).map_err(D::Error::custom)
    }
}

/// A rule as a file has it, whose coefficients have no names yet.
#[derive(Clone, Debug)]
pub(crate) struct RuleText(Text);

#[derive(Clone, Debug)]
enum Text {
    Named(Rule),
    Own {
        trace: String,
        eligibility: Option<String>,
    },
}

impl RuleText {
    /// The rule, with coefficients of these names (see [`Rule::parse_with`]).
    pub fn with_coefficients(self, names: &[&str]) -> Result<Rule> {
        match self.0 {
            Text::Named(rule) => Rule::parse_with(rule.trace(), rule.eligibility(), names),
            Text::Own { trace, eligibility } => {
                Rule::parse_with(&trace, eligibility.as_deref(), names)
            }
        }
    }
}

impl Serialize for RuleText {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.0 {
            Text::Named(rule) => rule.serialize(serializer),
            Text::Own { trace, eligibility } => {
                write_texts(serializer, trace, eligibility.as_deref())
            }
        }
    }
}

impl From<Rule> for RuleText {
    fn from(rule: Rule) -> Self {
        match rule.name() {
            Some(_) => Self(Text::Named(rule)),
            None => Self(Text::Own {
                trace: rule.trace().to_owned(),
                eligibility: rule.eligibility().map(str::to_owned),
            }),
        }
    }
}

impl<'de> Deserialize<'de> for RuleText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TextVisitor)
    }
}

/// The table, with what belongs beside it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    trace: String,
    eligibility: Option<String>,
    bound: Option<IgnoredAny>,
    coefficients: Option<IgnoredAny>,
}

struct TextVisitor;

impl<'de> Visitor<'de> for TextVisitor {
    type Value = RuleText;

    fn expecting(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        for name in Named::ALL {
            write!(f, "{:?}, ", name.as_str())?;
        }
        let (trace, _) = Named::Hebb.texts();
        write!(
            f,
            "{{ trace = \"a text such as {trace}\" }} or {{ trace = \"…\", eligibility = \"…\" }}"
        )
    }

    fn visit_str<E: serde::de::Error>(self, name: &str) -> Result<RuleText, E> {
        let unknown = || E::invalid_value(serde::de::Unexpected::Str(name), &self);
        let rule = Rule::find(name).ok_or_else(unknown)?;
        Ok(RuleText(Text::Named(rule)))
    }

    fn visit_map<A: MapAccess<'de>>(self, table: A) -> Result<RuleText, A::Error> {
        let table = Table::deserialize(MapAccessDeserializer::new(table))?;
        let misplaced = [
            ("bound", table.bound, "bound = 1.0"),
            ("coefficients", table.coefficients, "coefficients = { … }"),
        ];
        for (key, given, example) in misplaced {
            if given.is_some() {
                let message =
                    format!("rule.{key}: a key of the layer: write `{example}` beside `rule`");
                return Err(A::Error::custom(message));
            }
        }
        Ok(RuleText(Text::Own {
            trace: table.trace,
            eligibility: table.eligibility,
        }))
    }
}
