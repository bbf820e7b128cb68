//! The GPU engine: WGSL compute shaders through wgpu.
//!
//! A plan is made first, without a device: kernels rendered for the shapes, buffers, cuts, dispatches. Then a device runs
//! it. Parameters, optimiser state and episodes stay in device buffers between meta-steps.

mod adapter;
mod device;
mod execute;
mod layout;
mod learner;
mod plan;
mod profile;
mod render;
mod sweep;

pub use adapter::{AdapterReport, adapters};
pub use learner::GpuLearner;

use device::Device;
use std::sync::Arc;

/// The GPU engine: an open device.
#[derive(Clone, Debug)]
pub struct Gpu {
    device: Arc<Device>,
}

impl Gpu {
    /// The adapter's name.
    pub fn device(&self) -> &str {
        &self.device.name
    }
}
