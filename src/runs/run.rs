//! A run that has ended, to be saved.

use crate::engine::Choice;
use crate::training::{Recipe, Trained};

/// A run that has ended.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Run<'a> {
    /// Its settings.
    pub recipe: &'a Recipe,
    /// What came of it.
    pub trained: &'a Trained,
    /// The engine, and why it was chosen.
    pub choice: &'a Choice,
    /// Wall time of training, in seconds.
    pub seconds: f64,
    /// Figures beside the learning curve, by the names of their files.
    pub figures: &'a [(&'static str, &'a str)],
}

impl<'a> Run<'a> {
    /// Without figures beside the learning curve.
    pub fn new(recipe: &'a Recipe, trained: &'a Trained, choice: &'a Choice, seconds: f64) -> Self {
        Self {
            recipe,
            trained,
            choice,
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
