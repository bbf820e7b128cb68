//! Engines, and what they do: gradients, sessions, training.
//!
//! An [`Engine`] is the CPU or a GPU; [`Engine::choose`] takes the one that suits the work. There are three ways to use it:
//!
//! * [`Engine::forward`] and [`Engine::gradient`] compute on episodes that are there as a whole. A [`Want`] says which results
//!   are made; they come as an [`Outcome`] or as [`Gradients`].
//! * A [`Session`] keeps networks on the engine. The caller computes the gradient on the outputs between its two halves, or
//!   gives one input at a time; [`Session::act`] lets the networks act in an [`Environment`](crate::tasks::Environment).
//! * A [`Learner`] trains a population: a meta-step is a gradient and an update of every network. A [`Failure`] tells which
//!   network stopped, and why.

mod acting;
mod changes;
mod choice;
mod devices;
mod dispatch;
mod extent;
mod learner;
mod optimisers;
mod session;
mod several;

pub use crate::computation::{EpisodeGradients, Failure, Gradients, Outcome, TrainingState, Want};
pub use crate::cpu::Cpu;
pub use acting::Acted;
pub use choice::{Choice, EngineKind, GPU_PAYS_FROM};
pub(crate) use dispatch::Elsewhere;
pub use dispatch::{Engine, Several};
pub use extent::Extent;
pub use learner::{HeldEpisodes, Learner};
pub use session::Session;
