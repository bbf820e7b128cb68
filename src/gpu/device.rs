//! A device: opening it, its pipelines and buffers, submissions, and the errors it reports.

use super::adapter;
use super::bindings::Access;
use super::extent::Extent;
use super::kernel::Kernel;
use super::profile::Profile;
use crate::error::{Error, Result};
use crate::memory;
use ndarray::ArrayView4;
use rayon::prelude::*;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, mpsc};
use std::time::Duration;
use wgpu::{
    BindGroup, BindGroupDescriptor, BindGroupEntry, BindGroupLayout, BindGroupLayoutDescriptor,
    BindGroupLayoutEntry, BindingResource, BindingType, BufferBinding, BufferBindingType,
    BufferDescriptor, BufferSize, BufferUsages, CommandEncoder, ComputePipeline,
    ComputePipelineDescriptor, DeviceDescriptor, ErrorFilter, Features, PipelineCompilationOptions,
    PipelineLayoutDescriptor, PollError, PollType, ShaderModule, ShaderModuleDescriptor,
    ShaderRuntimeChecks, ShaderSource, ShaderStages, SubmissionIndex,
};

/// How long one wait for the device may take before it counts as lost. Submissions are cut to well below a second of a
/// hardware device's time, and a software device is given the rest.
const PATIENCE: Duration = Duration::from_secs(300);

/// The most bytes of an array that are read back, or staged, at once.
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
    buffers_made: AtomicU64,
    bytes_written: AtomicU64,
    /// By their text.
    pipelines: Mutex<HashMap<String, Arc<Pipeline>>>,
    /// A buffer to read results back through, kept for the next time.
    staging: Mutex<Option<wgpu::Buffer>>,
    /// What the device reported outside of any call.
    failures: Arc<Failures>,
}

#[derive(Debug, Default)]
struct Failures {
    /// Why the device is lost, for good.
    lost: OnceLock<String>,
    /// An error that no call has told of yet.
    error: Mutex<Option<String>>,
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
        let failures = Arc::new(Failures::default());
        let reported = failures.clone();
        device.on_uncaptured_error(Arc::new(move |error: wgpu::Error| {
            // The first error is the cause of the others.
            locked(&reported.error).get_or_insert(error.to_string());
        }));
        let reported = failures.clone();
        device.set_device_lost_callback(move |reason, message| {
            // Only the first reason is kept.
            let _ = reported.lost.set(format!("{reason:?}: {message}"));
        });
        let open = Self {
            is_software: adapter.get_info().device_type == wgpu::DeviceType::Cpu,
            index,
            name,
            device,
            queue,
            buffers_made: AtomicU64::default(),
            bytes_written: AtomicU64::default(),
            pipelines: Mutex::default(),
            staging: Mutex::default(),
            failures,
        };
        Ok((open, Profile::of(adapter)))
    }

    /// Fails if the device is lost, or has reported an error outside of any call; such an error is told of once.
    pub fn check(&self) -> Result<()> {
        if let Some(reason) = self.failures.lost.get() {
            return Err(Error::DeviceLost {
                device: self.name.clone(),
                reason: reason.clone(),
            });
        }
        match locked(&self.failures.error).take() {
            None => Ok(()),
            Some(reason) => Err(device_error(&self.name, "a submission", &reason)),
        }
    }

    /// Runs `create` and turns every error that the driver reports of it into a result. Scopes belong to a thread, so
    /// that no thread is told of another's errors.
    pub fn scoped<T>(&self, operation: &str, create: impl FnOnce() -> T) -> Result<T> {
        let scopes = [
            ErrorFilter::Validation,
            ErrorFilter::OutOfMemory,
            ErrorFilter::Internal,
        ]
        .map(|filter| self.device.push_error_scope(filter));
        let created = create();
        // All are popped, the last first, whatever they say.
        let errors = scopes.into_iter().rev();
        let errors: Vec<_> = errors
            .map(|scope| pollster::block_on(scope.pop()))
            .collect();
        match errors.into_iter().flatten().next() {
            Some(error) => Err(device_error(&self.name, operation, &error.to_string())),
            None => Ok(created),
        }
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
        self.buffers_made.fetch_add(1, Ordering::Relaxed);
        self.scoped(&format!("allocating {size} bytes for {label}"), || {
            self.device.create_buffer(&BufferDescriptor {
                label: Some(label),
                size,
                usage,
                mapped_at_creation: false,
            })
        })
    }

    /// Buffers made so far.
    pub fn buffers_made(&self) -> u64 {
        self.buffers_made.load(Ordering::Relaxed)
    }

    /// Bytes written so far, from the host to the device.
    pub fn bytes_written(&self) -> u64 {
        self.bytes_written.load(Ordering::Relaxed)
    }

    fn count_written(&self, bytes: u64) {
        self.bytes_written.fetch_add(bytes, Ordering::Relaxed);
    }

    /// The compiled kernel; each text is compiled once.
    pub fn pipeline(&self, kernel: &Kernel) -> Result<Arc<Pipeline>> {
        if let Some(pipeline) = locked(&self.pipelines).get(&kernel.source) {
            return Ok(pipeline.clone());
        }
        // Not under the lock: drivers take up to a second for one kernel. Of two threads that compile the same text, the
        // first to be done is kept.
        let operation = format!("compiling the kernel {}", kernel.name);
        let compiled = self.scoped(&operation, || self.compile(kernel))?;
        let mut pipelines = locked(&self.pipelines);
        let pipeline = pipelines
            .entry(kernel.source.clone())
            .or_insert_with(|| Arc::new(compiled));
        Ok(pipeline.clone())
    }

    /// The compiled kernels, in order; compiled side by side.
    pub fn pipelines(&self, kernels: &[Kernel]) -> Result<Vec<Arc<Pipeline>>> {
        kernels
            .par_iter()
            .map(|kernel| self.pipeline(kernel))
            .collect()
    }

    /// A shader module with every check but one: a counter of each loop's turns, which would end a loop that never does.
    /// Carried through the sweeps' loops it costs up to a third of their time.
    #[expect(unsafe_code, reason = "wgpu asks for the promise that loops end")]
    fn module(&self, descriptor: ShaderModuleDescriptor<'_>) -> ShaderModule {
        let mut checks = ShaderRuntimeChecks::checked();
        checks.force_loop_bounding = false;
        // SAFETY: all modules are rendered from `shaders/`, whose loops all end: they count up to a bound, or halve a number.
        // Everything else that a shader could do wrong is checked.
        unsafe { self.device.create_shader_module_trusted(descriptor, checks) }
    }

    fn compile(&self, kernel: &Kernel) -> Pipeline {
        let module = self.module(ShaderModuleDescriptor {
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
                read_only: binding.access == Access::Read,
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

    /// Records commands and submits them.
    pub fn submit(&self, record: impl FnOnce(&mut CommandEncoder)) -> Result<SubmissionIndex> {
        self.scoped("a submission", || {
            let mut encoder = self.device.create_command_encoder(&Default::default());
            record(&mut encoder);
            self.queue.submit([encoder.finish()])
        })
    }

    /// Binds buffers to a kernel: the extent first, of which each dispatch says where it lies, then those of the kernel's
    /// list.
    pub fn bind<'a>(
        &self,
        kernel: &Kernel,
        pipeline: &Pipeline,
        extents: &wgpu::Buffer,
        buffers: impl IntoIterator<Item = &'a wgpu::Buffer>,
    ) -> Result<BindGroup> {
        let extent = BindGroupEntry {
            binding: 0,
            resource: BindingResource::Buffer(BufferBinding {
                buffer: extents,
                offset: 0,
                size: std::num::NonZeroU64::new(size_of::<Extent>() as u64),
            }),
        };
        let buffers = buffers.into_iter().zip(1..);
        let buffers = buffers.map(|(buffer, binding)| BindGroupEntry {
            binding,
            resource: buffer.as_entire_binding(),
        });
        let entries: Vec<_> = std::iter::once(extent).chain(buffers).collect();
        let operation = format!("binding the buffers of the kernel {}", kernel.name);
        self.scoped(&operation, || {
            self.device.create_bind_group(&BindGroupDescriptor {
                label: Some(kernel.name),
                layout: &pipeline.layout,
                entries: &entries,
            })
        })
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
        self.read_at(buffer, 0, count)
    }

    /// `count` elements of a buffer from element `at` on, in pieces of [`STAGING_BYTES`].
    pub fn read_at<T: bytemuck::Pod>(
        &self,
        buffer: &wgpu::Buffer,
        at: usize,
        count: usize,
    ) -> Result<Vec<T>> {
        let most = STAGING_BYTES as usize / size_of::<T>();
        let mut values = Vec::with_capacity(count);
        while values.len() < count {
            let piece = most.min(count - values.len());
            self.read_piece(buffer, at + values.len(), piece, &mut values)?;
        }
        Ok(values)
    }

    fn read_piece<T: bytemuck::Pod>(
        &self,
        buffer: &wgpu::Buffer,
        at: usize,
        count: usize,
        values: &mut Vec<T>,
    ) -> Result<()> {
        let [offset, bytes] = [at, count].map(|count| (count * size_of::<T>()) as u64);
        let kept = self.staging().take();
        let staging = match kept.filter(|kept| kept.size() >= bytes) {
            Some(kept) => kept,
            None => {
                let usage = BufferUsages::MAP_READ | BufferUsages::COPY_DST;
                self.raw_buffer("readback", bytes, usage)?
            }
        };
        let submission = self.submit(|encoder| {
            encoder.copy_buffer_to_buffer(buffer, offset, &staging, 0, bytes);
        })?;
        let (sender, mapped) = mpsc::channel();
        self.scoped("reading results back", || {
            staging.map_async(wgpu::MapMode::Read, .., move |result| {
                // Nobody listens any more where the wait below has failed.
                let _ = sender.send(result);
            });
        })?;
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
        match bytemuck::try_cast_slice(&view[..bytes as usize]) {
            Ok(piece) => values.extend_from_slice(piece),
            Err(_) => values.extend(bytemuck::pod_collect_to_vec::<u8, T>(
                &view[..bytes as usize],
            )),
        }
        drop(view);
        staging.unmap();
        *self.staging() = Some(staging);
        Ok(())
    }

    fn staging(&self) -> MutexGuard<'_, Option<wgpu::Buffer>> {
        locked(&self.staging)
    }

    /// Writes the beginning of a buffer.
    pub fn write<T: bytemuck::NoUninit>(&self, buffer: &wgpu::Buffer, values: &[T]) -> Result<()> {
        self.write_at(buffer, 0, values)
    }

    /// Writes a buffer from element `at` on.
    pub fn write_at<T: bytemuck::NoUninit>(
        &self,
        buffer: &wgpu::Buffer,
        at: u64,
        values: &[T],
    ) -> Result<()> {
        let mut offset = at * size_of::<T>() as u64;
        let mut pieces = Pieces::default();
        for piece in bytemuck::cast_slice::<T, u8>(values).chunks(STAGING_BYTES as usize) {
            pieces.follow(self)?;
            self.scoped("writing to the device", || {
                self.queue.write_buffer(buffer, offset, piece);
            })?;
            offset += piece.len() as u64;
            self.count_written(piece.len() as u64);
        }
        pieces.end(self)
    }

    /// Writes the rows of an array, each padded with zeros to `row` elements, from element `at` of a buffer on, in pieces
    /// of [`STAGING_BYTES`], or of one row.
    pub fn write_rows(
        &self,
        buffer: &wgpu::Buffer,
        at: u64,
        array: &ArrayView4<'_, f32>,
        row: usize,
    ) -> Result<()> {
        let (width, bytes) = (4 * array.dim().3, 4 * row);
        let mut rows = array.rows().into_iter();
        let mut offset = 4 * at;
        let mut pieces = Pieces::default();
        while rows.len() > 0 {
            pieces.follow(self)?;
            let count = rows.len().min((STAGING_BYTES as usize / bytes).max(1));
            let written = self.scoped("writing to the device", || {
                let size = BufferSize::new((count * bytes) as u64).expect("rows have elements");
                // Where there is no view, the scope has the reason.
                let mut view = self.queue.write_buffer_with(buffer, offset, size)?;
                for (index, from) in rows.by_ref().take(count).enumerate() {
                    let mut to = view.slice(index * bytes..(index + 1) * bytes);
                    let from = from.as_standard_layout();
                    let from = from.as_slice().expect("a standard layout");
                    to.slice(..width)
                        .copy_from_slice(bytemuck::cast_slice(from));
                    to.slice(width..).fill(0);
                }
                Some(())
            })?;
            let operation = "writing to the device";
            written.ok_or_else(|| device_error(&self.name, operation, "no memory to stage"))?;
            offset += (count * bytes) as u64;
            self.count_written((count * bytes) as u64);
        }
        pieces.end(self)
    }
}

/// Pieces of an array on their way to the device, two at most: what is staged of one takes memory until it is done.
#[derive(Default)]
pub(super) struct Pieces {
    staged: bool,
    submitted: Option<SubmissionIndex>,
}

impl Pieces {
    /// Submits what is staged of the piece before, and waits for the one before that.
    pub fn follow(&mut self, device: &Device) -> Result<()> {
        if self.staged {
            let submission = device.scoped("a submission", || device.queue.submit([]))?;
            if let Some(earlier) = self.submitted.replace(submission) {
                device.wait(earlier)?;
            }
        }
        self.staged = true;
        Ok(())
    }

    /// Submits the last of several pieces; a single one goes with what is submitted next.
    fn end(&mut self, device: &Device) -> Result<()> {
        match self.submitted {
            Some(_) => self.follow(device),
            None => Ok(()),
        }
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn device_error(device: &str, operation: &str, reason: &str) -> Error {
    Error::Device {
        device: device.to_owned(),
        operation: operation.to_owned(),
        reason: reason.to_owned(),
    }
}
