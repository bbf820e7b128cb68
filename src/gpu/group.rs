//! A group of networks: those whose buffers fit one binding each.

use super::arrays::{Resident, Working};
use super::cuts::split;
use super::device::Device;
use super::engine::Gpu;
use super::execute::{Copies, Loaded};
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
use wgpu::SubmissionIndex;

/// Networks that share buffers.
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
    /// Takes networks of a population to the device; to be trained, if there are optimisers.
    pub fn new(
        gpu: &Gpu,
        layout: &DeviceLayout,
        parameters: &Parameters<f32>,
        optimisers: Option<&[Optimiser]>,
        networks: Range<usize>,
    ) -> Result<Self> {
        let device = &gpu.device;
        let values = parameters.slice(networks.clone());
        let residents = Residents::new(device, layout, &values, optimisers.is_some())?;
        let group = Self::with(networks.clone(), layout.clone(), residents);
        if let Some(optimisers) = optimisers {
            let optimisers = optimisers[networks.clone()].iter();
            let settings: Vec<u8> = optimisers
                .flat_map(|optimiser| Settings::with_factors(optimiser, parameters.layout()))
                .collect();
            device.write(group.residents.get(Resident::Settings), &settings)?;
            let (states, progress) = (State::fresh(), Progress::default());
            let count = networks.len();
            group.set_states(gpu, &vec![states; count], &vec![progress; count])?;
        }
        Ok(group)
    }

    /// How far each network has come.
    pub fn set_states(&self, gpu: &Gpu, states: &[State], progress: &[Progress]) -> Result<()> {
        let device = &gpu.device;
        device.write(self.residents.get(Resident::States), states)?;
        device.write(self.residents.get(Resident::Progress), progress)
    }

    /// Reads one of the planes of an array that lies like the parameters, into the networks' part of the population's.
    pub fn read(
        &self,
        gpu: &Gpu,
        resident: Resident,
        plane: usize,
        to: &mut Parameters<f32>,
    ) -> Result<()> {
        let networks = self.networks.clone();
        self.residents
            .read(&gpu.device, &self.layout, (resident, plane), networks, to)
    }

    /// Writes such a plane.
    pub fn write(
        &self,
        gpu: &Gpu,
        resident: Resident,
        plane: usize,
        from: &Parameters<f32>,
    ) -> Result<()> {
        let values = packed(&self.layout, &from.slice(self.networks.clone()));
        let at = plane * self.networks.len() * self.layout.stride;
        let buffer = self.residents.get(resident);
        gpu.device.write_at(buffer, at as u64, &values)
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

    /// Tells the device of meta-steps of training to come, from number `first` on.
    pub fn begin(&self, gpu: &Gpu, first: u32) -> Result<()> {
        let control = Control {
            first_meta_step: first,
            learn: 1,
            meta_steps: 1,
        };
        let controls = self.residents.get(Resident::Control);
        gpu.device.write(controls, &[control])?;
        self.clear_progress(gpu)
    }

    /// One of these meta-steps, on the caller's episodes. It need not be done yet.
    pub fn step(
        &self,
        gpu: &Gpu,
        loaded: &Loaded,
        in_flight: &mut InFlight,
        episodes: &Episodes<'_, f32>,
    ) -> Result<()> {
        meta_step_on(gpu, loaded, in_flight, episodes, self.networks.clone())
    }

    /// Takes the caller's episodes to the device, to be kept there: of each cut, what it takes of them.
    pub fn hold(&self, loaded: &Loaded, episodes: &Episodes<'_, f32>) -> Result<Vec<Copies>> {
        let cuts = 0..loaded.plan.cuts.len();
        let hold = |cut| {
            Transfer::new(loaded, self.networks.clone(), cut).upload(episodes)?;
            loaded.copies(|array| array.is_given(&loaded.plan.work))
        };
        cuts.map(hold).collect()
    }

    /// One meta-step on episodes that are kept on the device.
    pub fn step_on(
        &self,
        gpu: &Gpu,
        loaded: &Loaded,
        in_flight: &mut InFlight,
        held: &[Copies],
    ) -> Result<()> {
        for (cut, copies) in held.iter().enumerate() {
            let submission = gpu.device.submit(|encoder| {
                loaded.record_restore(encoder, copies);
                loaded.record_cut(encoder, cut);
                if cut + 1 == held.len() {
                    loaded.record_finish(encoder);
                }
            })?;
            in_flight.push(&gpu.device, submission)?;
        }
        Ok(())
    }

    /// Each network's losses in the `meta_steps` meta-steps since they began, which are done; their sum.
    pub fn losses(&self, gpu: &Gpu, meta_steps: usize) -> Result<Vec<f32>> {
        let progress = self.reported(gpu, meta_steps)?;
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
        self.begin(gpu, meta_step)?;
        self.write(gpu, Resident::Gradients, 0, gradients)?;
        self.finish(gpu, loaded, false)
    }

    /// The reverse half of episodes that were run, whose upstream gradients are there, and an update.
    pub fn learn(&self, gpu: &Gpu, loaded: &Loaded, meta_step: u32) -> Result<()> {
        self.begin(gpu, meta_step)?;
        self.finish(gpu, loaded, true)
    }

    /// An update, after the reverse half if that is asked for. There is no loss.
    fn finish(&self, gpu: &Gpu, loaded: &Loaded, backward: bool) -> Result<()> {
        let submission = gpu.device.submit(|encoder| {
            encoder.clear_buffer(loaded.buffer(Working::Losses), 0, None);
            if backward {
                loaded.record_backward(encoder, 0);
            }
            loaded.record_finish(encoder);
        })?;
        gpu.device.wait(submission)?;
        self.reported(gpu, 1)?;
        Ok(())
    }

    fn clear_progress(&self, gpu: &Gpu) -> Result<()> {
        let cleared = vec![Progress::default(); self.networks.len()];
        let progress = self.residents.get(Resident::Progress);
        gpu.device.write(progress, &cleared)
    }

    /// Many meta-steps on a task's episodes, which the device makes if the plan says so, and else the host. Returns the sum
    /// of each network's losses since `run.since`.
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
            let mut in_flight = InFlight::default();
            for meta_step in run.meta_steps.clone() {
                let episodes = run.source.episodes_of(self.networks.clone(), meta_step)?;
                let networks = 0..self.networks.len();
                meta_step_on(gpu, loaded, &mut in_flight, &episodes, networks)?;
            }
            in_flight.finish(device)?;
        }
        self.losses(gpu, (run.meta_steps.end - run.since) as usize)
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

    /// What each network reports of the last meta-steps.
    pub fn progress(&self, gpu: &Gpu) -> Result<Vec<Progress>> {
        let buffer = self.residents.get(Resident::Progress);
        gpu.device.read(buffer, self.networks.len())
    }

    /// What each network reports of the last `meta_steps` meta-steps, which were all done.
    fn reported(&self, gpu: &Gpu, meta_steps: usize) -> Result<Vec<Progress>> {
        let progress = self.progress(gpu)?;
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

/// Submissions under way, two at most, so that the host makes a batch ready while the device computes on the one before.
#[derive(Debug, Default)]
pub(super) struct InFlight(Option<SubmissionIndex>);

impl InFlight {
    /// One more, after the one before the last is done.
    pub fn push(&mut self, device: &Device, submission: SubmissionIndex) -> Result<()> {
        match self.0.replace(submission) {
            Some(earlier) => device.wait(earlier),
            None => Ok(()),
        }
    }

    /// All are done.
    pub fn finish(&mut self, device: &Device) -> Result<()> {
        match self.0.take() {
            Some(last) => device.wait(last),
            None => Ok(()),
        }
    }
}

/// One meta-step on episodes from the host, of which those of `networks` are the group's.
fn meta_step_on(
    gpu: &Gpu,
    loaded: &Loaded,
    in_flight: &mut InFlight,
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
        in_flight.push(&gpu.device, submission)?;
    }
    Ok(())
}
