//! What the CPU engine computes, against the oracle; the oracle itself; and populations in training.

mod cells;
#[path = "../common/mod.rs"]
mod common;
mod environment;
mod gradients;
mod learner;
mod many_layers;
mod oracle;
mod sessions;
mod side_by_side;
