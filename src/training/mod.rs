//! Training a population on a task from start to end: recipes, runs, and what came of them.
//!
//! ```
//! use metaplastic::Engine;
//! use metaplastic::tasks::Association;
//! use metaplastic::training::{Recipe, Training};
//! use std::ops::ControlFlow;
//! use std::sync::Arc;
//!
//! let paper = Recipe::new(Arc::new(Association::ONE_SHOT))?;
//! let recipe = Recipe { population: 2, episodes: 200, ..paper };
//! let trained = Training::new(&Engine::cpu(), &recipe)?.run(|_| ControlFlow::Continue(()))?;
//! assert_eq!(trained.networks.len(), 2);
//! # Ok::<(), metaplastic::Error>(())
//! ```

mod axes;
mod checkpoint;
mod commented;
mod data;
mod evaluation;
mod length;
mod pace;
mod recall;
mod recipe;
mod recipes;
mod recording;
mod run;
mod statistics;
mod structure;
mod sweep;
mod trained;
pub(crate) mod written;

pub use axes::Axis;
#[cfg(feature = "runs")]
pub(crate) use axes::setting_text;
pub use checkpoint::{Checkpoint, Part, Progress};
pub use data::Data;
pub use evaluation::Evaluation;
pub use recall::Recall;
pub use recipe::Recipe;
pub use recording::Recording;
pub use run::{Event, Pause, Training};
pub use statistics::Statistics;
pub use structure::{Connection, Matrix, PatternSigns};
pub use sweep::{PointResult, Population};
pub use trained::{NetworkResult, Phase, Report, Trained};
