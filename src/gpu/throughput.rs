//! How fast a device multiplies and adds.

use super::bindings::{Element, Slot, writes};
use super::clock::Clock;
use super::device::{Device, Pipeline};
use super::engine::Gpu;
use super::execute::around;
use super::extent::Extent;
use super::kernel::Kernel;
use super::kernel::WORKGROUP;
use super::templates;
use crate::error::Result;
use minijinja::context;
use std::sync::Arc;
use std::time::{Duration, Instant};
use wgpu::{BindGroup, BufferUsages, ComputePassDescriptor};

/// Workgroups: enough to fill any device several times.
const WORKGROUPS: u32 = 1 << 13;

/// A kernel of multiply-adds alone, and how many each lane does a step.
pub(super) fn multiply_add() -> Result<(Kernel, u32)> {
    let (chains, turns) = (8u32, 16u32);
    let bindings = vec![writes(Slot::Output, Element::Float)];
    let values = context! { chains, turns, workgroup => WORKGROUP };
    let kernel = templates::render("multiply_add", bindings, WORKGROUP, values)?;
    Ok((kernel, 4 * chains * turns))
}

/// The kernel on a device.
struct Trial<'a> {
    device: &'a Device,
    pipeline: Arc<Pipeline>,
    uniform: wgpu::Buffer,
    group: BindGroup,
    clock: Option<Clock>,
}

impl<'a> Trial<'a> {
    fn new(device: &'a Device, kernel: &Kernel) -> Result<Self> {
        let pipeline = device.pipeline(kernel)?;
        let lanes = WORKGROUPS as u64 * kernel.items as u64;
        let result = device.buffer("multiply_add", 4 * lanes)?;
        let usage = BufferUsages::UNIFORM | BufferUsages::COPY_DST;
        let uniform = device.raw_buffer("extent", size_of::<Extent>() as u64, usage)?;
        Ok(Self {
            group: device.bind(kernel, &pipeline, &uniform, [&result])?,
            clock: Clock::new(device, 1)?,
            device,
            pipeline,
            uniform,
        })
    }

    /// The time that `steps` steps take: by the wall's clock, and by the device's if it has one.
    fn run(&self, steps: u32) -> Result<(Duration, Duration)> {
        let device = self.device;
        let extent = Extent {
            steps,
            ..Extent::default()
        };
        device.write(&self.uniform, &[extent])?;
        // What is written goes to the device before the clock starts.
        device.submit(|_| ())?;
        let start = Instant::now();
        let submission = device.submit(|encoder| {
            let queries = self.clock.as_ref().map(|clock| &clock.queries);
            let mut pass = encoder.begin_compute_pass(&ComputePassDescriptor {
                label: None,
                timestamp_writes: queries.map(|queries| around(queries, 0)),
            });
            pass.set_pipeline(&self.pipeline.pipeline);
            pass.set_bind_group(0, &self.group, &[0]);
            pass.dispatch_workgroups(WORKGROUPS, 1, 1);
        })?;
        device.wait(submission)?;
        let wall = start.elapsed();
        let passes = match &self.clock {
            Some(clock) => clock.read(device, 0..1)?,
            None => Vec::new(),
        };
        match passes.first() {
            Some(pass) if pass.end > pass.start => Ok((wall, pass.end - pass.start)),
            _ => Ok((wall, wall)),
        }
    }
}

impl Gpu {
    /// Multiply-adds per second of a kernel that does nothing else.
    pub(crate) fn multiply_adds_per_second(&self) -> Result<f64> {
        let (kernel, per_step) = multiply_add()?;
        let trial = Trial::new(&self.device, &kernel)?;
        let lanes = WORKGROUPS as usize * kernel.items;
        let most = self.profile.loop_turns.min(1 << 20);
        let (mut steps, mut best) = (1u32, 0.0f64);
        let mut long_enough = 0;
        while long_enough < 5 {
            let (wall, time) = trial.run(steps)?;
            let count = lanes as f64 * f64::from(steps) * f64::from(per_step);
            best = best.max(count / time.as_secs_f64().max(1e-9));
            if wall < Duration::from_millis(20) && 2 * u64::from(steps) < most {
                steps *= 2;
            } else {
                long_enough += 1;
            }
        }
        Ok(best)
    }
}
