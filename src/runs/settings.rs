//! `run.toml`: every setting of a run, and what else is to be known of it.

use super::identity::{self, Identity};
use crate::engine::{Choice, EngineKind};
use crate::error::{Error, Result};
use crate::training::Recipe;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use toml::{Table, Value};

/// What a person calls a run, and where it was begun. It does not count towards the run's identity.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Label {
    /// The name given to it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The tags given to it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// When it began, as RFC 3339 says, in UTC; to the second.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub date: Option<String>,
    /// The machine's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
}

impl Label {
    /// Of a run that begins now on this machine.
    pub fn now() -> Self {
        let now = jiff::Timestamp::now().round(jiff::Unit::Second);
        Self {
            name: None,
            tags: Vec::new(),
            date: now.ok().map(|now| now.to_string()),
            host: sysinfo::System::host_name().ok(),
        }
    }

    /// The same with a name and tags.
    #[must_use]
    pub fn called(self, name: Option<String>, tags: Vec<String>) -> Self {
        Self { name, tags, ..self }
    }
}

/// The run whose parameters another one begins with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Origin {
    /// Its folder.
    pub run: PathBuf,
    /// Its identity.
    pub identity: Identity,
}

/// `run.toml`, with the recipe as `R`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Settings<R> {
    /// Of a run that has ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub identity: Option<Identity>,
    #[serde(flatten)]
    pub label: Label,
    pub version: String,
    pub engine: String,
    pub device: String,
    pub reason: String,
    pub frozen_episodes: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<Origin>,
    pub recipe: R,
}

const RECIPE: &str = "recipe";

/// The keys of `run.toml`, the recipe aside.
const KEYS: [&str; 11] = [
    identity::KEY,
    "name",
    "tags",
    "date",
    "host",
    "version",
    "engine",
    "device",
    "reason",
    "frozen_episodes",
    "from",
];

impl<R> Settings<R> {
    /// The same with another recipe.
    pub fn with_recipe<Q>(self, recipe: Q) -> Settings<Q> {
        let Self {
            identity,
            label,
            version,
            engine,
            device,
            reason,
            frozen_episodes,
            from,
            recipe: _,
        } = self;
        Settings {
            identity,
            label,
            version,
            engine,
            device,
            reason,
            frozen_episodes,
            from,
            recipe,
        }
    }
}

impl<R: DeserializeOwned> Settings<R> {
    /// Reads the text of a `run.toml`; `origin` names it in errors.
    pub fn read(text: &str, origin: &str) -> Result<Self> {
        let invalid = |source| Error::Toml {
            origin: origin.to_owned(),
            source: Box::new(source),
        };
        let table: Table = text.parse().map_err(invalid)?;
        require_known(table.keys().filter(|key| *key != RECIPE))
            .map_err(|error| error.within(origin))?;
        toml::from_str(text).map_err(invalid)
    }
}

impl<'a> Settings<&'a Recipe> {
    /// Of a run that has not ended.
    pub fn new(recipe: &'a Recipe, choice: &Choice, label: &Label, from: Option<&Origin>) -> Self {
        Self {
            identity: None,
            label: label.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            engine: choice.engine.kind().to_owned(),
            device: choice.engine.device(),
            reason: choice.reason.clone(),
            frozen_episodes: u64::from(recipe.frozen_meta_steps()) * recipe.batch as u64,
            from: from.cloned(),
            recipe,
        }
    }

    /// What the result depends on, as a text: not on the number of the CPU's threads, nor on why it was taken.
    pub fn of_result(&self) -> String {
        let vectors = self.device.split_once(", ").map(|(_, vectors)| vectors);
        let of_result = Self {
            identity: None,
            label: Label::default(),
            device: match (self.engine == EngineKind::Cpu.name(), vectors) {
                (true, Some(vectors)) => vectors.to_owned(),
                _ => self.device.clone(),
            },
            reason: String::new(),
            ..self.clone()
        };
        of_result.to_toml()
    }

    pub fn to_toml(&self) -> String {
        toml::to_string(self).expect("a run is always representable as TOML")
    }
}

/// The recipe in the text of a `run.toml`, and the run whose parameters it begins with; any other text as it is.
///
/// # Errors
/// If the text is of a run, and has a key that no run has.
pub fn recipe_of_run(text: String) -> Result<(String, Option<Origin>)> {
    let Ok(mut run) = text.parse::<Table>() else {
        return Ok((text, None));
    };
    let Some(Value::Table(recipe)) = run.remove(RECIPE) else {
        return Ok((text, None));
    };
    require_known(run.keys())?;
    let from = run.remove("from").map(Value::try_into).transpose();
    let from = from.map_err(|source| Error::Toml {
        origin: "from".into(),
        source: Box::new(source),
    })?;
    Ok((recipe.to_string(), from))
}

/// Fails at a key that no run has: it would be ignored without a word.
fn require_known<'a>(mut keys: impl Iterator<Item = &'a String>) -> Result<()> {
    match keys.find(|key| !KEYS.contains(&key.as_str())) {
        None => Ok(()),
        Some(key) => Err(Error::setting(
            key.clone(),
            "an unknown key of a run; settings belong in its table `recipe`",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Engine;
    use crate::tasks::Association;
    use std::sync::Arc;

    #[test]
    fn every_key_of_a_run_is_known_and_its_recipe_comes_back() {
        let recipe = Recipe::new(Arc::new(Association::ONE_SHOT)).unwrap();
        let choice = Choice::new(Engine::cpu(), "a test");
        let label = Label::now().called(Some("first".into()), vec!["a".into(), "b".into()]);
        let from = Origin {
            run: "runs/other".into(),
            identity: "0".to_owned().into(),
        };
        let mut settings = Settings::new(&recipe, &choice, &label, Some(&from));
        let of_result = settings.of_result();
        settings.identity = Some("1".to_owned().into());
        let text = settings.to_toml();
        let table: Table = text.parse().unwrap();
        let known = table.keys().filter(|key| KEYS.contains(&key.as_str()));
        assert_eq!(known.count(), KEYS.len());
        assert_eq!(table.len(), KEYS.len() + 1);
        let (found, origin) = recipe_of_run(text.clone()).unwrap();
        assert_eq!(Recipe::from_toml(&found, "a test").unwrap(), recipe);
        assert_eq!(origin, Some(from));
        let read: Settings<Recipe> = toml::from_str(&text).unwrap();
        assert_eq!((&read.label, &read.recipe), (&label, &recipe));
        // What it is called makes no other run of it.
        settings.label = Label::default();
        assert_eq!(settings.of_result(), of_result);
        // Nor does the number of threads, but the vectors do.
        settings.device = "64 threads, AVX-512".to_owned();
        let of_vectors = settings.of_result();
        settings.device = "1 thread, AVX-512".to_owned();
        assert_eq!(settings.of_result(), of_vectors);
        settings.device = "1 thread, NEON".to_owned();
        assert_ne!(settings.of_result(), of_vectors);

        let (same, none) = recipe_of_run(recipe.to_toml()).unwrap();
        assert_eq!((same, none), (recipe.to_toml(), None));
        let error = recipe_of_run(format!("population = 7\n{text}")).unwrap_err();
        assert!(error.to_string().contains("population"), "{error}");
    }
}
