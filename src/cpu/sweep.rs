//! The two ways to vectorise a block of episodes.

use super::job::{Block, Job, Results};
use super::layers::{Shape, Synapses};
use super::workspaces::{Free, Kept};
use super::{over_episodes, over_synapses};
use crate::computation::EPISODE_BLOCK;
use crate::number::Real;

/// Episodes of a block: [`EPISODE_BLOCK`], or as many as lie along the lanes of a pair of vectors where those are more.
pub(super) fn block<R: Real>(shapes: &[Shape], batch: usize) -> usize {
    if over_episodes::suits::<R>(shapes, batch) {
        EPISODE_BLOCK.max(over_episodes::width::<R>())
    } else {
        EPISODE_BLOCK
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

impl<R: Real> Kept<R> for Workspace<R> {
    /// Which of the two depends on the job's sizes and the vectors' width alone.
    fn new(job: &Job) -> Self {
        if over_episodes::suits::<R>(&job.shapes, job.batch) {
            Self::OverEpisodes(over_episodes::Workspace::new(job))
        } else {
            Self::OverSynapses(over_synapses::Workspace::new(job))
        }
    }

    fn waiting(free: &mut Free<R>) -> &mut Vec<Self> {
        &mut free.workspaces
    }

    fn elements(job: &Job) -> u128 {
        if over_episodes::suits::<R>(&job.shapes, job.batch) {
            over_episodes::elements::<R>(job)
        } else {
            over_synapses::elements::<R>(job)
        }
    }
}

impl<R: Real> Workspace<R> {
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
