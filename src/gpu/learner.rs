//! A population in training on the device: many meta-steps per submission, nothing read back but reports.

use super::Gpu;
use super::execute::{Loaded, Residents, packed};
use super::layout::DeviceLayout;
use super::plan::{Plan, Work, Working, group_size, require_residents, split, work_of};
use super::resident::{Control, NONE, Progress, Resident, State, optimiser_bytes};
use super::sweep::{upload, work_of as work_of_episodes};
use crate::computation::{Failure, Want};
use crate::episodes::Episodes;
use crate::error::{Error, Result};
use crate::network::Network;
use crate::optimiser::Optimiser;
use crate::parameters::{Layout, Parameters};
use crate::tasks::{EpisodeSource, TaskKernel, mask};
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
    stretch: Stretch,
    /// A call has begun to change networks, and not come to its end.
    under_way: bool,
    /// Failures of earlier stretches.
    known: Vec<Failure>,
}

/// Meta-steps whose numbers follow each other, with batches of one size: what the device's numbers say about episodes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Stretch {
    /// The number of the first.
    first: u32,
    /// The number after the last.
    next: u32,
    /// Episodes that each network had seen before the first.
    episodes: u64,
    /// Episodes of each network in a meta-step; 0 for updates with the caller's gradients.
    batch: u64,
}

impl Stretch {
    /// Episodes that each network had seen before meta-step `number`.
    fn episodes_before(&self, number: u32) -> u64 {
        self.episodes + u64::from(number - self.first) * self.batch
    }

    /// The stretch that `count` meta-steps of `batch` episodes belong to, from number `first` on; where their numbers are of
    /// no account, they go on.
    fn with(self, first: Option<u32>, count: u32, batch: u64) -> Self {
        let first = first.unwrap_or(self.next);
        // Numbers may come to an end.
        let first = first.checked_add(count).map_or(0, |_| first);
        if (first, batch) == (self.next, self.batch) {
            return self;
        }
        Self {
            first,
            next: first,
            episodes: self.episodes_before(self.next),
            batch,
        }
    }
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
        learn: bool,
    },
    Generated {
        task: TaskKernel,
        batch: usize,
        steps: usize,
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
                let settings: Vec<u8> = optimisers[networks.clone()]
                    .iter()
                    .flat_map(|optimiser| optimiser_bytes(optimiser, parameters.layout()))
                    .collect();
                device.write(residents.get(Resident::Settings), &settings)?;
                let fresh = State {
                    updates: 0,
                    failed: NONE,
                    failed_at: 0,
                    scale: 1.0,
                };
                device.write(
                    residents.get(Resident::States),
                    &vec![fresh; networks.len()],
                )?;
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
            stretch: Stretch::default(),
            under_way: false,
            known: Vec::new(),
        })
    }

    /// Makes ready for `count` meta-steps of `batch` episodes and returns the number of the first: `first`, or any. They are
    /// done when `stretch.next` says so.
    fn begin(&mut self, first: Option<u32>, count: u32, batch: usize) -> Result<u32> {
        let stretch = self.stretch.with(first, count, batch as u64);
        if stretch != self.stretch {
            self.known = self.failures()?;
            self.stretch = stretch;
        }
        Ok(stretch.next)
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
        let population = self.parameters.population();
        let whole = Work {
            learn: true,
            ..work_of_episodes(&self.network, episodes, population, Want::NOTHING, true)
        };
        self.fit(&whole)?;
        let first_meta_step = self.begin(None, 1, episodes.batch())?;
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
                learn: true,
            };
            let loaded = group.loaded(&self.gpu, &self.network, key, || work)?;
            self.under_way = true;
            let control = Control {
                first_meta_step,
                learn: 1,
                meta_steps: 1,
            };
            let (residents, networks) = (&group.residents, group.networks.clone());
            let device = &self.gpu.device;
            device.write(residents.get(Resident::Control), &[control])?;
            let cleared = vec![Progress::default(); networks.len()];
            device.write(residents.get(Resident::Progress), &cleared)?;
            run_given(&self.gpu, &loaded, &self.network, episodes, networks)?;
            let progress = group.progress(&self.gpu, 1)?;
            losses.extend(progress.into_iter().map(|progress| progress.loss));
        }
        self.stretch.next += 1;
        self.under_way = false;
        Ok(losses)
    }

    pub(crate) fn apply(&mut self, gradients: &Parameters<f32>) -> Result<()> {
        let first_meta_step = self.begin(None, 1, 0)?;
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
                is_meta_step: true,
                learn: true,
            };
            let values = packed(&group.layout, &gradients.slice(networks));
            let loaded = group.loaded(&self.gpu, &self.network, Key::Apply, || work)?;
            self.under_way = true;
            let control = Control {
                first_meta_step,
                learn: 1,
                meta_steps: 1,
            };
            let device = &self.gpu.device;
            device.write(group.residents.get(Resident::Control), &[control])?;
            device.write(group.residents.get(Resident::Gradients), &values)?;
            let submission = device.submit(|encoder| {
                encoder.clear_buffer(loaded.buffer(Working::Losses), 0, None);
                encoder.clear_buffer(group.residents.get(Resident::Progress), 0, None);
                loaded.record_finish(encoder);
            })?;
            device.wait(submission)?;
            group.progress(&self.gpu, 1)?;
        }
        self.stretch.next += 1;
        self.under_way = false;
        Ok(())
    }

    pub(crate) fn run(
        &mut self,
        source: &EpisodeSource,
        since: u32,
        meta_steps: Range<u32>,
        learn: bool,
    ) -> Result<Vec<f64>> {
        let task = &*source.task;
        let kernel = task.kernel();
        let done = (meta_steps.end - since) as usize;
        let counted = (done * task.counted_steps()) as f64;
        let population = self.parameters.population();
        let whole = Work {
            gradient: learn,
            task: kernel.clone(),
            learn,
            ..Work::training(&self.network, population, source.batch, task.steps())
        };
        self.fit(&whole)?;
        let count = meta_steps.end - meta_steps.start;
        self.begin(Some(meta_steps.start), count, source.batch)?;
        let mut errors = Vec::with_capacity(population);
        for group in &mut self.groups {
            let networks = group.networks.clone();
            let (batch, steps) = (whole.batch, whole.steps);
            let key = match kernel.clone() {
                Some(task) => Key::Generated {
                    task,
                    batch,
                    steps,
                    learn,
                },
                None => Key::Given {
                    batch,
                    steps,
                    mask_per_episode: false,
                    given: whole.given.clone(),
                    learn,
                },
            };
            let work = || Work {
                networks: networks.len(),
                ..whole.clone()
            };
            let loaded = group.loaded(&self.gpu, &self.network, key, work)?;
            self.under_way = true;
            if kernel.is_some() && loaded.plan.fused.is_none() {
                let mask = mask(task).to_vec();
                for (segment, steps) in loaded.plan.segments.iter().enumerate() {
                    let mask = &mask[steps.clone()];
                    let buffer = loaded.buffer(Working::Mask(segment));
                    self.gpu.device.write(buffer, mask)?;
                }
            }
            let keys: Vec<_> = networks.clone().map(|index| source.key(index)).collect();
            let residents = &group.residents;
            let device = &self.gpu.device;
            device.write(residents.get(Resident::Keys), &keys)?;
            // Kernels count on from there by what the progress says is done.
            let control = Control {
                first_meta_step: since,
                learn: u32::from(learn),
                meta_steps: 1,
            };
            if meta_steps.start == since {
                let cleared = vec![Progress::default(); networks.len()];
                device.write(residents.get(Resident::Progress), &cleared)?;
            }
            let controls = residents.get(Resident::Control);
            if kernel.is_some() {
                run_meta_steps(
                    &self.gpu,
                    &loaded,
                    &mut group.pace,
                    (controls, control),
                    meta_steps.len(),
                )?;
            } else {
                device.write(controls, &[control])?;
                let all = 0..networks.len();
                for meta_step in meta_steps.clone() {
                    let episodes = source.episodes_of(networks.clone(), meta_step)?;
                    run_given(&self.gpu, &loaded, &self.network, &episodes, all.clone())?;
                }
            }
            let progress = group.progress(&self.gpu, done)?;
            let losses = progress.iter().map(|progress| f64::from(progress.loss));
            errors.extend(losses.map(|loss| loss / counted));
        }
        self.stretch.next += count;
        self.under_way = false;
        Ok(errors)
    }

    /// Whether a call failed when it had begun to change something.
    pub(crate) fn is_under_way(&self) -> bool {
        self.under_way
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
                if state.failed == NONE {
                    continue;
                }
                let known = self.known.iter().find(|known| known.network == network);
                failures.push(known.cloned().unwrap_or_else(|| Failure {
                    network,
                    episode: self.stretch.episodes_before(state.failed_at),
                    tensor: failed_tensor(self.parameters.layout(), state.failed),
                }));
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

/// One meta-step of a group on episodes from the host; `networks` is where the group's lie among them.
fn run_given(
    gpu: &Gpu,
    loaded: &Loaded,
    network: &Network,
    episodes: &Episodes<f32>,
    networks: Range<usize>,
) -> Result<()> {
    let cuts = &loaded.plan.cuts;
    for (cut, part) in cuts.iter().enumerate() {
        upload(
            loaded,
            network,
            episodes,
            networks.clone(),
            part.episodes.clone(),
        )?;
        let submission = gpu.device.submit(|encoder| {
            loaded.record_cut(encoder, cut);
            if cut + 1 == cuts.len() {
                loaded.record_finish(encoder);
            }
        })?;
        gpu.device.wait(submission)?;
    }
    Ok(())
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
    device.write(controls, &[control])?;
    let mut in_flight = None;
    let mut left = meta_steps;
    while left > 0 {
        let now = left.min(pace.meta_steps);
        let mut recordings = now;
        if fused.is_some() {
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
    fn stretches_count_episodes() {
        let mut stretch = Stretch::default();
        let mut go = |first, count, batch| {
            let before = stretch;
            stretch = stretch.with(first, count, batch);
            let (number, is_new) = (stretch.next, stretch != before);
            stretch.next += count;
            (number, is_new, stretch.episodes_before(number))
        };
        assert_eq!(go(None, 1, 3), (0, true, 0));
        assert_eq!(go(None, 1, 3), (1, false, 3));
        assert_eq!(go(None, 1, 0), (2, true, 6));
        assert_eq!(go(None, 1, 5), (3, true, 6));
        // A task's episodes have numbers of their own.
        assert_eq!(go(Some(100), 10, 5), (100, true, 11));
        assert_eq!(go(Some(110), 10, 5), (110, false, 61));
        assert_eq!(go(Some(110), 10, 5), (110, true, 111));
        assert_eq!(go(Some(u32::MAX - 1), 1, 5), (u32::MAX - 1, true, 161));
        assert_eq!(go(None, 1, 5), (0, true, 166));
    }

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
