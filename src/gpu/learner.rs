//! A population in training on the device: many meta-steps per submission, nothing read back but reports.

use super::Gpu;
use super::execute::{Loaded, Residents, packed};
use super::layout::DeviceLayout;
use super::plan::{Plan, Work, Working, group_size, require_residents, split, work_of};
use super::resident::{Control, NONE, Progress, Resident, Settings, State};
use super::sweep::{upload, work_of as work_of_episodes};
use crate::engine::{Failure, Want};
use crate::task::EpisodeSource;
use crate::{Episodes, Error, Layout, Network, Objective, Optimiser, Parameters, Result};
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Dispatches of one submission at most.
const DISPATCHES: usize = 4096;

/// A population in training on the GPU engine.
#[derive(Debug)]
pub struct GpuLearner {
    network: Network,
    parameters: Parameters<f32>,
    groups: Vec<Group>,
    gpu: Gpu,
    /// Meta-steps made on the caller's episodes, and how many episodes each had.
    meta_steps: u32,
    batch: u64,
}

/// Networks whose buffers fit one binding each.
#[derive(Debug)]
struct Group {
    networks: Range<usize>,
    layout: DeviceLayout,
    residents: Residents,
    /// The last plan that ran: meta-steps of one kind follow each other.
    loaded: Option<(Key, Arc<Loaded>)>,
    /// Of that plan.
    pace: Pace,
}

/// What a plan was made for.
#[derive(Clone, Debug, PartialEq)]
enum Key {
    Given {
        batch: usize,
        steps: usize,
        mask_per_episode: bool,
        given: Vec<(bool, bool)>,
    },
    Generated {
        source: EpisodeSource,
        learn: bool,
    },
    Apply,
}

/// What groups are made for before there is a batch: [`GpuLearner::fit`] splits them further where it asks for that.
pub(super) fn first_work(network: &Network, population: usize) -> Work {
    Work::training(network, population, 1, 1)
}

impl GpuLearner {
    pub(crate) fn new(
        gpu: &Gpu,
        network: &Network,
        parameters: &Parameters<f32>,
        optimisers: Vec<Optimiser>,
    ) -> Result<Self> {
        let device = &gpu.device;
        let population = parameters.population();
        let layout = DeviceLayout::new(network, &gpu.profile);
        require_residents(&layout, &gpu.profile, true)?;
        let size = group_size(network, &gpu.profile, &first_work(network, population));
        let groups = split(0..population, size)
            .map(|networks| {
                let residents =
                    Residents::new(device, &layout, &parameters.slice(networks.clone()), true)?;
                let settings: Vec<_> = optimisers[networks.clone()]
                    .iter()
                    .map(Settings::new)
                    .collect();
                device.write(residents.get(Resident::Settings), &settings);
                let fresh = State {
                    updates: 0,
                    failed: NONE,
                    failed_at: 0,
                    scale: 1.0,
                };
                device.write(
                    residents.get(Resident::States),
                    &vec![fresh; networks.len()],
                );
                Ok(Group {
                    networks,
                    layout: layout.clone(),
                    residents,
                    loaded: None,
                    pace: Pace::new(1, 1),
                })
            })
            .collect::<Result<_>>()?;
        Ok(Self {
            network: network.clone(),
            parameters: parameters.clone(),
            groups,
            gpu: gpu.clone(),
            meta_steps: 0,
            batch: 0,
        })
    }

    /// Splits groups that are too large for the buffers of `work`, the whole population's.
    fn fit(&mut self, work: &Work) -> Result<()> {
        let size = group_size(&self.network, &self.gpu.profile, work);
        if self.groups.iter().all(|group| group.networks.len() <= size) {
            return Ok(());
        }
        let mut groups = Vec::new();
        for group in &self.groups {
            let start = group.networks.start;
            for networks in split(group.networks.clone(), size) {
                let residents = group.residents.part(
                    &self.gpu.device,
                    &group.layout,
                    group.networks.len(),
                    networks.start - start..networks.end - start,
                )?;
                groups.push(Group {
                    networks,
                    layout: group.layout.clone(),
                    residents,
                    loaded: None,
                    pace: Pace::new(1, 1),
                });
            }
        }
        self.groups = groups;
        Ok(())
    }

    pub(crate) fn step(&mut self, episodes: &Episodes<f32>) -> Result<Vec<f32>> {
        episodes.check(&self.network, self.parameters.population())?;
        if !matches!(episodes.objective, Objective::Target { .. }) {
            return Err(Error::setting(
                "objective",
                "none, but a meta-step needs a target",
            ));
        }
        let population = self.parameters.population();
        let whole = Work {
            learn: true,
            ..work_of_episodes(&self.network, episodes, population, Want::default(), true)
        };
        self.fit(&whole)?;
        let mut losses = Vec::with_capacity(population);
        for group in &mut self.groups {
            let work = Work {
                networks: group.networks.len(),
                ..whole.clone()
            };
            let key = Key::Given {
                batch: work.batch,
                steps: work.steps,
                mask_per_episode: work.mask_per_episode,
                given: work.given.clone(),
            };
            let loaded = group.loaded(&self.gpu, &self.network, key, || work)?;
            let control = Control {
                first_meta_step: self.meta_steps,
                learn: 1,
                meta_steps: 1,
            };
            let (residents, networks) = (&group.residents, group.networks.clone());
            self.gpu
                .device
                .write(residents.get(Resident::Control), &[control]);
            let cleared = vec![Progress::default(); networks.len()];
            self.gpu
                .device
                .write(residents.get(Resident::Progress), &cleared);
            for cut in 0..loaded.plan.cuts.len() {
                let range = loaded.plan.cuts[cut].episodes.clone();
                upload(&loaded, &self.network, episodes, networks.clone(), range)?;
                let mut encoder = self
                    .gpu
                    .device
                    .device
                    .create_command_encoder(&Default::default());
                loaded.record_cut(&mut encoder, cut);
                if cut + 1 == loaded.plan.cuts.len() {
                    loaded.record_finish(&mut encoder);
                }
                let submission = self.gpu.device.submit(encoder.finish());
                self.gpu.device.wait(submission)?;
            }
            let progress = group.progress(&self.gpu, 1)?;
            losses.extend(progress.into_iter().map(|progress| progress.loss));
        }
        self.meta_steps += 1;
        self.batch = episodes.batch() as u64;
        Ok(losses)
    }

    pub(crate) fn apply(&mut self, gradients: &Parameters<f32>) -> Result<()> {
        self.parameters.require_same_shape("gradients", gradients)?;
        for group in &mut self.groups {
            let networks = group.networks.clone();
            let work = Work {
                networks: networks.len(),
                batch: 1,
                steps: 1,
                gradient: true,
                input_gradient: false,
                final_traces: false,
                has_target: false,
                mask_per_episode: false,
                given: vec![(false, false); self.network.layers().len()],
                task: None,
                learn: true,
            };
            let values = packed(&group.layout, &gradients.slice(networks));
            let loaded = group.loaded(&self.gpu, &self.network, Key::Apply, || work)?;
            let control = Control {
                first_meta_step: self.meta_steps,
                learn: 1,
                meta_steps: 1,
            };
            self.gpu
                .device
                .write(group.residents.get(Resident::Control), &[control]);
            self.gpu
                .device
                .write(group.residents.get(Resident::Gradients), &values);
            let mut encoder = self
                .gpu
                .device
                .device
                .create_command_encoder(&Default::default());
            encoder.clear_buffer(loaded.buffer(Working::Losses), 0, None);
            encoder.clear_buffer(group.residents.get(Resident::Progress), 0, None);
            loaded.record_finish(&mut encoder);
            let submission = self.gpu.device.submit(encoder.finish());
            self.gpu.device.wait(submission)?;
            group.progress(&self.gpu, 1)?;
        }
        self.meta_steps += 1;
        self.batch = self.batch.max(1);
        Ok(())
    }

    pub(crate) fn run(
        &mut self,
        source: &EpisodeSource,
        since: u32,
        meta_steps: Range<u32>,
        learn: bool,
    ) -> Result<Vec<f64>> {
        source.check(&self.network)?;
        let task = source.task;
        let done = (meta_steps.end - since) as usize;
        let counted = (done * task.counted_steps()) as f64;
        let population = self.parameters.population();
        let whole = Work {
            gradient: learn,
            task: Some(task),
            learn,
            ..Work::training(&self.network, population, source.batch, task.steps())
        };
        self.fit(&whole)?;
        let mut errors = Vec::with_capacity(population);
        for group in &mut self.groups {
            let networks = group.networks.clone();
            let key = Key::Generated {
                source: source.clone(),
                learn,
            };
            let work = || Work {
                networks: networks.len(),
                ..whole.clone()
            };
            let loaded = group.loaded(&self.gpu, &self.network, key, work)?;
            if loaded.plan.fused.is_none() {
                let mask = task.mask().to_vec();
                for (segment, steps) in loaded.plan.segments.iter().enumerate() {
                    self.gpu
                        .device
                        .write(loaded.buffer(Working::Mask(segment)), &mask[steps.clone()]);
                }
            }
            let keys: Vec<_> = networks.clone().map(|index| source.key(index)).collect();
            let residents = &group.residents;
            self.gpu.device.write(residents.get(Resident::Keys), &keys);
            // Kernels count on from there by what the progress says is done.
            let control = Control {
                first_meta_step: since,
                learn: u32::from(learn),
                meta_steps: 1,
            };
            if meta_steps.start == since {
                let cleared = vec![Progress::default(); networks.len()];
                self.gpu
                    .device
                    .write(residents.get(Resident::Progress), &cleared);
            }
            let controls = residents.get(Resident::Control);
            run_meta_steps(
                &self.gpu,
                &loaded,
                &mut group.pace,
                (controls, control),
                meta_steps.len(),
            )?;
            let progress = group.progress(&self.gpu, done)?;
            let losses = progress.iter().map(|progress| f64::from(progress.loss));
            errors.extend(losses.map(|loss| loss / counted));
        }
        self.batch = source.batch as u64;
        Ok(errors)
    }

    pub(crate) fn parameters(&self) -> Result<Parameters<f32>> {
        let mut all = self.parameters.clone();
        let size = all.layout().size();
        for group in &self.groups {
            let mut values = self.parameters.slice(group.networks.clone());
            group.residents.read(
                &self.gpu.device,
                &group.layout,
                Resident::Parameters,
                &mut values,
            )?;
            let range = group.networks.start * size..group.networks.end * size;
            all.values_mut()[range].copy_from_slice(values.values());
        }
        Ok(all)
    }

    pub(crate) fn failures(&self) -> Result<Vec<Failure>> {
        let mut failures = Vec::new();
        for group in &self.groups {
            let count = group.networks.len();
            let states: Vec<State> = self
                .gpu
                .device
                .read(group.residents.get(Resident::States), count)?;
            for (network, state) in group.networks.clone().zip(states) {
                if state.failed != NONE {
                    failures.push(Failure {
                        network,
                        episode: u64::from(state.failed_at) * self.batch,
                        tensor: failed_tensor(self.parameters.layout(), state.failed),
                    });
                }
            }
        }
        Ok(failures)
    }
}

/// The name of what a failure code stands for.
fn failed_tensor(layout: &Layout, code: u32) -> String {
    match code.checked_sub(1) {
        None => "loss".to_owned(),
        Some(index) => format!("gradient.{}", layout.tensors()[index as usize].name()),
    }
}

impl Group {
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

    /// The plan for `key`, made if the last one was another.
    fn loaded(
        &mut self,
        gpu: &Gpu,
        network: &Network,
        key: Key,
        work: impl FnOnce() -> Work,
    ) -> Result<Arc<Loaded>> {
        if let Some((known, loaded)) = &self.loaded
            && *known == key
        {
            return Ok(loaded.clone());
        }
        // The old buffers go first.
        self.loaded = None;
        // An update alone has no episodes.
        let plan = match key {
            Key::Apply => Plan::separate(network, &gpu.profile, work())?,
            _ => Plan::new(network, &gpu.profile, work())?,
        };
        let loaded = Arc::new(Loaded::new(&gpu.device, &self.residents, plan)?);
        self.pace = Pace::of(gpu, network, &loaded);
        self.loaded = Some((key, loaded.clone()));
        Ok(loaded)
    }
}

/// Submits meta-steps, several to a submission, with two submissions in flight.
fn run_meta_steps(
    gpu: &Gpu,
    loaded: &Loaded,
    pace: &mut Pace,
    (controls, control): (&wgpu::Buffer, Control),
    meta_steps: usize,
) -> Result<()> {
    let device = &gpu.device;
    let fused = loaded.plan.fused;
    pace.last = None;
    device.write(controls, &[control]);
    let mut in_flight = None;
    let mut left = meta_steps;
    while left > 0 {
        let now = left.min(pace.meta_steps);
        let mut encoder = device.device.create_command_encoder(&Default::default());
        let mut recordings = now;
        if fused.is_some() {
            // Written before the submission, and after the ones before it.
            let control = Control {
                meta_steps: now as u32,
                ..control
            };
            device.write(controls, &[control]);
            recordings = 1;
        }
        for _ in 0..recordings {
            for cut in 0..loaded.plan.cuts.len() {
                loaded.record_cut(&mut encoder, cut);
            }
            loaded.record_finish(&mut encoder);
        }
        let submission = device.submit(encoder.finish());
        if let Some((earlier, count)) = in_flight.replace((submission, now)) {
            device.wait(earlier)?;
            pace.done(count, Instant::now());
        }
        left -= now;
    }
    match in_flight {
        Some((last, _)) => device.wait(last),
        None => Ok(()),
    }
}

/// How many meta-steps one submission has: as many as take 50 to 100 ms, at first by the profile's guess. Results do not
/// depend on it.
#[derive(Debug)]
struct Pace {
    meta_steps: usize,
    most: usize,
    /// When the last submission was done.
    last: Option<Instant>,
}

impl Pace {
    fn new(meta_steps: usize, most: usize) -> Self {
        Self {
            meta_steps,
            most,
            last: None,
        }
    }

    fn of(gpu: &Gpu, network: &Network, loaded: &Loaded) -> Self {
        if let Some(most) = loaded.plan.fused {
            return Self::new(most, most);
        }
        let work = &loaded.plan.work;
        let synapse_steps = work_of(network, work.networks, work.batch, work.steps);
        let by_work = (gpu.profile.submission_work / synapse_steps).max(1) as usize;
        let most = (DISPATCHES / loaded.dispatches()).max(1);
        Self::new(most.min(by_work), most)
    }

    /// A submission of `count` meta-steps was done; the one before it is what it had to wait for.
    fn done(&mut self, count: usize, now: Instant) {
        let took = self.last.replace(now).map(|last| now - last);
        // What was submitted at another pace tells nothing of this one.
        let Some(took) = took.filter(|_| count == self.meta_steps) else {
            return;
        };
        if took < Duration::from_millis(50) {
            self.meta_steps = (2 * count).min(self.most);
        } else if took > Duration::from_millis(100) {
            self.meta_steps = (count / 2).max(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn submissions_come_to_fifty_to_a_hundred_milliseconds() {
        for (microseconds, most, expected) in [
            (100, 4096, 512..=1000),
            (100, 64, 64..=64),
            (30_000, 4096, 2..=3),
            (400_000, 4096, 1..=1),
        ] {
            let mut pace = Pace::new(1, most);
            let mut now = Instant::now();
            for _ in 0..40 {
                let count = pace.meta_steps;
                now += Duration::from_micros(microseconds) * count as u32;
                pace.done(count, now);
            }
            assert!(expected.contains(&pace.meta_steps), "{}", pace.meta_steps);
            // The device grows slower, and faster again.
            for slower in [20, 1] {
                for _ in 0..40 {
                    let count = pace.meta_steps;
                    now += slower * Duration::from_micros(microseconds) * count as u32;
                    pace.done(count, now);
                }
                let took = slower * Duration::from_micros(microseconds) * pace.meta_steps as u32;
                let most = took <= Duration::from_millis(100) || pace.meta_steps == 1;
                let least = took >= Duration::from_millis(50) || pace.meta_steps == pace.most;
                assert!(most && least, "{took:?}");
            }
        }
    }
}
