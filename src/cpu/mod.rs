//! The CPU engine: `f32` or `f64`, all cores.
//!
//! Work is split over networks, over blocks of episodes, and over rows of synapses. Sums over episodes are taken block
//! by block and sums over rows chunk by chunk, in order, so that the result does not depend on the number of threads.

mod along;
mod arrays;
mod batch;
mod budget;
mod cells;
mod chunks;
mod cost;
mod engine;
mod job;
mod kernels;
mod layers;
mod learner;
mod learning;
mod lockstep;
mod networks;
mod optimiser;
mod pool;
mod population;
mod results;
mod retention;
mod segments;
mod session;
mod shape;
mod sharing;
mod source;
mod synapses;
mod table;
mod workspace;

pub use engine::Cpu;
pub(crate) use learner::CpuLearner;
pub(crate) use session::CpuSession;
