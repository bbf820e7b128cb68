//! A population in training on the device: many meta-steps per submission, nothing read back but reports.

use super::cuts::{group_size, require_residents};
use super::device::Device;
use super::engine::Gpu;
use super::execute::{Copies, Loaded};
use super::group::{Group, InFlight, Run};
use super::layout::DeviceLayout;
use super::population::Population;
use super::profile::Profile;
use super::work::Work;
use crate::computation::{Held, LearnerBackend, ObjectiveKind, PopulationBackend, Request};
use crate::episodes::Episodes;
use crate::error::{Error, Result};
use crate::network::Network;
use crate::optimiser::Optimiser;
use crate::parameters::Parameters;
use crate::tasks::EpisodeSource;
use crate::zip::zip_eq;
use std::ops::Range;
use std::sync::Arc;

/// Meta-steps on the caller's batches at most whose losses are summed on the device.
const MOST_BATCHES: u32 = 1 << 16;

/// A population in training on the GPU engine.
#[derive(Debug)]
pub(crate) struct GpuLearner {
    network: Network,
    population: Population,
}

/// Episodes that are kept on the device.
#[derive(Debug)]
struct HeldBatch {
    device: Arc<Device>,
    profile: Profile,
    work: Work,
    /// Of each group its networks, and of each cut what it takes of the episodes.
    groups: Vec<(Range<usize>, Vec<Copies>)>,
}

/// Meta-steps under way on the caller's batches, all of one kind.
#[derive(Debug)]
struct Batches {
    work: Work,
    /// Of each group, as the next.
    loaded: Vec<Arc<Loaded>>,
    in_flight: Vec<InFlight>,
    /// How many there were.
    count: u32,
}

impl GpuLearner {
    pub(crate) fn new(
        gpu: &Gpu,
        network: &Network,
        parameters: &Parameters<f32>,
        optimisers: Vec<Optimiser>,
    ) -> Result<Self> {
        let layout = DeviceLayout::new(network, &gpu.profile);
        require_residents(&layout, &gpu.profile, true)?;
        let work = Work::first(network, parameters.population());
        let size = group_size(network, &gpu.profile, &work);
        Ok(Self {
            network: network.clone(),
            population: Population::new(gpu, &layout, parameters, Some(&optimisers), size)?,
        })
    }

    /// Splits groups that are too large for the buffers of `work`, the whole population's.
    fn fit(&mut self, work: &Work) -> Result<()> {
        let profile = &self.population.gpu.profile;
        let size = group_size(&self.network, profile, work);
        self.population.split(size)
    }

    /// A meta-step on the caller's episodes.
    fn work_on(&self, episodes: &Episodes<'_, f32>) -> Work {
        let request = Request::meta_step(&self.network, episodes);
        Work {
            is_meta_step: true,
            learn: true,
            ..Work::new(self.population.size(), request)
        }
    }

    /// Begins meta-steps of one kind.
    fn begin(&mut self, work: Work) -> Result<Batches> {
        self.fit(&work)?;
        let loaded = self.population.load(&self.network, &work)?;
        let first = self
            .population
            .begin(None, MOST_BATCHES, work.request.batch)?;
        let (gpu, groups) = self.population.change();
        for group in groups.iter() {
            group.begin(gpu, first)?;
        }
        Ok(Batches {
            in_flight: groups.iter().map(|_| InFlight::default()).collect(),
            work,
            loaded,
            count: 0,
        })
    }

    /// One more; `step` does it for a group, of which it gets the number, too.
    fn go_on(
        &self,
        batches: &mut Batches,
        step: impl Fn(usize, &Group, &Loaded, &mut InFlight) -> Result<()>,
    ) -> Result<()> {
        let groups = self.population.groups.iter().enumerate();
        for ((index, group), in_flight) in groups.zip(&mut batches.in_flight) {
            step(index, group, &batches.loaded[index], in_flight)?;
        }
        batches.count += 1;
        Ok(())
    }

    /// They are done; returns the sum of each network's losses.
    fn end(&mut self, mut batches: Batches) -> Result<Vec<f32>> {
        let gpu = &self.population.gpu;
        let mut losses = Vec::with_capacity(self.population.size());
        for (group, in_flight) in self.population.groups.iter().zip(&mut batches.in_flight) {
            in_flight.finish(&gpu.device)?;
            losses.extend(group.losses(gpu, batches.count as usize)?);
        }
        self.population.end(batches.count);
        Ok(losses)
    }
}

impl LearnerBackend<f32> for GpuLearner {
    fn population(&self) -> &dyn PopulationBackend<f32> {
        &self.population
    }

    fn population_mut(&mut self) -> &mut dyn PopulationBackend<f32> {
        &mut self.population
    }

    fn step(&mut self, episodes: &Episodes<'_, f32>) -> Result<Vec<f32>> {
        let mut batches = self.begin(self.work_on(episodes))?;
        let gpu = &self.population.gpu;
        self.go_on(&mut batches, |_, group, loaded, in_flight| {
            group.step(gpu, loaded, in_flight, episodes)
        })?;
        self.end(batches)
    }

    /// The host makes the next batch ready while the device computes.
    fn steps(&mut self, all: &mut dyn Iterator<Item = Episodes<'_, f32>>) -> Result<Vec<f64>> {
        let mut sums = vec![0.0; self.population.size()];
        let mut add = |losses: Vec<f32>| {
            for (sum, loss) in zip_eq(&mut sums, losses) {
                *sum += f64::from(loss);
            }
        };
        let mut under_way: Option<Batches> = None;
        for episodes in all {
            let work = self.work_on(&episodes);
            let mut batches = match under_way.take() {
                Some(batches) if batches.work == work && batches.count < MOST_BATCHES => batches,
                other => {
                    if let Some(batches) = other {
                        add(self.end(batches)?);
                    }
                    self.begin(work)?
                }
            };
            let gpu = &self.population.gpu;
            self.go_on(&mut batches, |_, group, loaded, in_flight| {
                group.step(gpu, loaded, in_flight, &episodes)
            })?;
            under_way = Some(batches);
        }
        if let Some(batches) = under_way {
            add(self.end(batches)?);
        }
        Ok(sums)
    }

    fn hold(&mut self, episodes: &Episodes<'_, f32>) -> Result<Held> {
        let work = self.work_on(episodes);
        self.fit(&work)?;
        let loaded = self.population.load(&self.network, &work)?;
        let groups = self.population.groups.iter().zip(&loaded);
        let groups = groups
            .map(|(group, loaded)| Ok((group.networks.clone(), group.hold(loaded, episodes)?)))
            .collect::<Result<_>>()?;
        let device = &self.population.gpu.device;
        device.check()?;
        Ok(Held(Box::new(HeldBatch {
            device: device.clone(),
            profile: self.population.gpu.profile.clone(),
            work,
            groups,
        })))
    }

    fn step_on(&mut self, held: &Held) -> Result<Vec<f32>> {
        let Some(held) = held.0.downcast_ref::<HeldBatch>() else {
            return Err(Error::setting("episodes", "held on another engine"));
        };
        let gpu = self.population.gpu.clone();
        let groups = self.population.groups.iter();
        let groups = groups.map(|group| &group.networks);
        let is_for_this = Arc::ptr_eq(&held.device, &gpu.device)
            && held.profile == gpu.profile
            && groups.eq(held.groups.iter().map(|(networks, _)| networks));
        if !is_for_this {
            return Err(Error::setting(
                "episodes",
                "held for another learner, or for groups of networks that have been split since: hold them again",
            ));
        }
        let mut batches = self.begin(held.work.clone())?;
        self.go_on(&mut batches, |index, group, loaded, in_flight| {
            group.step_on(&gpu, loaded, in_flight, &held.groups[index].1)
        })?;
        self.end(batches)
    }

    fn apply(&mut self, gradients: &Parameters<f32>) -> Result<()> {
        let mut work = Work::first(&self.network, self.population.size());
        // An update alone has no episodes.
        work.request.objective = ObjectiveKind::None;
        let loaded = self.population.load(&self.network, &work)?;
        self.population.apply(gradients, &loaded)
    }

    fn run(
        &mut self,
        source: &EpisodeSource,
        since: u32,
        meta_steps: Range<u32>,
        learn: bool,
    ) -> Result<Vec<f64>> {
        let task = &*source.task;
        let work = Work::on_task(
            &self.network,
            self.population.size(),
            source.batch,
            task,
            learn,
        );
        self.fit(&work)?;
        let count = meta_steps.end - meta_steps.start;
        self.population
            .begin(Some(meta_steps.start), count, source.batch)?;
        let loaded = self.population.load(&self.network, &work)?;
        let counted = source.counted_steps(self.population.size(), since..meta_steps.end);
        let run = Run {
            source,
            since,
            meta_steps,
        };
        let mut losses = Vec::with_capacity(self.population.size());
        let (gpu, groups) = self.population.change();
        for (group, loaded) in groups.iter_mut().zip(&loaded) {
            losses.extend(group.run(gpu, loaded, &run)?);
        }
        self.population.end(count);
        Ok(zip_eq(losses, counted)
            .map(|(loss, counted)| f64::from(loss) / counted)
            .collect())
    }
}
