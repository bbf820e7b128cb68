//! A network's batch, block by block.

use super::arrays::Activity;
use super::job::{Job, Work};
use super::layers::pack;
use super::pool::{Pool, Pooled};
use super::results::Results;
use super::shape::Shape;
use super::sharing::{fill_in, is_own};
use super::source::{Block, Source};
use super::synapses::{SynapseArrays, Synapses};
use super::workspace::Workspace;
use crate::computation::Exchange;
use crate::network::Network;
use crate::number::Real;
use crate::number::{Aligned, zeros};
use crate::parameters::Layout;
use rayon::prelude::*;

/// Elements of partial sums that are held at once, about.
const WAVE_ELEMENTS: usize = 1 << 20;

/// Blocks whose sums are held at once: a number that changes no result. It depends on the threads that there are now, so
/// nothing that is kept has it for a size.
fn wave(job: &Job) -> usize {
    let elements = job.shapes.iter().map(Shape::synapses).sum::<usize>().max(1);
    let blocks = job.request.batch.div_ceil(job.block);
    blocks.min((WAVE_ELEMENTS / elements).max(4 * rayon::current_num_threads()))
}

/// The same for processes that share them out, where it depends on nothing that one of them has for itself.
fn shared_wave(job: &Job, ranks: usize) -> usize {
    let elements = job.shapes.iter().map(Shape::synapses).sum::<usize>().max(1);
    (WAVE_ELEMENTS / elements).max(ranks)
}

/// Elements of the sums of a wave, which a network in progress takes beside its [`Batch`].
pub(super) fn wave_elements<R: Real>(job: &Job) -> u128 {
    match job.request.gradient {
        true => wave(job) as u128 * parameters::<R>(job),
        false => 0,
    }
}

/// Elements of one network's parameters, in rows.
fn parameters<R: Real>(job: &Job) -> u128 {
    let layers = job.shapes.iter();
    let layers = layers.map(SynapseArrays::sizes::<R>);
    layers.map(SynapseArrays::elements).sum()
}

/// What is run, the same for all networks.
pub(super) struct Run<'a, 's, R: Real> {
    pub job: &'a Job,
    pub work: &'a Work,
    pub workspaces: &'a Pool<Workspace<R>>,
    pub source: &'a Source<'s, R>,
    /// Ties the processes that share out the blocks.
    pub exchange: Option<&'a dyn Exchange>,
}

/// What a network in progress takes beside the workspaces of its blocks.
#[derive(Debug)]
pub(super) struct Batch<R> {
    /// The network's parameters.
    pub layers: Vec<Synapses<R>>,
    /// The gradients' sum over the batch.
    total: Vec<Synapses<R>>,
    /// Of the episodes.
    losses: Vec<f64>,
}

impl<R: Real> Pooled for Batch<R> {
    type Job = Job;

    fn new(job: &Job) -> Self {
        let shapes = || job.shapes.iter();
        let synapses = || shapes().map(Synapses::zeros).collect();
        Self {
            layers: synapses(),
            total: synapses(),
            losses: vec![0.0; job.request.batch],
        }
    }

    fn bytes(job: &Job) -> u128 {
        2 * parameters::<R>(job) * size_of::<R>() as u128
            + (job.request.batch * size_of::<f64>()) as u128
    }
}

impl<R: Real> Batch<R> {
    /// Takes one network's parameters in.
    pub fn pack(&mut self, job: &Job, network: &Network, layout: &Layout, values: &[R]) {
        pack(network, layout, &job.shapes, values, &mut self.layers);
    }

    /// Runs `work` on a batch with the parameters that were taken in. `kept` has the activities of all groups of episodes,
    /// where the job keeps them.
    pub fn run(
        &mut self,
        Run {
            job,
            work,
            workspaces,
            source,
            exchange,
        }: &Run<'_, '_, R>,
        (index, meta_step): (usize, u32),
        results: Results<'_, R>,
        kept: &mut [Vec<Activity<R>>],
    ) {
        let Self {
            layers,
            total,
            losses: _,
        } = self;
        total.iter_mut().for_each(Synapses::clear);
        let groups = job.block / job.along.episodes::<R>();
        let mut kept = kept.chunks_mut(groups);
        let blocks = results.split(job.block).into_iter();
        let blocks = blocks.map(|results| (results, kept.next().unwrap_or_default()));
        let mut blocks = blocks.enumerate().peekable();
        let elements: usize = total.iter().map(Synapses::len).sum();
        let wave = match exchange {
            None => wave(job),
            Some(exchange) => shared_wave(job, exchange.ranks()),
        };
        // The gradients' sums over the blocks of a wave.
        let mut done = 0;
        let mut sums: Aligned<R> = zeros(if work.backward { wave * elements } else { 0 });
        while blocks.peek().is_some() {
            let mut parts = sums.chunks_exact_mut(elements);
            let some: Vec<_> = blocks
                .by_ref()
                .take(wave)
                .map(|block| {
                    let part = work.backward.then(|| parts.next());
                    (block, part.map(|part| part.expect("one for each block")))
                })
                .collect();
            let count = some.len();
            // Not more parts than keep the threads evenly busy.
            let part = count.div_ceil(16 * rayon::current_num_threads());
            some.into_par_iter().with_min_len(part).for_each_init(
                || workspaces.take(job),
                |workspace, ((number, (results, kept)), sums)| {
                    if !is_own(*exchange, number) {
                        return;
                    }
                    let block = Block::new(job, source, index, meta_step, number);
                    workspace.block(job, work, layers, &block, Some(results), kept);
                    if let Some(sums) = sums {
                        let gradients = workspace.gradients().iter();
                        gradients.fold(sums, |flat, gradient| gradient.write_to(flat));
                    }
                },
            );
            if work.backward {
                if let Some(exchange) = exchange {
                    fill_in(*exchange, done, elements, &mut sums[..count * elements]);
                }
                for sums in sums.chunks_exact(elements).take(count) {
                    total.iter_mut().fold(sums, |flat, total| total.add(flat));
                }
            }
            done += count;
        }
    }

    /// The same, with no result but the mean of the episodes' losses.
    pub fn loss(&mut self, run: &Run<'_, '_, R>, number: (usize, u32)) -> f64 {
        let mut losses = std::mem::take(&mut self.losses);
        let batch = run.job.request.batch;
        let results = Results {
            episodes: batch,
            losses: &mut losses,
            output: &mut [],
            input: &mut [],
            finals: Vec::new(),
            given: Vec::new(),
        };
        self.run(run, number, results, &mut []);
        if let Some(exchange) = run.exchange {
            fill_in(exchange, 0, run.job.block, &mut losses);
        }
        self.losses = losses;
        self.losses.iter().sum::<f64>() / batch as f64
    }

    /// The gradients' sum over the last batch, per layer; zero where no gradient was taken.
    pub fn gradients(&self) -> &[Synapses<R>] {
        &self.total
    }
}
