//! The Python package's native half: the engine's calls as functions and classes of Python.
//!
//! `metaplastic/_native.pyi` has their types, and what Python shows as documentation. Each call takes its arrays where they
//! are, lets go of the interpreter while the engine computes (`process.rs`), and hands results over without a copy
//! (`arrays.rs`).

mod arrays;
mod engine;
mod episodes;
mod error;
mod learner;
mod network;
mod parameters;
mod process;
mod results;
mod session;
mod settings;
mod state;
mod tasks;
mod training;
mod turns;
mod whole;

use pyo3::prelude::*;

/// What `metaplastic/__init__.py` and its neighbours are made of.
#[pymodule(gil_used = true)]
mod _native {
    #[pymodule_export]
    use super::engine::{Engine, forward, gradient};
    #[pymodule_export]
    use super::learner::Learner;
    #[pymodule_export]
    use super::network::Network;
    #[pymodule_export]
    use super::parameters::Parameters;
    #[pymodule_export]
    use super::results::{Gradients, Outcome};
    #[pymodule_export]
    use super::session::Session;
    #[pymodule_export]
    use super::tasks::{LibraryTask, Random, Task, task};
    #[pymodule_export]
    use super::training::{Evaluation, Recipe, Report, Trained, evaluate, train};
}
