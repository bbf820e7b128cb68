//! A network's batch, block by block, and the two ways to vectorise a block.

use super::EPISODE_BLOCK;
use super::job::{Block, Job, Results, Source};
use super::layers::{Shape, Synapses};
use super::simd::zeros;
use super::workspaces::Workspaces;
use super::{over_episodes, over_synapses};
use crate::Real;
use rayon::prelude::*;

/// Elements of partial sums that are held at once, about.
const WAVE_ELEMENTS: usize = 1 << 20;

/// Episodes of a block: [`EPISODE_BLOCK`], or as many as lie along the lanes of a pair of vectors where those are more.
pub(super) fn block<R: Real>(shapes: &[Shape], batch: usize) -> usize {
    if over_episodes::suits::<R>(shapes, batch) {
        EPISODE_BLOCK.max(over_episodes::width::<R>())
    } else {
        EPISODE_BLOCK
    }
}

/// Blocks whose sums are held at once: a number that changes no result.
pub(super) fn wave(job: &Job) -> usize {
    let elements = job.shapes.iter().map(Shape::synapses).sum::<usize>().max(1);
    let blocks = job.batch.div_ceil(job.block);
    blocks.min((WAVE_ELEMENTS / elements).max(4 * rayon::current_num_threads()))
}

/// Runs one network's batch; returns the gradients' sum over its episodes, block by block.
pub(super) fn network<R: Real>(
    job: &Job,
    workspaces: &Workspaces<R>,
    layers: &[Synapses<R>],
    source: &Source<'_, R>,
    index: usize,
    meta_step: u32,
    results: Results<'_, R>,
) -> Vec<Synapses<R>> {
    let mut total: Vec<_> = job.shapes.iter().map(Synapses::zeros).collect();
    let mut blocks = results.split(job.block).into_iter().enumerate().peekable();
    let elements: usize = total.iter().map(Synapses::elements).sum();
    let mut sums = zeros(wave(job) * elements);
    while blocks.peek().is_some() {
        let some: Vec<_> = blocks.by_ref().take(wave(job)).collect();
        let count = some.len();
        // Not more parts than keep the threads evenly busy.
        let part = count.div_ceil(16 * rayon::current_num_threads());
        some.into_par_iter()
            .zip(sums.par_chunks_mut(elements))
            .with_min_len(part)
            .for_each_init(
                || workspaces.take(job),
                |workspace, ((number, results), sums)| {
                    let block = Block::new(job, source, index, meta_step, number);
                    workspace.block(job, layers, &block, Some(results));
                    let gradients = workspace.gradients().iter();
                    gradients.fold(sums, |flat, gradient| gradient.write_to(flat));
                },
            );
        if job.gradient {
            for sums in sums.chunks_exact(elements).take(count) {
                total.iter_mut().fold(sums, |flat, total| total.add(flat));
            }
        }
    }
    total
}

/// Elements of one workspace, about.
pub(super) fn workspace_elements<R: Real>(job: &Job) -> u128 {
    if over_episodes::suits::<R>(&job.shapes, job.batch) {
        over_episodes::elements::<R>(job)
    } else {
        over_synapses::elements::<R>(job)
    }
}

/// The arrays of the episodes in progress.
#[derive(Debug)]
pub(super) enum Workspace<R> {
    /// Vectors over synapses: one episode at a time.
    OverSynapses(over_synapses::Workspace<R>),
    /// Vectors over episodes: a few at a time.
    OverEpisodes(over_episodes::Workspace<R>),
}

impl<R: Real> Workspace<R> {
    /// Which of the two depends on the job's sizes and the vectors' width alone.
    pub fn new(job: &Job) -> Self {
        if over_episodes::suits::<R>(&job.shapes, job.batch) {
            Self::OverEpisodes(over_episodes::Workspace::new(job))
        } else {
            Self::OverSynapses(over_synapses::Workspace::new(job))
        }
    }

    /// Sums of the gradients of the last block's episodes, per layer.
    pub fn gradients(&self) -> &[Synapses<R>] {
        match self {
            Self::OverSynapses(workspace) => workspace.gradients(),
            Self::OverEpisodes(workspace) => workspace.gradients(),
        }
    }

    /// Runs the episodes of one block and sums their gradients; returns the sum of their losses.
    pub fn block(
        &mut self,
        job: &Job,
        layers: &[Synapses<R>],
        block: &Block<'_, '_, R>,
        results: Option<Results<'_, R>>,
    ) -> f64 {
        match self {
            Self::OverSynapses(workspace) => workspace.block(job, layers, block, results),
            Self::OverEpisodes(workspace) => workspace.block(job, layers, block, results),
        }
    }
}
