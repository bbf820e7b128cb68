//! A population in training on the device: many meta-steps per submission, nothing read back but reports.

use super::arrays::Resident;
use super::cuts::{group_size, require_residents, split};
use super::engine::Gpu;
use super::group::{Group, Run};
use super::layout::DeviceLayout;
use super::state::NONE;
use super::stretch::Stretch;
use super::work::Work;
use crate::computation::{Failure, ObjectiveKind, Request, Want};
use crate::episodes::Episodes;
use crate::error::Result;
use crate::network::Network;
use crate::optimiser::Optimiser;
use crate::parameters::{Layout, Parameters};
use crate::tasks::EpisodeSource;
use std::ops::Range;

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

impl GpuLearner {
    pub(crate) fn new(
        gpu: &Gpu,
        network: &Network,
        parameters: &Parameters<f32>,
        optimisers: Vec<Optimiser>,
    ) -> Result<Self> {
        let population = parameters.population();
        let layout = DeviceLayout::new(network, &gpu.profile);
        require_residents(&layout, &gpu.profile, true)?;
        let size = group_size(network, &gpu.profile, &Work::first(network, population));
        let groups = split(0..population, size)
            .map(|networks| Group::new(gpu, &layout, parameters, &optimisers, networks))
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

    /// `count` meta-steps were done.
    fn end(&mut self, count: u32) {
        self.stretch.next += count;
        self.under_way = false;
    }

    /// Splits groups that are too large for the buffers of `work`, the whole population's.
    fn fit(&mut self, work: &Work) -> Result<()> {
        let size = group_size(&self.network, &self.gpu.profile, work);
        if self.groups.iter().all(|group| group.networks.len() <= size) {
            return Ok(());
        }
        let mut groups = Vec::new();
        for group in &self.groups {
            groups.extend(group.split(&self.gpu, size)?);
        }
        self.groups = groups;
        Ok(())
    }

    pub(crate) fn step(&mut self, episodes: &Episodes<f32>) -> Result<Vec<f32>> {
        let population = self.parameters.population();
        let request = Request::on(&self.network, episodes, Want::NOTHING, true);
        let work = Work {
            is_meta_step: true,
            learn: true,
            ..Work::new(population, request)
        };
        self.fit(&work)?;
        let meta_step = self.begin(None, 1, episodes.batch())?;
        let mut losses = Vec::with_capacity(population);
        for group in &mut self.groups {
            let loaded = group.load(&self.gpu, &self.network, &work)?;
            self.under_way = true;
            losses.extend(group.step(&self.gpu, &loaded, episodes, meta_step)?);
        }
        self.end(1);
        Ok(losses)
    }

    pub(crate) fn apply(&mut self, gradients: &Parameters<f32>) -> Result<()> {
        let meta_step = self.begin(None, 1, 0)?;
        let mut work = Work::first(&self.network, self.parameters.population());
        // An update alone has no episodes.
        work.request.objective = ObjectiveKind::None;
        for group in &mut self.groups {
            let loaded = group.load(&self.gpu, &self.network, &work)?;
            self.under_way = true;
            group.apply(&self.gpu, &loaded, gradients, meta_step)?;
        }
        self.end(1);
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
        let population = self.parameters.population();
        let work = Work::on_task(&self.network, population, source.batch, task, learn);
        self.fit(&work)?;
        let count = meta_steps.end - meta_steps.start;
        self.begin(Some(meta_steps.start), count, source.batch)?;
        let counted = ((meta_steps.end - since) as usize * task.counted_steps()) as f64;
        let run = Run {
            source,
            since,
            meta_steps,
        };
        let mut errors = Vec::with_capacity(population);
        for group in &mut self.groups {
            let loaded = group.load(&self.gpu, &self.network, &work)?;
            self.under_way = true;
            let losses = group.run(&self.gpu, &loaded, &run)?.into_iter();
            errors.extend(losses.map(|loss| f64::from(loss) / counted));
        }
        self.end(count);
        Ok(errors)
    }

    /// Whether a call failed when it had begun to change something.
    pub(crate) fn is_under_way(&self) -> bool {
        self.under_way
    }

    pub(crate) fn parameters(&self) -> Result<Parameters<f32>> {
        let mut all = self.parameters.clone();
        for group in &self.groups {
            let networks = group.networks.clone();
            let (device, layout) = (&self.gpu.device, &group.layout);
            group
                .residents
                .read(device, layout, Resident::Parameters, networks, &mut all)?;
        }
        Ok(all)
    }

    pub(crate) fn failures(&self) -> Result<Vec<Failure>> {
        let mut failures = Vec::new();
        for group in &self.groups {
            for (network, state) in group.networks.clone().zip(group.states(&self.gpu)?) {
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
