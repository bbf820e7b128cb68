//! Training a population on a task from start to end: recipes, runs, and what came of them.
//!
//! ```
//! use metaplastic::training::{Experiment, Recipe, Training};
//! use metaplastic::Engine;
//! use std::ops::ControlFlow;
//!
//! let recipe = Recipe { population: 2, episodes: 200, ..Recipe::paper(Experiment::OneShot) };
//! let trained = Training::new(&Engine::cpu(), &recipe)?.run(|_| ControlFlow::Continue(()))?;
//! assert_eq!(trained.networks.len(), 2);
//! # Ok::<(), metaplastic::Error>(())
//! ```

mod commented;
mod evaluation;
mod recipe;
mod recipes;
mod run;
mod statistics;
mod structure;

pub use evaluation::Evaluation;
pub use recipe::{Experiment, Recipe};
pub use run::{Event, NetworkResult, Pause, Phase, Report, Trained, Training};
pub use statistics::Statistics;
pub use structure::{Connection, Matrix, PatternSigns};
