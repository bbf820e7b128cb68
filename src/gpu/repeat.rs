//! Repeats sweeps on data that stays on the device, and times them.

use super::clock::Clock;
use super::engine::Gpu;
use super::placed::Placed;
use super::work::Work;
use crate::computation::{Request, Sample, Want};
use crate::episodes::Episodes;
use crate::error::Result;
use crate::network::Network;
use crate::parameters::Parameters;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// A problem that stays on the device.
#[derive(Debug)]
pub struct GpuRun {
    gpu: Gpu,
    groups: Vec<Group>,
}

/// What the device's clock is read around.
#[derive(Clone, Copy, Debug)]
enum Timing {
    Cuts,
    Kernels,
}

#[derive(Debug)]
struct Group {
    placed: Placed,
    clock: Option<Clock>,
}

impl GpuRun {
    /// Loads the episodes. Where the batch is cut, every cut runs on the data of the last one: what is computed is then
    /// of no use, but takes its time.
    pub(crate) fn new(
        gpu: &Gpu,
        network: &Network,
        parameters: &Parameters<f32>,
        episodes: &Episodes<'_, f32>,
        gradient: bool,
    ) -> Result<Self> {
        let request = Request::on(network, episodes, Want::NOTHING, gradient);
        let work = Work::new(parameters.population(), request);
        let mut groups = Vec::new();
        for networks in Placed::groups(&gpu.profile, network, &work) {
            let (device, profile) = (&gpu.device, &gpu.profile);
            let placed = Placed::new(device, profile, network, parameters, &work, networks)?;
            for cut in 0..placed.loaded.plan.cuts.len() {
                placed.transfer(cut).upload(episodes)?;
            }
            // One for each dispatch, then one for each cut.
            let loaded = &placed.loaded;
            let passes = loaded.dispatches() + loaded.plan.cuts.len();
            let clock = Clock::new(&gpu.device, passes)?;
            groups.push(Group { placed, clock });
        }
        Ok(Self {
            gpu: gpu.clone(),
            groups,
        })
    }

    /// Bytes of all buffers.
    pub(crate) fn bytes(&self) -> u64 {
        self.groups.iter().map(|group| group.placed.bytes()).sum()
    }

    /// One sweep of the whole population, cut into submissions as ever, two in flight; and where the device has a clock, one more
    /// that times each kernel.
    pub(crate) fn once(&self) -> Result<Sample> {
        let start = Instant::now();
        self.sweep(Timing::Cuts)?;
        let wall = start.elapsed();
        let mut device = Some(Duration::ZERO);
        for group in &self.groups {
            let time = group.time(&self.gpu)?;
            // A clock that stands still tells nothing.
            device = device
                .filter(|_| !time.is_zero())
                .map(|sum: Duration| sum + time);
        }
        let mut kernels = BTreeMap::new();
        if device.is_some() {
            self.sweep(Timing::Kernels)?;
            for group in &self.groups {
                group.time_kernels(&self.gpu, &mut kernels)?;
            }
        }
        Ok(Sample {
            wall,
            kernels,
            device,
        })
    }

    fn sweep(&self, timing: Timing) -> Result<()> {
        let device = &self.gpu.device;
        let mut in_flight = None;
        for Group { placed, clock } in &self.groups {
            let loaded = &placed.loaded;
            for cut in 0..loaded.plan.cuts.len() {
                let submission = device.submit(|encoder| match (clock, timing) {
                    (Some(clock), Timing::Cuts) => {
                        let pass = loaded.dispatches() + cut;
                        loaded.record_timed_cut(encoder, cut, (&clock.queries, pass));
                    }
                    (Some(clock), Timing::Kernels) => {
                        loaded.record_cut_by_kernels(encoder, cut, &clock.queries);
                    }
                    (None, _) => loaded.record_cut(encoder, cut),
                })?;
                if let Some(earlier) = in_flight.replace(submission) {
                    device.wait(earlier)?;
                }
            }
        }
        match in_flight {
            Some(last) => device.wait(last),
            None => Ok(()),
        }
    }
}

impl Group {
    /// The time of the latest sweep by the device's clock.
    fn time(&self, gpu: &Gpu) -> Result<Duration> {
        let Some(clock) = &self.clock else {
            return Ok(Duration::ZERO);
        };
        let loaded = &self.placed.loaded;
        let first = loaded.dispatches();
        let of_cuts = clock.read(&gpu.device, first..first + loaded.plan.cuts.len())?;
        let of_cuts = of_cuts.into_iter();
        Ok(of_cuts.map(|cut| cut.end.saturating_sub(cut.start)).sum())
    }

    /// Adds what each kernel took of the latest sweep that was timed by kernels.
    fn time_kernels(
        &self,
        gpu: &Gpu,
        kernels: &mut BTreeMap<&'static str, Duration>,
    ) -> Result<()> {
        let Some(clock) = &self.clock else {
            return Ok(());
        };
        let loaded = &self.placed.loaded;
        let passes = clock.read(&gpu.device, 0..loaded.dispatches())?;
        for (name, pass) in loaded.kernels().zip(passes) {
            *kernels.entry(name).or_default() += pass.end.saturating_sub(pass.start);
        }
        Ok(())
    }
}
