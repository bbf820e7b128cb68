//! Trains neural networks that keep learning after training.
//!
//! A plastic connection has a fixed weight `w` *and* a Hebbian trace `H` that follows activity during an episode:
//!
//! ```text
//! y_i(t)    = f( b_i + Σ_j (w_ij + α_ij H_ij(t)) x_j(t) )
//! H_ij(t+1) = d_i(t) H_ij(t) + g_i(t) x_j(t)                 for decaying Hebb: d = 1 − η, g = η y
//! ```
//!
//! Gradient descent acts on the weights, the plasticity coefficients `α`, the biases and the rate `η`, so that the network
//! learns to learn (Miconi 2016). Gradients are exact and need no stored trace: memory is `O(B·T·(I + O))`, not
//! `O(B·T·I·O)`. Only where the retention `d` is differentiated (a learned rate, Oja's rule) is one trace in many kept, for
//! the digits of that gradient: on the CPU one in 64 steps, of the few episodes in progress, on the GPU one in 16.
//!
//! # What there is, and where
//!
//! A **description** is made of plain values; an **engine** computes on it. Names that most programs need are at the root of the
//! crate; each has its page in one of the modules.
//!
//! | to | use | module | example |
//! |---|---|---|---|
//! | describe networks | [`Network`] of [`Plastic`], [`Dense`] and [`Bias`] layers; [`Loss`], [`Activation`], [`Rate`] | [`network`] | below |
//! | write a plasticity rule | [`Rule::parse`] | [`rule`] | `examples/own_rule.rs` |
//! | hold their parameters | [`Parameters`], [`Initial`], [`Role`] | [`parameters`] | below |
//! | give them episodes | [`Episodes`]: arrays or views of them; [`Mask`] | [`episodes`] | below |
//! | get outputs and gradients | [`Engine::forward`], [`Engine::gradient`]; [`Want`] | [`engine`] | below |
//! | apply a loss of one's own | [`Session`]: forward now, [`learn`](Session::learn) later | [`engine`] | `examples/own_loss.rs` |
//! | act in an environment | [`tasks::Environment`], driven by [`Session::act`], or [`Session::step`] by hand | [`tasks`], [`engine`] | `examples/environment.rs` |
//! | learn | [`Learner`] with an [`Optimiser`] for each network | [`engine`], [`optimiser`] | `examples/sweep.rs`, `examples/double_precision.rs` |
//! | stop, and go on later | [`engine::TrainingState`] of a learner or a session | [`engine`] | |
//! | train on tasks | [`tasks::Task`], [`training::Training`] | [`tasks`], [`training`] | `examples/own_task.rs` |
//! | keep runs, draw figures | `runs::Run` (feature `runs`) | `runs` | `examples/own_task.rs` |
//! | read and write files | [`tensors::read_parameters`], … | [`tensors`] | `examples/sweep.rs` |
//! | spread training over GPUs, or over processes | [`Engine::several`]; [`ranks::engine`], [`ranks::serve`] | [`engine`], [`ranks`] | |
//! | plan for a GPU, list adapters | `gpu::plan`, `gpu::adapters` (feature `gpu`) | `gpu` | |
//! | measure | [`measure::Problem`] | [`measure`] | |
//!
//! ```
//! use metaplastic::{Activation, Engine, Episodes, Initial, Loss, Network, Optimiser, Parameters, Plastic, Rate, Role, Want};
//! use metaplastic::ndarray::Array4;
//!
//! // A population of 3 networks, and 4 episodes of 10 steps that they have in common.
//! let layer = Plastic::new(5, 2, Rate::learned(0.1)).activation(Activation::Tanh);
//! let network = Network::new(Loss::SquaredError, [layer])?;
//! let parameters = Parameters::<f32>::initialise(&network, &Initial::default(), 3, 0)?;
//! let input = Array4::from_shape_fn((1, 4, 10, 5), |(_, b, t, i)| ((b + t * i) as f32).sin());
//! let target = Array4::from_elem((1, 4, 10, 2), 0.5);
//! let episodes = Episodes::new(&input).with_target(&target);
//!
//! let engine = Engine::cpu(); // or Engine::gpu(None)?
//! let gradients = engine.gradient(&network, &parameters, &episodes, Want::ALL)?;
//! assert_eq!(gradients.parameters.view(0, Role::Weight).unwrap().shape(), [3, 2, 5]);
//!
//! let mut learner = engine.learner(&network, &parameters, &[Optimiser::adam(0.01)])?;
//! let losses = learner.step(&episodes)?; // one for each network
//! assert_eq!(losses.len(), 3);
//! # Ok::<(), metaplastic::Error>(())
//! ```
//!
//! # Words and shapes
//!
//! Shapes are written with these letters throughout: `P` networks of a **population** (one shape, each with its own
//! parameters), `B` **episodes** for each, `T` **steps** of an episode, `I` **presynaptic** and `O` **postsynaptic**
//! neurons. A meta-step is one update of the parameters.
//!
//! # Features
//!
//! * `gpu` (default): the GPU engine, through wgpu.
//! * `runs`: folders of runs, figures and summaries.
//! * `command` (default): the `metaplastic` command.
//!
//! # Results and errors
//!
//! Equal inputs give equal bits on one engine and device, on any number of threads. Every fallible call returns an
//! [`Error`] that names the thing and the numbers; [`Error::kind`] says what a program can do about it ([`error`]).

mod check;
mod computation;
mod cpu;
mod dynamics;
pub mod engine;
pub mod episodes;
pub mod error;
pub mod file;
#[cfg(feature = "gpu")]
pub mod gpu;
mod limits;
pub mod measure;
mod memory;
mod named;
pub mod network;
pub mod number;
pub mod optimiser;
mod optional;
pub mod parameters;
pub mod random;
pub mod ranks;
pub mod rule;
#[cfg(feature = "runs")]
pub mod runs;
pub mod tasks;
pub mod tensors;
pub mod training;
mod zip;

pub use ndarray;
#[cfg(feature = "gpu")]
pub use wgpu;

// What most programs need; everything else has its module's path.
#[doc(no_inline)]
pub use engine::{Engine, Extent, Learner, Session, Want};
#[doc(no_inline)]
pub use episodes::{Dynamics, Episodes, Mask};
#[doc(no_inline)]
pub use error::{Error, Result};
#[doc(no_inline)]
pub use network::{
    Activation, Bias, Dense, Dynamic, Layer, Loss, Network, Plastic, Rate, Recurrent,
};
#[doc(no_inline)]
pub use optimiser::Optimiser;
#[doc(no_inline)]
pub use parameters::{Initial, Parameters, Role};
#[doc(no_inline)]
pub use rule::Rule;

/// The examples of the README are tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
