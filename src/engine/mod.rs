//! What every engine offers, and the choice between them.

mod changes;
mod choice;
mod dispatch;
mod extent;
mod learner;
mod optimisers;
mod session;

pub use choice::{Choice, EngineKind, GPU_PAYS_FROM};
pub use dispatch::Engine;
pub use extent::Extent;
pub use learner::{HeldEpisodes, Learner};
pub use session::Session;
