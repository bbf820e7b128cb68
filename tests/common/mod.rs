//! What the numerical tests share: the oracle, the comparison with its tolerances, the cases, and test bodies that run
//! on any engine.

#![allow(dead_code, reason = "every test program uses its part")]

pub mod bodies;
pub mod cases;
pub mod cells;
pub mod compare;
pub mod environment;
pub mod laws;
pub mod modulated;
pub mod oracle;
pub mod pairwise;
pub mod random;
pub mod sessions;
pub mod threads;
pub mod training;
