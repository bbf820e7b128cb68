//! What every engine offers, and the choice between them.

mod choice;
mod dispatch;
mod learner;
mod session;

pub use choice::{Choice, EngineKind, GPU_PAYS_FROM};
pub use dispatch::Engine;
pub use learner::Learner;
pub use session::{Extent, Session};
