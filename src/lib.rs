//! Trains neural networks that keep learning after training.
//!
//! A plastic connection has a fixed weight *and* a Hebbian trace that follows activity during an episode:
//! `y_i(t) = f(b_i + Σ_j (w_ij + α_ij H_ij(t)) x_j(t))`, then `H_ij(t+1) = d_i(t) H_ij(t) + g_i(t) x_j(t)`. Gradient
//! descent acts on the weights and on the plasticity, so that the network learns to learn (Miconi 2016).
//!
//! Gradients are exact and need no stored trace: memory is `O(B·T·(I + O))`, not `O(B·T·I·O)`. Only where the retention is
//! differentiated (a learned rate, Oja's rule) is one trace in many kept, for the digits of that gradient: on the CPU one in
//! 64 steps, of the few episodes in progress, on the GPU one in 16.
//!
//! Shapes are written with these letters throughout: `P` networks of a **population** (one shape, each with its own
//! parameters), `B` **episodes** for each, `T` **steps** of an episode, `I` **presynaptic** and `O` **postsynaptic**
//! neurons.

mod check;
mod computation;
mod cpu;
mod engine;
mod episodes;
mod error;
pub mod file;
#[cfg(feature = "gpu")]
mod gpu;
mod limits;
pub mod measure;
mod memory;
mod named;
mod network;
mod number;
mod optimiser;
mod optional;
mod parameters;
pub mod random;
mod rule;
#[cfg(feature = "runs")]
pub mod runs;
pub mod tasks;
pub mod tensors;
pub mod training;
mod zip;

pub use computation::{Failure, Gradients, Outcome, Want};
pub use cpu::Cpu;
pub use engine::{Choice, Engine, EngineKind, GPU_PAYS_FROM, Learner};
pub use episodes::{Episodes, Mask, Objective};
pub use error::{Cause, Error, ErrorKind, Result};
#[cfg(feature = "gpu")]
pub use gpu::{
    AdapterReport, Gpu, GpuSession, KernelReport, PlanReport, Profile, adapters, plan, plan_task,
};
pub use network::{
    Activation, Bias, Dense, Layer, Loss, MAX_NEURONS, Network, Plastic, Plasticity, Rate, RatePer,
};
pub use number::{Number, Real};
pub use optimiser::{Constant, Method, Optimiser, Schedule, Selector};
pub use parameters::{Initial, Layout, Parameters, Role, Sign, Tensor};
pub use rule::Rule;

/// The examples of the README are tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
