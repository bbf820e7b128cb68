//! Times what the device does with resident data: episodes and parameters are loaded once, and the sweep repeated.

use super::Gpu;
use super::execute::{Loaded, Residents};
use super::plan::{Plan, Work, group_size, split};
use super::profile::Profile;
use super::render::{Extent, Renderer};
use super::resident::resident_bytes;
use super::sweep::{upload, work_of};
use crate::engine::Want;
use crate::measure::Sample;
use crate::{Episodes, Network, Parameters, Result};
use std::time::{Duration, Instant};
use wgpu::{
    BindGroupDescriptor, BindGroupEntry, BindingResource, BufferBinding, BufferUsages,
    ComputePassDescriptor, Features, QuerySet, QuerySetDescriptor, QueryType,
};

/// Queries of one set at most.
const QUERIES: usize = wgpu::QUERY_SET_MAX_QUERIES as usize;

/// A problem that stays on the device.
#[derive(Debug)]
pub struct GpuRun {
    gpu: Gpu,
    groups: Vec<Group>,
    bytes: u64,
}

#[derive(Debug)]
struct Group {
    loaded: Loaded,
    clock: Option<Clock>,
}

impl GpuRun {
    /// Loads the episodes. Where the batch is cut, every cut runs on the data of the last one: what is computed is then
    /// of no use, but takes its time.
    pub(crate) fn new(
        gpu: &Gpu,
        network: &Network,
        parameters: &Parameters<f32>,
        episodes: &Episodes<f32>,
        gradient: bool,
    ) -> Result<Self> {
        let population = episodes.population();
        let work = work_of(network, episodes, population, Want::default(), gradient);
        let size = group_size(network, &gpu.profile, &work);
        let mut run = Self {
            gpu: gpu.clone(),
            groups: Vec::new(),
            bytes: 0,
        };
        for networks in split(0..population, size) {
            let work = Work {
                networks: networks.len(),
                ..work.clone()
            };
            let plan = Plan::new(network, &gpu.profile, work)?;
            let values = parameters.slice(networks.clone());
            let residents = Residents::new(&gpu.device, &plan.layout, &values, false)?;
            run.bytes += plan.bytes();
            for (_, bytes) in resident_bytes(&plan.layout, networks.len(), false) {
                run.bytes += bytes;
            }
            let loaded = Loaded::new(&gpu.device, &residents, plan)?;
            for cut in &loaded.plan.cuts {
                let range = cut.episodes.clone();
                upload(&loaded, network, episodes, networks.clone(), range)?;
            }
            let clock = Clock::new(gpu, loaded.plan.cuts.len())?;
            run.groups.push(Group { loaded, clock });
        }
        Ok(run)
    }

    /// Bytes of all buffers.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// One sweep of the whole population, cut into submissions as ever, two in flight.
    pub(crate) fn once(&self) -> Result<Sample> {
        let device = &self.gpu.device;
        let start = Instant::now();
        let mut in_flight = None;
        for Group { loaded, clock } in &self.groups {
            for cut in 0..loaded.plan.cuts.len() {
                let mut encoder = device.device.create_command_encoder(&Default::default());
                let queries = clock.as_ref().map(|clock| &clock.queries);
                loaded.record_timed_cut(&mut encoder, cut, queries);
                let submission = device.submit(encoder.finish());
                if let Some(earlier) = in_flight.replace(submission) {
                    device.wait(earlier)?;
                }
            }
        }
        if let Some(last) = in_flight {
            device.wait(last)?;
        }
        let wall = start.elapsed();
        let mut on_device = Some(Duration::ZERO);
        for group in &self.groups {
            let time = match &group.clock {
                Some(clock) => clock.read(&self.gpu)?,
                None => None,
            };
            on_device = on_device.zip(time).map(|(sum, time)| sum + time);
        }
        Ok(Sample {
            wall,
            device: on_device,
        })
    }
}

/// The device's own clock, read before and after each of some passes.
#[derive(Debug)]
struct Clock {
    queries: QuerySet,
    passes: usize,
    ticks: wgpu::Buffer,
}

impl Clock {
    /// `None` where the device has no clock, or there are too many passes for it.
    fn new(gpu: &Gpu, passes: usize) -> Result<Option<Self>> {
        let device = &gpu.device;
        if !device.device.features().contains(Features::TIMESTAMP_QUERY) || 2 * passes > QUERIES {
            return Ok(None);
        }
        let queries = device.device.create_query_set(&QuerySetDescriptor {
            label: Some("clock"),
            ty: QueryType::Timestamp,
            count: 2 * passes as u32,
        });
        let usage = BufferUsages::QUERY_RESOLVE | BufferUsages::COPY_SRC;
        let ticks = device.raw_buffer("ticks", 16 * passes as u64, usage)?;
        Ok(Some(Self {
            queries,
            passes,
            ticks,
        }))
    }

    /// The time spent within the passes; `None` where the clock tells nothing.
    fn read(&self, gpu: &Gpu) -> Result<Option<Duration>> {
        let device = &gpu.device;
        let mut encoder = device.device.create_command_encoder(&Default::default());
        encoder.resolve_query_set(&self.queries, 0..2 * self.passes as u32, &self.ticks, 0);
        device.submit(encoder.finish());
        let ticks: Vec<u64> = device.read(&self.ticks, 2 * self.passes)?;
        let (passes, _) = ticks.as_chunks::<2>();
        let sum = passes.iter().fold(0, |sum: u64, [start, end]| {
            sum.saturating_add(end.saturating_sub(*start))
        });
        let nanoseconds = sum as f64 * f64::from(device.queue.get_timestamp_period());
        Ok((nanoseconds > 0.0).then(|| Duration::from_nanos(nanoseconds as u64)))
    }
}

impl Gpu {
    /// Multiply-adds per second of a kernel that does nothing else.
    pub(crate) fn multiply_adds_per_second(&self) -> Result<f64> {
        /// Workgroups: enough to fill any device several times.
        const WORKGROUPS: u32 = 1 << 13;
        let device = &self.device;
        let (kernel, per_step) = Renderer::new(&Profile::default()).multiply_add()?;
        let pipeline = device.pipeline(&kernel)?;
        let lanes = WORKGROUPS as usize * kernel.items;
        let result = device.buffer("multiply_add", 4 * lanes as u64)?;
        let usage = BufferUsages::UNIFORM | BufferUsages::COPY_DST;
        let uniform = device.raw_buffer("extent", size_of::<Extent>() as u64, usage)?;
        let group = device.device.create_bind_group(&BindGroupDescriptor {
            label: Some(kernel.name),
            layout: &pipeline.layout,
            entries: &[
                BindGroupEntry {
                    binding: 0,
                    resource: BindingResource::Buffer(BufferBinding {
                        buffer: &uniform,
                        offset: 0,
                        size: std::num::NonZeroU64::new(size_of::<Extent>() as u64),
                    }),
                },
                BindGroupEntry {
                    binding: 1,
                    resource: result.as_entire_binding(),
                },
            ],
        });
        let clock = Clock::new(self, 1)?;
        let (mut steps, mut best) = (1u32, 0.0f64);
        let mut long_enough = 0;
        while long_enough < 5 {
            let extent = Extent {
                steps,
                ..Extent::default()
            };
            device.write(&uniform, &[extent]);
            // What is written goes to the device before the clock starts.
            device.queue.submit([]);
            let start = Instant::now();
            let mut encoder = device.device.create_command_encoder(&Default::default());
            {
                let queries = clock.as_ref().map(|clock| &clock.queries);
                let mut pass = encoder.begin_compute_pass(&ComputePassDescriptor {
                    label: None,
                    timestamp_writes: queries.map(|queries| super::execute::around(queries, 0)),
                });
                pass.set_pipeline(&pipeline.pipeline);
                pass.set_bind_group(0, &group, &[0]);
                pass.dispatch_workgroups(WORKGROUPS, 1, 1);
            }
            let submission = device.submit(encoder.finish());
            device.wait(submission)?;
            let wall = start.elapsed();
            let time = match &clock {
                Some(clock) => clock.read(self)?.unwrap_or(wall),
                None => wall,
            };
            let count = lanes as f64 * f64::from(steps) * f64::from(per_step);
            best = best.max(count / time.as_secs_f64().max(1e-9));
            let most = self.profile.loop_turns.min(1 << 20);
            if wall < Duration::from_millis(20) && 2 * u64::from(steps) < most {
                steps *= 2;
            } else {
                long_enough += 1;
            }
        }
        Ok(best)
    }
}
