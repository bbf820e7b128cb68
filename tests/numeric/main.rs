//! What the CPU engine computes, against the oracle; the oracle itself; and populations in training.

#[path = "../common/mod.rs"]
mod common;
mod environment;
mod gradients;
mod learner;
mod many_layers;
mod modulated;
mod oracle;
mod recurrent;
mod sessions;
mod side_by_side;
