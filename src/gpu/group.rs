//! A group of networks in training: those whose buffers fit one binding each.

use super::arrays::{Resident, Working};
use super::cuts::split;
use super::engine::Gpu;
use super::execute::Loaded;
use super::layout::DeviceLayout;
use super::pace::Pace;
use super::plan::Plan;
use super::residents::{Residents, packed};
use super::state::{Control, Progress, Settings, State};
use super::transfer::Transfer;
use super::work::Work;
use crate::episodes::Episodes;
use crate::error::{Error, Result};
use crate::network::Network;
use crate::optimiser::Optimiser;
use crate::parameters::Parameters;
use crate::tasks::{EpisodeSource, mask};
use std::ops::Range;
use std::sync::Arc;
use std::time::Instant;

/// Networks in training that share buffers.
#[derive(Debug)]
pub(super) struct Group {
    /// Networks of the population.
    pub networks: Range<usize>,
    pub layout: DeviceLayout,
    pub residents: Residents,
    /// The last plan that ran: meta-steps of one kind follow each other.
    loaded: Option<Arc<Loaded>>,
    /// Of that plan.
    pace: Pace,
}

/// A run of meta-steps on a task's episodes.
#[derive(Clone, Debug)]
pub(super) struct Run<'a> {
    pub source: &'a EpisodeSource,
    /// The meta-step from which losses are summed.
    pub since: u32,
    pub meta_steps: Range<u32>,
}

impl Group {
    /// Takes networks to the device, to be trained.
    pub fn new(
        gpu: &Gpu,
        layout: &DeviceLayout,
        parameters: &Parameters<f32>,
        optimisers: &[Optimiser],
        networks: Range<usize>,
    ) -> Result<Self> {
        let device = &gpu.device;
        let residents = Residents::new(device, layout, &parameters.slice(networks.clone()), true)?;
        let optimisers = optimisers[networks.clone()].iter();
        let settings: Vec<u8> = optimisers
            .flat_map(|optimiser| Settings::with_factors(optimiser, parameters.layout()))
            .collect();
        device.write(residents.get(Resident::Settings), &settings)?;
        let states = vec![State::fresh(); networks.len()];
        device.write(residents.get(Resident::States), &states)?;
        Ok(Self::with(networks, layout.clone(), residents))
    }

    fn with(networks: Range<usize>, layout: DeviceLayout, residents: Residents) -> Self {
        Self {
            networks,
            layout,
            residents,
            loaded: None,
            pace: Pace::new(1, 1),
        }
    }

    /// The same networks in groups of at most `size`.
    pub fn split(&self, gpu: &Gpu, size: usize) -> Result<Vec<Self>> {
        let start = self.networks.start;
        split(self.networks.clone(), size)
            .map(|networks| {
                let residents = self.residents.part(
                    &gpu.device,
                    &self.layout,
                    self.networks.len(),
                    networks.start - start..networks.end - start,
                )?;
                Ok(Self::with(networks, self.layout.clone(), residents))
            })
            .collect()
    }

    /// The plan for `work`, made if the last one was another.
    pub fn load(&mut self, gpu: &Gpu, network: &Network, work: &Work) -> Result<Arc<Loaded>> {
        let work = work.of(self.networks.len());
        if let Some(loaded) = &self.loaded
            && loaded.plan.work == work
        {
            return Ok(loaded.clone());
        }
        // The old buffers go first.
        self.loaded = None;
        let plan = Plan::new(network, &gpu.profile, work)?;
        let loaded = Arc::new(Loaded::new(&gpu.device, &self.residents, plan)?);
        self.pace = Pace::of(network, &loaded.plan, gpu.profile.submission_work);
        self.loaded = Some(loaded.clone());
        Ok(loaded)
    }

    /// One meta-step on the caller's episodes. Returns each network's loss.
    pub fn step(
        &self,
        gpu: &Gpu,
        loaded: &Loaded,
        episodes: &Episodes<f32>,
        meta_step: u32,
    ) -> Result<Vec<f32>> {
        self.begin_one(gpu, meta_step)?;
        meta_step_on(gpu, loaded, episodes, self.networks.clone())?;
        let progress = self.progress(gpu, 1)?;
        Ok(progress.into_iter().map(|progress| progress.loss).collect())
    }

    /// One update with the caller's gradients, the population's.
    pub fn apply(
        &self,
        gpu: &Gpu,
        loaded: &Loaded,
        gradients: &Parameters<f32>,
        meta_step: u32,
    ) -> Result<()> {
        let device = &gpu.device;
        let values = packed(&self.layout, &gradients.slice(self.networks.clone()));
        self.begin_one(gpu, meta_step)?;
        device.write(self.residents.get(Resident::Gradients), &values)?;
        let submission = device.submit(|encoder| {
            encoder.clear_buffer(loaded.buffer(Working::Losses), 0, None);
            loaded.record_finish(encoder);
        })?;
        device.wait(submission)?;
        self.progress(gpu, 1)?;
        Ok(())
    }

    /// Tells the device of one meta-step of training to come.
    fn begin_one(&self, gpu: &Gpu, meta_step: u32) -> Result<()> {
        let control = Control {
            first_meta_step: meta_step,
            learn: 1,
            meta_steps: 1,
        };
        let controls = self.residents.get(Resident::Control);
        gpu.device.write(controls, &[control])?;
        self.clear_progress(gpu)
    }

    fn clear_progress(&self, gpu: &Gpu) -> Result<()> {
        let cleared = vec![Progress::default(); self.networks.len()];
        let progress = self.residents.get(Resident::Progress);
        gpu.device.write(progress, &cleared)
    }

    /// Many meta-steps on a task's episodes, which the device makes if the plan says so, and else the host. Returns the sum of each network's losses since `run.since`.
    pub fn run(&mut self, gpu: &Gpu, loaded: &Loaded, run: &Run<'_>) -> Result<Vec<f32>> {
        let device = &gpu.device;
        let on_device = loaded.plan.work.task.is_some();
        if on_device && loaded.plan.fused.is_none() {
            let mask = mask(&*run.source.task).to_vec();
            for (segment, steps) in loaded.plan.segments.iter().enumerate() {
                let buffer = loaded.buffer(Working::Mask(segment));
                device.write(buffer, &mask[steps.clone()])?;
            }
        }
        let keys = self.networks.clone().map(|index| run.source.key(index));
        let keys: Vec<_> = keys.collect();
        device.write(self.residents.get(Resident::Keys), &keys)?;
        if run.meta_steps.start == run.since {
            self.clear_progress(gpu)?;
        }
        // Kernels count on from there by what the progress says is done.
        let control = Control {
            first_meta_step: run.since,
            learn: u32::from(loaded.plan.work.learn),
            meta_steps: 1,
        };
        if on_device {
            self.submit(gpu, loaded, control, run.meta_steps.len())?;
        } else {
            device.write(self.residents.get(Resident::Control), &[control])?;
            for meta_step in run.meta_steps.clone() {
                let episodes = run.source.episodes_of(self.networks.clone(), meta_step)?;
                meta_step_on(gpu, loaded, &episodes, 0..self.networks.len())?;
            }
        }
        let progress = self.progress(gpu, (run.meta_steps.end - run.since) as usize)?;
        Ok(progress.into_iter().map(|progress| progress.loss).collect())
    }

    /// Submits meta-steps, several to a submission, with two submissions in flight.
    fn submit(
        &mut self,
        gpu: &Gpu,
        loaded: &Loaded,
        control: Control,
        meta_steps: usize,
    ) -> Result<()> {
        let device = &gpu.device;
        let controls = self.residents.get(Resident::Control);
        self.pace.begin();
        device.write(controls, &[control])?;
        let mut in_flight = None;
        let mut left = meta_steps;
        while left > 0 {
            let now = left.min(self.pace.meta_steps);
            let mut recordings = now;
            if loaded.plan.fused.is_some() {
                // Written before the submission, and after the ones before it.
                let control = Control {
                    meta_steps: now as u32,
                    ..control
                };
                device.write(controls, &[control])?;
                recordings = 1;
            }
            let submission = device.submit(|encoder| {
                for _ in 0..recordings {
                    for cut in 0..loaded.plan.cuts.len() {
                        loaded.record_cut(encoder, cut);
                    }
                    loaded.record_finish(encoder);
                }
            })?;
            if let Some((earlier, count)) = in_flight.replace((submission, now)) {
                device.wait(earlier)?;
                self.pace.done(count, Instant::now());
            }
            left -= now;
        }
        match in_flight {
            Some((last, _)) => device.wait(last),
            None => Ok(()),
        }
    }

    /// What the networks report of the last `meta_steps` meta-steps.
    fn progress(&self, gpu: &Gpu, meta_steps: usize) -> Result<Vec<Progress>> {
        let buffer = self.residents.get(Resident::Progress);
        let progress: Vec<Progress> = gpu.device.read(buffer, self.networks.len())?;
        // A driver that drops a submission in silence leaves the count behind.
        match progress
            .iter()
            .find(|it| it.meta_steps as usize != meta_steps)
        {
            Some(behind) => Err(Error::DeviceLost {
                device: gpu.device.name.clone(),
                reason: format!("{} of {meta_steps} meta-steps were run", behind.meta_steps),
            }),
            None => Ok(progress),
        }
    }

    /// How far each network has come.
    pub fn states(&self, gpu: &Gpu) -> Result<Vec<State>> {
        let states = self.residents.get(Resident::States);
        gpu.device.read(states, self.networks.len())
    }
}

/// One meta-step on episodes from the host, of which those of `networks` are the group's.
fn meta_step_on(
    gpu: &Gpu,
    loaded: &Loaded,
    episodes: &Episodes<f32>,
    networks: Range<usize>,
) -> Result<()> {
    let cuts = loaded.plan.cuts.len();
    for cut in 0..cuts {
        Transfer::new(loaded, networks.clone(), cut).upload(episodes)?;
        let submission = gpu.device.submit(|encoder| {
            loaded.record_cut(encoder, cut);
            if cut + 1 == cuts {
                loaded.record_finish(encoder);
            }
        })?;
        gpu.device.wait(submission)?;
    }
    Ok(())
}
