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
            let passes = placed.loaded.kernels().map(|names| names.len()).sum();
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

    /// One sweep of the whole population, cut into submissions as ever, two in flight.
    pub(crate) fn once(&self) -> Result<Sample> {
        let start = Instant::now();
        self.sweep()?;
        let wall = start.elapsed();
        let mut device = Some(Duration::ZERO);
        let mut kernels = BTreeMap::new();
        for group in &self.groups {
            let time = group.time(&self.gpu, &mut kernels)?;
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

    fn sweep(&self) -> Result<()> {
        let device = &self.gpu.device;
        let mut in_flight = None;
        for Group { placed, clock } in &self.groups {
            let loaded = &placed.loaded;
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
        match in_flight {
            Some(last) => device.wait(last),
            None => Ok(()),
        }
    }
}

impl Group {
    /// The time of the latest sweep by the device's clock; adds what each kernel took of it.
    fn time(&self, gpu: &Gpu, kernels: &mut BTreeMap<&'static str, Duration>) -> Result<Duration> {
        let Some(clock) = &self.clock else {
            return Ok(Duration::ZERO);
        };
        let mut time = Duration::ZERO;
        let mut passes = clock.read(&gpu.device)?.into_iter();
        for names in self.placed.loaded.kernels() {
            let of_cut: Vec<_> = passes.by_ref().take(names.len()).collect();
            if let (Some(first), Some(last)) = (of_cut.first(), of_cut.last()) {
                time += last.end.saturating_sub(first.start);
            }
            for (name, pass) in names.into_iter().zip(of_cut) {
                *kernels.entry(name).or_default() += pass.end.saturating_sub(pass.start);
            }
        }
        Ok(time)
    }
}
