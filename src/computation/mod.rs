//! A computation between description and engine: what is asked for, and what comes back.

mod contract;
mod failure;
mod outcome;
mod request;
mod sample;
mod state;

pub(crate) use contract::EPISODE_BLOCK;
pub use failure::Failure;
pub use outcome::{EpisodeGradients, Gradients, Outcome, Want};
pub(crate) use request::{GivenTraces, InCommon, ObjectiveKind, Request};
pub use sample::Sample;
pub use state::TrainingState;
