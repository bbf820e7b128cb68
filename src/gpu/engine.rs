//! The GPU engine as its user holds it.

use super::device::Device;
use super::kept::Kept;
use super::profile::Profile;
use crate::error::{Error, Result};
use std::sync::Arc;

/// The GPU engine: an open device, and the limits within which it is used. It keeps what it planned for the last
/// [`Engine::forward`](crate::Engine::forward) or [`Engine::gradient`](crate::Engine::gradient), and its buffers, up to 512 MiB,
/// until it is asked for something of other sizes; its clones share them.
#[derive(Clone, Debug)]
pub struct Gpu {
    pub(super) device: Arc<Device>,
    pub(super) profile: Profile,
    pub(super) kept: Arc<Kept>,
}

impl Gpu {
    /// Opens the best hardware adapter, or the one that `wanted` asks for: digits are an index among [`adapters`](crate::gpu::adapters), anything
    /// else is a part of the name, in any case, of which the first is taken.
    ///
    /// # Errors
    /// If no adapter fits, or its driver does not open it.
    pub fn new(wanted: Option<&str>) -> Result<Self> {
        let (device, profile) = Device::open(wanted)?;
        Ok(Self {
            device: Arc::new(device),
            profile,
            kept: Arc::default(),
        })
    }

    /// The adapter's name.
    pub fn device(&self) -> &str {
        &self.device.name
    }

    /// The device as [`wgpu`] has it, for kernels of a program's own.
    pub fn wgpu_device(&self) -> &wgpu::Device {
        &self.device.device
    }

    /// Its queue: what is submitted there runs in order with what the engine submits.
    pub fn wgpu_queue(&self) -> &wgpu::Queue {
        &self.device.queue
    }

    /// The adapter's index among [`adapters`](crate::gpu::adapters).
    pub fn index(&self) -> usize {
        self.device.index
    }

    /// Buffers that were made on the device so far.
    #[doc(hidden)]
    pub fn buffers_made(&self) -> u64 {
        self.device.buffers_made()
    }

    /// Bytes that were written to the device so far.
    #[doc(hidden)]
    pub fn bytes_written(&self) -> u64 {
        self.device.bytes_written()
    }

    /// The limits within which the device is used: its own, unless restricted.
    pub fn profile(&self) -> &Profile {
        &self.profile
    }

    /// The same device used within narrower limits, for instance to leave memory to others.
    ///
    /// # Errors
    /// If a limit is zero or beyond the device's own.
    pub fn restricted(&self, profile: Profile) -> Result<Self> {
        profile.check()?;
        for ((name, limit), (_, own)) in profile.limits().into_iter().zip(self.profile.limits()) {
            if limit > own {
                return Err(Error::setting(
                    format!("profile.{name}"),
                    format!(
                        "{limit}, expected 1 to {own}, which is what {} has",
                        self.device()
                    ),
                ));
            }
        }
        Ok(Self {
            device: self.device.clone(),
            profile,
            kept: Arc::default(),
        })
    }
}
