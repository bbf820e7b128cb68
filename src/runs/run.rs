//! A run, to be saved.

use super::settings::{Label, Origin, Settings};
use crate::engine::Choice;
use crate::training::{Recipe, Trained};

/// What a run is begun with.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Begun {
    /// Its settings.
    pub recipe: Recipe,
    /// The engine, and why it was chosen.
    pub choice: Choice,
    /// What it is called, and where it was begun.
    pub label: Label,
    /// The run whose parameters it begins with, if it does.
    pub from: Option<Origin>,
}

impl Begun {
    /// A run that begins now on this machine, with parameters of its own.
    pub fn new(recipe: &Recipe, choice: &Choice) -> Self {
        Self {
            recipe: recipe.clone(),
            choice: choice.clone(),
            label: Label::now(),
            from: None,
        }
    }

    /// Its `run.toml`, without an identity.
    pub(super) fn settings(&self) -> Settings<&Recipe> {
        Settings::new(&self.recipe, &self.choice, &self.label, self.from.as_ref())
    }
}

/// A run that has ended.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Run<'a> {
    /// What it was begun with.
    pub begun: &'a Begun,
    /// What came of it.
    pub trained: &'a Trained,
    /// Wall time of training, in seconds.
    pub seconds: f64,
    /// Figures beside the learning curve, by the names of their files.
    pub figures: &'a [(&'static str, &'a str)],
}

impl<'a> Run<'a> {
    /// Without figures beside the learning curve.
    pub fn new(begun: &'a Begun, trained: &'a Trained, seconds: f64) -> Self {
        Self {
            begun,
            trained,
            seconds,
            figures: &[],
        }
    }

    /// The same with figures beside the learning curve, by the names of their files.
    #[must_use]
    pub fn figures(self, figures: &'a [(&'static str, &'a str)]) -> Self {
        Self { figures, ..self }
    }
}
