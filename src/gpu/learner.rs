//! A population in training on the device: many meta-steps per submission, nothing read back but reports.

use super::Gpu;
use super::execute::{Loaded, ResidentBytes, Residents, packed};
use super::layout::DeviceLayout;
use super::plan::{Plan, Resident, Work, Working, group_size};
use super::sweep::{upload, work_of};
use crate::engine::{Failure, Want};
use crate::optimiser::{Method, Schedule};
use crate::task::EpisodeSource;
use crate::{Episodes, Error, Layout, Network, Objective, Optimiser, Parameters, Result};
use std::ops::Range;
use std::sync::Arc;

/// Dispatches of one submission at most.
const DISPATCHES: usize = 4096;

/// A failure code: nothing failed.
const NONE: u32 = u32::MAX;

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

/// `Control` of `shaders/learning.wgsl`.
#[derive(Clone, Copy, Debug, bytemuck::Pod, bytemuck::Zeroable)]
#[repr(C)]
struct Control {
    first_meta_step: u32,
    learn: u32,
    /// Of one dispatch, where one does whole meta-steps.
    meta_steps: u32,
}

/// `Progress` of `shaders/learning.wgsl`.
#[derive(Clone, Copy, Debug, Default, bytemuck::Pod, bytemuck::Zeroable)]
#[repr(C)]
struct Progress {
    meta_steps: u32,
    loss: f32,
}

/// `State` of `shaders/learning.wgsl`.
#[derive(Clone, Copy, Debug, bytemuck::Pod, bytemuck::Zeroable)]
#[repr(C)]
struct State {
    updates: u32,
    failed: u32,
    failed_at: u32,
    scale: f32,
}

/// `Settings` of `shaders/learning.wgsl`.
#[derive(Clone, Copy, Debug, Default, bytemuck::Pod, bytemuck::Zeroable)]
#[repr(C)]
struct Settings {
    method: u32,
    schedule: u32,
    learning_rate: f32,
    schedule_length: f32,
    schedule_factor: f32,
    max_step: f32,
    max_gradient_norm: f32,
    l1: f32,
    l2: f32,
    rate_min: f32,
    rate_max: f32,
    plasticity_min: f32,
    plasticity_max: f32,
    first: f32,
    second: f32,
    epsilon: f32,
    first_log: f32,
    second_log: f32,
}

/// What training needs on the device beyond the parameters and their moments.
pub(super) const LEARNING: ResidentBytes = ResidentBytes {
    settings: size_of::<Settings>() as u64,
    states: size_of::<State>() as u64,
    progress: size_of::<Progress>() as u64,
    control: size_of::<Control>() as u64,
};

impl Settings {
    fn new(optimiser: &Optimiser) -> Self {
        // Shaders have no infinities: the largest float stands for "no bound".
        let bound = |value: f64| (value as f32).clamp(f32::MIN, f32::MAX);
        let largest = |value: Option<f64>| bound(value.unwrap_or(f64::INFINITY));
        let [plasticity_min, plasticity_max] = optimiser.plasticity_bounds().map(bound);
        let [rate_min, rate_max] = optimiser.rate_bounds.map(bound);
        let (schedule, schedule_length, schedule_factor) = match optimiser.schedule {
            Schedule::Constant => (0, 1.0, 1.0),
            Schedule::Cosine { updates, floor } => (1, updates as f32, floor as f32),
            Schedule::Step { every, factor } => (2, every as f32, factor as f32),
        };
        let common = Self {
            schedule,
            schedule_length,
            schedule_factor,
            learning_rate: optimiser.learning_rate as f32,
            max_step: largest(optimiser.max_step),
            max_gradient_norm: largest(optimiser.max_gradient_norm),
            l1: optimiser.l1 as f32,
            l2: optimiser.l2 as f32,
            rate_min,
            rate_max,
            plasticity_min,
            plasticity_max,
            ..Self::default()
        };
        match optimiser.method {
            Method::Rmsprop { mean_rate, epsilon } => Self {
                method: 0,
                first: mean_rate as f32,
                epsilon: epsilon as f32,
                ..common
            },
            Method::Sgd { momentum } => Self {
                method: 1,
                first: momentum as f32,
                ..common
            },
            Method::Adam {
                beta1,
                beta2,
                epsilon,
            } => Self {
                method: 2,
                first: (1.0 - beta1) as f32,
                second: (1.0 - beta2) as f32,
                epsilon: epsilon as f32,
                first_log: bound(beta1.ln()),
                second_log: bound(beta2.ln()),
                ..common
            },
        }
    }
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
        let smallest = Work::training(network, population, 1, 1);
        let size = group_size(network, &gpu.profile, &smallest);
        let layout = DeviceLayout::new(network, &gpu.profile);
        let groups = (0..population)
            .step_by(size)
            .map(|first| {
                let networks = first..(first + size).min(population);
                let residents = Residents::new(
                    device,
                    &layout,
                    &parameters.slice(networks.clone()),
                    Some(&LEARNING),
                )?;
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
            let Range { start, end } = group.networks;
            for first in (start..end).step_by(size) {
                let networks = first..(first + size).min(end);
                let residents = group.residents.part(
                    &self.gpu.device,
                    &group.layout,
                    group.networks.len(),
                    networks.start - start..networks.end - start,
                    &LEARNING,
                )?;
                groups.push(Group {
                    networks,
                    layout: group.layout.clone(),
                    residents,
                    loaded: None,
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
            ..work_of(&self.network, episodes, population, Want::default(), true)
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
            let (device, count) = (&self.gpu.device, networks.len());
            if loaded.plan.fused.is_some() {
                let progress = device.read::<Progress>(residents.get(Resident::Progress), count)?;
                losses.extend(progress.into_iter().map(|progress| progress.loss));
            } else {
                losses.extend(device.read::<f32>(residents.get(Resident::StepLosses), count)?);
            }
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
        }
        self.meta_steps += 1;
        self.batch = self.batch.max(1);
        Ok(())
    }

    pub(crate) fn run(
        &mut self,
        source: &EpisodeSource,
        meta_steps: Range<u32>,
        learn: bool,
    ) -> Result<Vec<f64>> {
        source.check(&self.network)?;
        let task = source.task;
        let counted = (meta_steps.len() * task.counted_steps()) as f64;
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
            let control = Control {
                first_meta_step: meta_steps.start,
                learn: u32::from(learn),
                meta_steps: 1,
            };
            let cleared = vec![Progress::default(); networks.len()];
            self.gpu
                .device
                .write(residents.get(Resident::Progress), &cleared);
            let controls = residents.get(Resident::Control);
            run_meta_steps(
                &self.gpu,
                &self.network,
                &loaded,
                (controls, control),
                meta_steps.len(),
            )?;
            let progress: Vec<Progress> = self
                .gpu
                .device
                .read(residents.get(Resident::Progress), networks.len())?;
            for progress in progress {
                // A driver that drops a submission in silence leaves the count behind.
                if progress.meta_steps as usize != meta_steps.len() {
                    return Err(Error::DeviceLost {
                        device: self.gpu.device.name.clone(),
                        reason: format!(
                            "{} of {} meta-steps were run",
                            progress.meta_steps,
                            meta_steps.len()
                        ),
                    });
                }
                errors.push(f64::from(progress.loss) / counted);
            }
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
        self.loaded = Some((key, loaded.clone()));
        Ok(loaded)
    }
}

/// Submits meta-steps, several to a submission, with two submissions in flight.
fn run_meta_steps(
    gpu: &Gpu,
    network: &Network,
    loaded: &Loaded,
    (controls, control): (&wgpu::Buffer, Control),
    meta_steps: usize,
) -> Result<()> {
    let work = &loaded.plan.work;
    let synapse_steps =
        (work.networks * work.batch * work.steps * network.synapses().max(1)) as u64;
    let device = &gpu.device;
    let by_work = (gpu.profile.submission_work / synapse_steps.max(1)).max(1) as usize;
    let fused = loaded.plan.fused;
    let per_submission =
        fused.unwrap_or_else(|| (DISPATCHES / loaded.dispatches()).clamp(1, by_work));
    device.write(controls, &[control]);
    let mut in_flight = None;
    let mut left = meta_steps;
    while left > 0 {
        let now = left.min(per_submission);
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
        if let Some(earlier) = in_flight.replace(submission) {
            device.wait(earlier)?;
        }
        left -= now;
    }
    match in_flight {
        Some(last) => device.wait(last),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gpu::profile::Profile;
    use crate::gpu::render::Renderer;

    /// The structs of the shaders have the sizes of the host's.
    #[test]
    fn structs_agree_with_the_shaders() {
        let network = Network::new(
            crate::Loss::SquaredError,
            [crate::Layer::dense(3, 2, crate::Activation::Linear)],
        )
        .unwrap();
        let profile = Profile::default();
        let layout = DeviceLayout::new(&network, &profile);
        let source = Renderer::new(&profile).check(&layout).unwrap().source;
        let module = naga::front::wgsl::parse_str(&source).unwrap();
        let sizes = [
            ("Control", size_of::<Control>()),
            ("Progress", size_of::<Progress>()),
            ("State", size_of::<State>()),
            ("Settings", size_of::<Settings>()),
        ];
        for (name, size) in sizes {
            let (_, found) = module
                .types
                .iter()
                .find(|(_, ty)| ty.name.as_deref() == Some(name))
                .unwrap();
            assert_eq!(found.inner.size(module.to_ctx()) as usize, size, "{name}");
        }
    }
}
