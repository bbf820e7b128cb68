//! Writes down the dispatches of a plan, and renders each kernel once.

use super::arrays::Array;
use super::extent::Extent;
use super::kernel::Kernel;
use super::profile::Profile;
use super::render::Renderer;
use super::stages::{Purpose, Stage, Stages};
use crate::computation::EPISODE_BLOCK;
use crate::error::{Error, Result};
use std::collections::HashMap;
use std::ops::Range;

/// One kernel's run over some of the work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Dispatch {
    pub purpose: Purpose,
    /// Index among the plan's kernels.
    pub kernel: usize,
    /// In the order of the kernel's bindings.
    pub arrays: Vec<Array>,
    pub extent: Extent,
    /// Workgroups along two axes.
    pub workgroups: [u32; 2],
}

/// A part of the batch that is computed at once.
#[derive(Clone, Debug)]
pub(super) struct Cut {
    pub episodes: Range<usize>,
    /// From the episodes to the outputs and losses.
    pub forward: Vec<Dispatch>,
    /// From the gradient on the outputs to all others.
    pub backward: Vec<Dispatch>,
}

impl Cut {
    /// Every dispatch, in order.
    pub fn dispatches(&self) -> impl Iterator<Item = &Dispatch> {
        self.forward.iter().chain(&self.backward)
    }
}

/// The dispatches of a plan so far, and their kernels.
#[derive(Debug)]
pub(super) struct Recorder<'a> {
    stages: &'a Stages<'a>,
    segments: &'a [Range<usize>],
    renderer: Renderer,
    workgroups: u32,
    pub kernels: Vec<Kernel>,
    /// Where each of them is, so that time grows with the layers and not with their square.
    known: HashMap<Kernel, usize>,
    rendered: HashMap<Purpose, usize>,
}

impl<'a> Recorder<'a> {
    pub fn new(stages: &'a Stages<'a>, segments: &'a [Range<usize>], profile: &Profile) -> Self {
        Self {
            stages,
            segments,
            renderer: Renderer::new(profile),
            workgroups: profile.workgroups,
            kernels: Vec::new(),
            known: HashMap::new(),
            rendered: HashMap::new(),
        }
    }

    /// Takes a kernel that is rendered already.
    pub fn take(&mut self, purpose: Purpose, kernel: Kernel) {
        let next = self.kernels.len();
        let index = *self.known.entry(kernel.clone()).or_insert(next);
        if index == next {
            self.kernels.push(kernel);
        }
        self.rendered.insert(purpose, index);
    }

    /// The index of a kernel, rendered the first time.
    fn kernel(&mut self, purpose: Purpose) -> Result<usize> {
        if !self.rendered.contains_key(&purpose) {
            let kernel = self.renderer.kernel(self.stages, purpose)?;
            self.take(purpose, kernel);
        }
        Ok(self.rendered[&purpose])
    }

    /// One dispatch, of `items` rows or elements, in a segment.
    fn dispatch(
        &mut self,
        purpose: Purpose,
        segment: usize,
        items: usize,
        extent: Extent,
    ) -> Result<Dispatch> {
        let index = self.kernel(purpose)?;
        let kernel = &self.kernels[index];
        let groups = items.div_ceil(kernel.items) as u64;
        let rows = groups.div_ceil(u64::from(self.workgroups)).max(1);
        let bindings = kernel.bindings.iter();
        let arrays = bindings.map(|binding| self.stages.array(purpose, binding.slot, segment));
        Ok(Dispatch {
            purpose,
            kernel: index,
            arrays: arrays.collect(),
            extent,
            workgroups: [groups.div_ceil(rows) as u32, rows as u32],
        })
    }

    /// The dispatches for `episodes` of the batch.
    pub fn cut(&mut self, episodes: Range<usize>) -> Result<Cut> {
        let stages = self.stages;
        let all = 0..self.segments.len();
        let mut forward = Vec::new();
        for segment in all.clone() {
            if let Some(purpose) = stages.prepare() {
                forward.push(self.of_segment(purpose, &episodes, segment)?);
            }
        }
        for segment in all.clone() {
            for stage in stages.forward() {
                self.stage(&stage, &episodes, segment, &mut forward)?;
            }
        }
        let mut backward = Vec::new();
        for segment in all.rev() {
            for stage in stages.backward() {
                self.stage(&stage, &episodes, segment, &mut backward)?;
            }
        }
        let ends_block = episodes.end.is_multiple_of(EPISODE_BLOCK);
        if ends_block || episodes.end == stages.work.request.batch {
            for purpose in stages.reduce() {
                backward.push(self.of_segment(purpose, &episodes, 0)?);
            }
        }
        Ok(Cut {
            episodes,
            forward,
            backward,
        })
    }

    /// Appends the dispatches of a stage.
    fn stage(
        &mut self,
        stage: &Stage,
        episodes: &Range<usize>,
        segment: usize,
        to: &mut Vec<Dispatch>,
    ) -> Result<()> {
        let steps = self.segments[segment].len();
        let mut at = |purpose: Purpose, step: usize| {
            let mut dispatch = self.of_segment(purpose, episodes, segment)?;
            dispatch.extent.step = step as u32;
            if let Stage::EachPieceBack { apart, .. } = stage {
                dispatch.extent.until = (step + apart).min(steps) as u32;
            }
            to.push(dispatch);
            Ok::<_, Error>(())
        };
        match stage {
            Stage::Once(purpose) => at(*purpose, 0),
            Stage::AtEnd(purpose) => at(*purpose, steps - 1),
            Stage::AtBeginning(purpose) if segment == 0 => {
                at(*purpose, 0)?;
                // Its sums are of the whole episode.
                let within_block = !episodes.start.is_multiple_of(EPISODE_BLOCK);
                let dispatch = to.last_mut().expect("it is there");
                dispatch.extent.accumulate = u32::from(within_block);
                Ok(())
            }
            Stage::AtBeginning(_) => Ok(()),
            Stage::EachStep(purposes) => {
                for step in 0..steps {
                    for &purpose in purposes {
                        at(purpose, step)?;
                    }
                }
                Ok(())
            }
            Stage::EachPieceBack { purposes, apart } => {
                for first in (0..steps).step_by(*apart).rev() {
                    for &purpose in purposes {
                        at(purpose, first)?;
                    }
                }
                Ok(())
            }
            Stage::EachStepBack {
                replay,
                apart,
                steps: purposes,
            } => {
                for first in (0..steps).step_by(*apart).rev() {
                    if let Some(purpose) = replay {
                        at(*purpose, first)?;
                    }
                    for step in (first..(first + apart).min(steps)).rev() {
                        for &purpose in purposes {
                            at(purpose, step)?;
                        }
                    }
                }
                Ok(())
            }
        }
    }

    fn of_segment(
        &mut self,
        purpose: Purpose,
        episodes: &Range<usize>,
        segment: usize,
    ) -> Result<Dispatch> {
        let steps = self.segments[segment].len();
        let items = self.stages.items(purpose, episodes.len(), steps);
        let extent = self.extent(purpose, episodes, segment);
        self.dispatch(purpose, segment, items, extent)
    }

    fn extent(&self, purpose: Purpose, episodes: &Range<usize>, segment: usize) -> Extent {
        let work = self.stages.work;
        let steps = &self.segments[segment];
        let is_last = segment + 1 == self.segments.len();
        let within_block = !episodes.start.is_multiple_of(EPISODE_BLOCK);
        let extent = Extent {
            episodes: episodes.len() as u32,
            steps: steps.len() as u32,
            done: steps.len() as u32,
            until: steps.len() as u32,
            blocks: episodes.len().div_ceil(EPISODE_BLOCK) as u32,
            block_episodes: episodes.len().min(EPISODE_BLOCK) as u32,
            first_episode: episodes.start as u32,
            first_step: steps.start as u32,
            accumulate: u32::from(within_block || !is_last),
            reduce_goes_on: u32::from(episodes.start >= EPISODE_BLOCK),
            first_segment: u32::from(segment == 0),
            last_segment: u32::from(is_last),
            ..work.extent()
        };
        let (Purpose::Forward(layer)
        | Purpose::Step(layer)
        | Purpose::Backward(layer)
        | Purpose::InputGradient(layer)) = purpose
        else {
            return extent;
        };
        let [trace_start, trace_end] = self.stages.sweeps[layer].traces.ends();
        Extent {
            trace_start: trace_start as u32,
            trace_end: trace_end as u32,
            adjoint_slot: (segment as u32 + 1) % 2,
            ..extent
        }
    }

    /// The dispatches of each step of the whole batch, where steps are done one at a time.
    pub fn steps(&mut self) -> Result<Vec<Vec<Dispatch>>> {
        let stages = self.stages;
        let episodes = 0..stages.work.request.batch;
        let purposes = stages.step();
        if purposes.is_empty() {
            return Ok(Vec::new());
        }
        let of_step = |step: usize| {
            let dispatch = |&purpose: &Purpose| {
                let mut dispatch = self.of_segment(purpose, &episodes, 0)?;
                dispatch.extent.step = step as u32;
                dispatch.extent.until = step as u32 + 1;
                Ok(dispatch)
            };
            purposes.iter().map(dispatch).collect()
        };
        (0..stages.work.request.steps).map(of_step).collect()
    }

    /// What follows the last cut.
    pub fn finish(&mut self) -> Result<Vec<Dispatch>> {
        let stages = self.stages;
        let extent = stages.work.extent();
        let purposes = stages.finish().into_iter();
        purposes
            .map(|purpose| self.dispatch(purpose, 0, stages.items(purpose, 0, 0), extent))
            .collect()
    }

    /// One dispatch of the whole batch.
    pub fn whole(&mut self, purpose: Purpose) -> Result<Dispatch> {
        let work = self.stages.work;
        let extent = Extent {
            episodes: work.request.batch as u32,
            steps: work.request.steps as u32,
            done: work.request.steps as u32,
            ..work.extent()
        };
        self.dispatch(purpose, 0, work.networks, extent)
    }

    /// Fails if a kernel takes more workgroup memory than there is.
    pub fn require_workgroup_memory(&self, limit: u64) -> Result<()> {
        for kernel in &self.kernels {
            let bytes = kernel.workgroup_bytes();
            if bytes > limit {
                return Err(Error::DeviceLimit {
                    what: format!("workgroup memory of the kernel {} (bytes)", kernel.name),
                    requested: bytes,
                    limit,
                });
            }
        }
        Ok(())
    }
}
