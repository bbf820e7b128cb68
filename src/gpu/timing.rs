//! Times what the device does with resident data: episodes and parameters are loaded once, and the sweep repeated.

use super::Gpu;
use super::execute::{Loaded, Residents};
use super::plan::{Plan, Work, group_size, split};
use super::profile::Profile;
use super::render::{Extent, Renderer};
use super::resident::resident_bytes;
use super::sweep::{upload, work_of};
use crate::computation::Sample;
use crate::computation::Want;
use crate::episodes::Episodes;
use crate::error::Result;
use crate::network::Network;
use crate::parameters::Parameters;
use std::collections::BTreeMap;
use std::ops::Range;
use std::time::{Duration, Instant};
use wgpu::{
    BufferUsages, ComputePassDescriptor, Features, QuerySet, QuerySetDescriptor, QueryType,
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
        let work = work_of(network, episodes, population, Want::NOTHING, gradient);
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
            let passes = loaded.kernels().map(|names| names.len()).sum();
            let clock = Clock::new(gpu, passes)?;
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
                let submission = device.submit(|encoder| match clock {
                    Some(clock) => loaded.record_timed_cut(encoder, cut, &clock.queries),
                    None => loaded.record_cut(encoder, cut),
                })?;
                if let Some(earlier) = in_flight.replace(submission) {
                    device.wait(earlier)?;
                }
            }
        }
        if let Some(last) = in_flight {
            device.wait(last)?;
        }
        let wall = start.elapsed();
        let mut device = Some(Duration::ZERO);
        let mut kernels = BTreeMap::new();
        for group in &self.groups {
            let mut time = Duration::ZERO;
            if let Some(clock) = &group.clock {
                let mut passes = clock.read(&self.gpu)?.into_iter();
                for names in group.loaded.kernels() {
                    let of_cut: Vec<_> = passes.by_ref().take(names.len()).collect();
                    if let (Some(first), Some(last)) = (of_cut.first(), of_cut.last()) {
                        time += last.end.saturating_sub(first.start);
                    }
                    for (name, pass) in names.into_iter().zip(of_cut) {
                        *kernels.entry(name).or_default() += pass.end.saturating_sub(pass.start);
                    }
                }
            }
            // A clock that stands still tells nothing.
            device = device
                .filter(|_| !time.is_zero())
                .map(|sum: Duration| sum + time);
        }
        Ok(Sample {
            wall,
            kernels: device.map(|_| kernels).unwrap_or_default(),
            device,
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
        let queries = device.scoped("making a set of queries", || {
            device.device.create_query_set(&QuerySetDescriptor {
                label: Some("clock"),
                ty: QueryType::Timestamp,
                count: 2 * passes as u32,
            })
        })?;
        let usage = BufferUsages::QUERY_RESOLVE | BufferUsages::COPY_SRC;
        let ticks = device.raw_buffer("ticks", 16 * passes as u64, usage)?;
        Ok(Some(Self {
            queries,
            passes,
            ticks,
        }))
    }

    /// When each pass began and ended, from the first reading on.
    fn read(&self, gpu: &Gpu) -> Result<Vec<Range<Duration>>> {
        let device = &gpu.device;
        device.submit(|encoder| {
            encoder.resolve_query_set(&self.queries, 0..2 * self.passes as u32, &self.ticks, 0);
        })?;
        let ticks: Vec<u64> = device.read(&self.ticks, 2 * self.passes)?;
        let zero = ticks.iter().copied().min().unwrap_or_default();
        let period = f64::from(device.queue.get_timestamp_period());
        let since = |tick: u64| Duration::from_nanos(((tick - zero) as f64 * period) as u64);
        let (passes, _) = ticks.as_chunks::<2>();
        Ok(passes
            .iter()
            .map(|&[start, end]| since(start)..since(end))
            .collect())
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
        let group = device.bind(&kernel, &pipeline, &uniform, [&result])?;
        let clock = Clock::new(self, 1)?;
        let (mut steps, mut best) = (1u32, 0.0f64);
        let mut long_enough = 0;
        while long_enough < 5 {
            let extent = Extent {
                steps,
                ..Extent::default()
            };
            device.write(&uniform, &[extent])?;
            // What is written goes to the device before the clock starts.
            device.submit(|_| ())?;
            let start = Instant::now();
            let submission = device.submit(|encoder| {
                let queries = clock.as_ref().map(|clock| &clock.queries);
                let mut pass = encoder.begin_compute_pass(&ComputePassDescriptor {
                    label: None,
                    timestamp_writes: queries.map(|queries| super::execute::around(queries, 0)),
                });
                pass.set_pipeline(&pipeline.pipeline);
                pass.set_bind_group(0, &group, &[0]);
                pass.dispatch_workgroups(WORKGROUPS, 1, 1);
            })?;
            device.wait(submission)?;
            let wall = start.elapsed();
            let passes = match &clock {
                Some(clock) => clock.read(self)?,
                None => Vec::new(),
            };
            let time = match passes.first() {
                Some(pass) if pass.end > pass.start => pass.end - pass.start,
                _ => wall,
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
