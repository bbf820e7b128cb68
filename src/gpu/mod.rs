//! The GPU engine: WGSL compute shaders through wgpu.
//!
//! [`Engine::gpu`](crate::engine::Engine::gpu) opens a device, of which [`Gpu`] tells more. [`adapters`] lists those of the
//! machine.
//!
//! Work is planned first, without a device: kernels rendered for the shapes, buffers, cuts, dispatches. [`plan`] and
//! [`plan_task`] show such a plan as a [`PlanReport`], for a device that a [`Profile`] describes. Then a device runs it.
//! Parameters, optimiser state and episodes stay in device buffers between meta-steps.

mod adapter;
mod arrays;
mod bindings;
mod cell;
mod cell_kernels;
mod cell_tile;
mod cell_transfer;
mod cell_values;
mod clock;
mod copies;
mod cuts;
mod device;
mod engine;
mod execute;
mod extent;
mod fusion;
mod gradient;
mod group;
mod kept;
mod kernel;
mod layout;
mod learner;
mod pace;
mod placed;
mod plan;
mod plan_report;
mod population;
mod profile;
mod record;
mod render;
mod repeat;
mod residents;
mod row_sum;
mod session;
mod shared;
mod stages;
mod state;
mod stretch;
mod templates;
mod throughput;
mod tile;
mod transfer;
mod turns;
mod uses;
#[cfg(test)]
mod validation;
mod variant;
mod work;

pub use crate::computation::DeviceArrays;
pub use adapter::{AdapterReport, adapters};
pub use engine::Gpu;
pub(crate) use learner::GpuLearner;
pub use plan_report::{KernelReport, PlanReport, plan, plan_task};
pub use profile::Profile;
pub(crate) use repeat::GpuRun;
pub(crate) use session::GpuSession;
