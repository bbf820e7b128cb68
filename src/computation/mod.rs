//! A computation between description and engine: what is asked for, and what comes back.

mod contract;
mod failure;
mod outcome;
mod request;
mod sample;

pub(crate) use contract::EPISODE_BLOCK;
pub use failure::Failure;
pub use outcome::{Gradients, Outcome, Want};
pub(crate) use request::{GivenTraces, InCommon, ObjectiveKind, Request};
pub use sample::Sample;
