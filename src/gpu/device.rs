//! A device: opening it, its pipelines and buffers, submissions, and the errors it reports.

use super::adapter;
use super::profile::Profile;
use super::render::{Extent, Kernel};
use crate::{Error, Result, memory};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::time::Duration;
use wgpu::{
    BindGroupLayout, BindGroupLayoutDescriptor, BindGroupLayoutEntry, BindingType,
    BufferBindingType, BufferDescriptor, BufferUsages, CommandBuffer, ComputePipeline,
    ComputePipelineDescriptor, DeviceDescriptor, ErrorFilter, Features, PipelineCompilationOptions,
    PipelineLayoutDescriptor, PollError, PollType, ShaderModuleDescriptor, ShaderSource,
    ShaderStages, SubmissionIndex,
};

/// How long one wait for the device may take before it counts as lost. Submissions are cut to well below a second of a
/// hardware device's time, and a software device is given the rest.
const PATIENCE: Duration = Duration::from_secs(300);

/// The most bytes of a buffer that is kept to read results back through.
const STAGING_BYTES: u64 = 64 << 20;

/// An open device. Cheap to share.
#[derive(Debug)]
pub(super) struct Device {
    /// Its adapter's index among all.
    pub index: usize,
    pub name: String,
    /// Whether its memory is the machine's own.
    is_software: bool,
    pub device: wgpu::Device,
    pub queue: wgpu::Queue,
    pipelines: Mutex<HashMap<String, Arc<Pipeline>>>,
    /// A buffer to read results back through, kept for the next time.
    staging: Mutex<Option<wgpu::Buffer>>,
    /// What the device reported outside of any call: an error or its loss.
    failure: Arc<Mutex<Option<Failure>>>,
}

#[derive(Clone, Debug)]
enum Failure {
    Lost(String),
    Error(String),
}

/// A compiled kernel.
#[derive(Debug)]
pub(super) struct Pipeline {
    pub pipeline: ComputePipeline,
    pub layout: BindGroupLayout,
}

impl Device {
    /// Opens an adapter; returns its limits too.
    pub fn open(wanted: Option<&str>) -> Result<(Self, Profile)> {
        let adapters = adapter::enumerate();
        let index = adapter::pick(&adapters, wanted)?;
        let adapter = &adapters[index];
        let name = adapter.get_info().name;
        let descriptor = DeviceDescriptor {
            label: Some("metaplastic"),
            required_features: adapter.features()
                & (Features::SUBGROUP | Features::TIMESTAMP_QUERY),
            required_limits: adapter.limits(),
            ..DeviceDescriptor::default()
        };
        let (device, queue) = pollster::block_on(adapter.request_device(&descriptor))
            .map_err(|error| device_error(&name, "opening the device", &error.to_string()))?;
        let failure = Arc::new(Mutex::new(None));
        let slot = failure.clone();
        device.on_uncaptured_error(Arc::new(move |error: wgpu::Error| {
            remember(&slot, Failure::Error(error.to_string()));
        }));
        let slot = failure.clone();
        device.set_device_lost_callback(move |reason, message| {
            remember(&slot, Failure::Lost(format!("{reason:?}: {message}")));
        });
        let open = Self {
            is_software: adapter.get_info().device_type == wgpu::DeviceType::Cpu,
            index,
            name,
            device,
            queue,
            pipelines: Mutex::default(),
            staging: Mutex::default(),
            failure,
        };
        Ok((open, Profile::of(adapter)))
    }

    /// Fails if the device has reported an error or its loss since it was opened.
    pub fn check(&self) -> Result<()> {
        let failure = self
            .failure
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        match failure {
            None => Ok(()),
            Some(Failure::Lost(reason)) => Err(Error::DeviceLost {
                device: self.name.clone(),
                reason,
            }),
            Some(Failure::Error(reason)) => Err(device_error(&self.name, "a submission", &reason)),
        }
    }

    /// Runs `create` and turns every error that the driver reports of it into a result.
    fn scoped<T>(&self, operation: &str, create: impl FnOnce() -> T) -> Result<T> {
        let scopes = [
            ErrorFilter::Validation,
            ErrorFilter::OutOfMemory,
            ErrorFilter::Internal,
        ]
        .map(|filter| self.device.push_error_scope(filter));
        let created = create();
        for scope in scopes.into_iter().rev() {
            if let Some(error) = pollster::block_on(scope.pop()) {
                return Err(device_error(&self.name, operation, &error.to_string()));
            }
        }
        Ok(created)
    }

    /// Fails if `bytes` are more than a software device finds in the machine; a hardware device says so itself.
    pub fn require(&self, bytes: u128) -> Result<()> {
        match self.is_software {
            true => memory::require("buffers of the software device", bytes),
            false => Ok(()),
        }
    }

    /// A buffer for shaders, zeroed; contents can be written and read.
    pub fn buffer(&self, label: &str, bytes: u64) -> Result<wgpu::Buffer> {
        let usage = BufferUsages::STORAGE | BufferUsages::COPY_DST | BufferUsages::COPY_SRC;
        self.raw_buffer(label, bytes, usage)
    }

    /// A buffer of other use.
    pub fn raw_buffer(&self, label: &str, bytes: u64, usage: BufferUsages) -> Result<wgpu::Buffer> {
        // An empty array still binds one element.
        let size = bytes.max(16).next_multiple_of(16);
        self.scoped(&format!("allocating {size} bytes for {label}"), || {
            self.device.create_buffer(&BufferDescriptor {
                label: Some(label),
                size,
                usage,
                mapped_at_creation: false,
            })
        })
    }

    /// The compiled kernel; each text is compiled once.
    pub fn pipeline(&self, kernel: &Kernel) -> Result<Arc<Pipeline>> {
        let mut pipelines = self
            .pipelines
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(pipeline) = pipelines.get(&kernel.source) {
            return Ok(pipeline.clone());
        }
        let pipeline = Arc::new(
            self.scoped(&format!("compiling the kernel {}", kernel.name), || {
                self.compile(kernel)
            })?,
        );
        pipelines.insert(kernel.source.clone(), pipeline.clone());
        Ok(pipeline)
    }

    fn compile(&self, kernel: &Kernel) -> Pipeline {
        let module = self.device.create_shader_module(ShaderModuleDescriptor {
            label: Some(kernel.name),
            source: ShaderSource::Wgsl(kernel.source.as_str().into()),
        });
        let entry = |binding: u32, ty, has_dynamic_offset, size| BindGroupLayoutEntry {
            binding,
            visibility: ShaderStages::COMPUTE,
            ty: BindingType::Buffer {
                ty,
                has_dynamic_offset,
                min_binding_size: size,
            },
            count: None,
        };
        let extent = std::num::NonZeroU64::new(size_of::<Extent>() as u64);
        let mut entries = vec![entry(0, BufferBindingType::Uniform, true, extent)];
        for (index, binding) in kernel.bindings.iter().enumerate() {
            let ty = BufferBindingType::Storage {
                read_only: binding.is_read_only(),
            };
            entries.push(entry(index as u32 + 1, ty, false, None));
        }
        let layout = self
            .device
            .create_bind_group_layout(&BindGroupLayoutDescriptor {
                label: Some(kernel.name),
                entries: &entries,
            });
        let pipeline_layout = self
            .device
            .create_pipeline_layout(&PipelineLayoutDescriptor {
                label: Some(kernel.name),
                bind_group_layouts: &[Some(&layout)],
                immediate_size: 0,
            });
        let pipeline = self
            .device
            .create_compute_pipeline(&ComputePipelineDescriptor {
                label: Some(kernel.name),
                layout: Some(&pipeline_layout),
                module: &module,
                entry_point: Some(kernel.name),
                compilation_options: PipelineCompilationOptions {
                    // Every element is written before it is read.
                    zero_initialize_workgroup_memory: false,
                    ..PipelineCompilationOptions::default()
                },
                cache: None,
            });
        Pipeline { pipeline, layout }
    }

    /// Submits recorded commands.
    pub fn submit(&self, commands: CommandBuffer) -> SubmissionIndex {
        self.queue.submit([commands])
    }

    /// Waits until a submission is done.
    pub fn wait(&self, submission: SubmissionIndex) -> Result<()> {
        let waited = self.device.poll(PollType::Wait {
            submission_index: Some(submission),
            timeout: Some(PATIENCE),
        });
        self.check()?;
        match waited {
            Ok(_) => Ok(()),
            Err(PollError::Timeout) => Err(Error::DeviceLost {
                device: self.name.clone(),
                reason: format!("no answer for {} s", PATIENCE.as_secs()),
            }),
            Err(error) => Err(device_error(
                &self.name,
                "waiting for the device",
                &error.to_string(),
            )),
        }
    }

    /// The first `count` elements of a buffer, after everything submitted before.
    pub fn read<T: bytemuck::Pod>(&self, buffer: &wgpu::Buffer, count: usize) -> Result<Vec<T>> {
        let bytes = (count * size_of::<T>()) as u64;
        let kept = self.staging().take();
        let staging = match kept.filter(|kept| kept.size() >= bytes) {
            Some(kept) => kept,
            None => {
                let usage = BufferUsages::MAP_READ | BufferUsages::COPY_DST;
                self.raw_buffer("readback", bytes, usage)?
            }
        };
        let mut encoder = self.device.create_command_encoder(&Default::default());
        encoder.copy_buffer_to_buffer(buffer, 0, &staging, 0, bytes.next_multiple_of(4));
        let submission = self.submit(encoder.finish());
        let (sender, mapped) = mpsc::channel();
        staging.map_async(wgpu::MapMode::Read, .., move |result| {
            // Nobody listens any more where the wait below has failed.
            let _ = sender.send(result);
        });
        self.wait(submission)?;
        let failed = |reason: &str| device_error(&self.name, "reading results back", reason);
        // Another thread that waits for the same device may be the one that calls back, a moment later.
        mapped
            .recv_timeout(PATIENCE)
            .map_err(|error| failed(&error.to_string()))?
            .map_err(|error| failed(&error.to_string()))?;
        let view = staging
            .get_mapped_range(..)
            .map_err(|error| failed(&error.to_string()))?;
        let values = bytemuck::pod_collect_to_vec(&view[..bytes as usize]);
        drop(view);
        staging.unmap();
        if staging.size() <= STAGING_BYTES {
            *self.staging() = Some(staging);
        }
        Ok(values)
    }

    fn staging(&self) -> MutexGuard<'_, Option<wgpu::Buffer>> {
        self.staging.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes the beginning of a buffer.
    pub fn write<T: bytemuck::NoUninit>(&self, buffer: &wgpu::Buffer, values: &[T]) {
        self.queue
            .write_buffer(buffer, 0, bytemuck::cast_slice(values));
    }
}

fn remember(slot: &Mutex<Option<Failure>>, failure: Failure) {
    // The first failure is the cause of the others.
    slot.lock()
        .unwrap_or_else(PoisonError::into_inner)
        .get_or_insert(failure);
}

fn device_error(device: &str, operation: &str, reason: &str) -> Error {
    Error::Device {
        device: device.to_owned(),
        operation: operation.to_owned(),
        reason: reason.to_owned(),
    }
}
