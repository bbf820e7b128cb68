//! A computation between description and engine: what is asked for, and what comes back.

mod backend;
mod contract;
#[cfg(feature = "gpu")]
mod device_arrays;
mod exchange;
mod failure;
mod outcome;
mod request;
mod sample;
mod state;

pub(crate) use backend::{Held, LearnerBackend, PopulationBackend, SessionBackend};
pub(crate) use contract::{Checkpoints, EPISODE_BLOCK, PIECE};
#[cfg(feature = "gpu")]
pub use device_arrays::DeviceArrays;
pub(crate) use exchange::Exchange;
pub use failure::Failure;
pub use outcome::{EpisodeGradients, Gradients, Outcome, Want};
pub(crate) use request::{GivenDynamics, InCommon, ObjectiveKind, Request, Which};
pub use sample::Sample;
pub use state::TrainingState;
