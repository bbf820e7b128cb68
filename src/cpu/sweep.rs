//! Episodes through the whole stack of layers, forward and backward.

use super::EPISODE_BLOCK;
use super::backward::backward;
use super::forward::{Activity, checkpoints, forward};
use super::input_gradient::input_gradient;
use super::layers::{Shape, Synapses};
use super::rows;
use crate::engine::Want;
use crate::task::EpisodeSource;
use crate::{Episodes, Loss, Mask, Network, Objective, Real};
use ndarray::{ArrayView4, CowArray, Ix4};
use rayon::prelude::*;

/// Multiply-adds from which the rows of one layer's sweep are worth splitting over threads.
const WORTH_SPLITTING: usize = 1 << 17;

/// What is the same for every episode of a computation.
#[derive(Debug)]
pub(super) struct Job {
    pub shapes: Vec<Shape>,
    pub loss: Loss,
    pub batch: usize,
    pub steps: usize,
    /// Whether gradients are taken, or only the forward sweep.
    pub gradient: bool,
    pub want: Want,
    /// Per layer: an initial trace is given; a gradient on the final trace is given.
    pub given: Vec<(bool, bool)>,
    /// Whether there are too few networks and blocks to occupy the threads, so that rows are split too.
    split_rows: bool,
}

impl Job {
    pub fn new(
        network: &Network,
        population: usize,
        batch: usize,
        steps: usize,
        want: Want,
        gradient: bool,
        given: impl Fn(usize) -> (bool, bool),
    ) -> Self {
        let shapes = Shape::all(network);
        let blocks = population.saturating_mul(batch.div_ceil(EPISODE_BLOCK));
        Self {
            loss: network.loss(),
            batch,
            steps,
            gradient,
            want,
            given: (0..shapes.len()).map(given).collect(),
            split_rows: blocks < rayon::current_num_threads(),
            shapes,
        }
    }

    /// Bytes that the computation allocates, results included.
    pub fn bytes<R>(&self, population: usize) -> u128 {
        let per_episode: u128 = self
            .shapes
            .iter()
            .map(|shape| {
                (shape.row + 3 * shape.outputs) as u128 * self.steps as u128
                    + (4 + checkpoints(self.steps)) as u128 * shape.synapses() as u128
            })
            .sum();
        let results: u128 = population as u128
            * self.batch as u128
            * (self
                .shapes
                .iter()
                .map(|shape| 2 * shape.synapses() as u128)
                .sum::<u128>()
                * u128::from(self.want.final_traces)
                + self.steps as u128
                    * (self.shapes[0].row + self.shapes[self.shapes.len() - 1].outputs) as u128);
        (per_episode * (2 * rayon::current_num_threads() + 1) as u128 + results)
            * size_of::<R>() as u128
    }

    fn is_split(&self, shape: &Shape) -> bool {
        self.split_rows
            && rows::chunk_count(shape.outputs) > 1
            && shape.synapses() * self.steps >= WORTH_SPLITTING
    }

    /// Whether layer `index` needs the gradient on its input: a layer below has parameters, or the caller wants it.
    fn needs_input_gradient(&self, index: usize) -> bool {
        index > 0 || self.want.input_gradient
    }
}

/// Where episodes come from.
pub(super) enum Source<'a, R> {
    /// The caller's arrays.
    Given(Box<Given<'a, R>>),
    /// A task's generator.
    Generated(&'a EpisodeSource),
}

/// The caller's arrays, in standard layout.
pub(super) struct Given<'a, R> {
    input: CowArray<'a, R, Ix4>,
    /// A target or an output gradient, by `is_target`.
    objective: Option<CowArray<'a, R, Ix4>>,
    is_target: bool,
    mask: &'a Mask<R>,
    initial_traces: Vec<Option<CowArray<'a, R, Ix4>>>,
    trace_gradients: Vec<Option<CowArray<'a, R, Ix4>>>,
}

impl<'a, R: Real> Source<'a, R> {
    pub fn given(episodes: &'a Episodes<R>) -> Self {
        let contiguous = |array: &'a ndarray::Array4<R>| array.as_standard_layout();
        let traces = |traces: &'a [Option<ndarray::Array4<R>>]| {
            traces
                .iter()
                .map(|trace| trace.as_ref().map(contiguous))
                .collect()
        };
        let (objective, is_target, mask) = match &episodes.objective {
            Objective::Target { target, mask } => (Some(contiguous(target)), true, mask),
            Objective::OutputGradient(gradient) => (Some(contiguous(gradient)), false, &Mask::All),
            Objective::None => (None, false, &Mask::All),
        };
        Self::Given(Box::new(Given {
            input: contiguous(&episodes.input),
            objective,
            is_target,
            mask,
            initial_traces: traces(&episodes.initial_traces),
            trace_gradients: traces(&episodes.trace_gradients),
        }))
    }
}

/// Episode `b` of network `p`, contiguous.
fn episode<'a, R>(array: &'a CowArray<'_, R, Ix4>, p: usize, b: usize) -> &'a [R] {
    let view: ArrayView4<'a, R> = array.view();
    let (_, batch, rows, columns) = view.dim();
    let all = view.to_slice().expect("in standard layout");
    &all[(p * batch + b) * rows * columns..][..rows * columns]
}

/// Where results go: the parts of the caller's arrays for `episodes` episodes; empty parts are not wanted.
pub(super) struct Results<'a, R> {
    pub episodes: usize,
    /// `[episodes]`.
    pub losses: &'a mut [f64],
    /// `[episodes, T, O]`.
    pub output: &'a mut [R],
    /// `[episodes, T, I]`.
    pub input: &'a mut [R],
    /// Per layer, `[episodes, O, I]`.
    pub traces: Vec<&'a mut [R]>,
    /// Per layer, `[episodes, O, I]`.
    pub initial: Vec<&'a mut [R]>,
}

impl<'a, R> Results<'a, R> {
    /// Consecutive parts of `size` episodes; the last may have fewer.
    pub fn split(self, size: usize) -> Vec<Self> {
        let mut parts = Vec::with_capacity(self.episodes.div_ceil(size));
        let mut rest = self;
        while rest.episodes > size {
            let episodes = rest.episodes;
            fn cut<'a, T>(slice: &mut &'a mut [T], size: usize, episodes: usize) -> &'a mut [T] {
                let all = std::mem::take(slice);
                let (part, rest) = all.split_at_mut(all.len() / episodes * size);
                *slice = rest;
                part
            }
            parts.push(Self {
                episodes: size,
                losses: cut(&mut rest.losses, size, episodes),
                output: cut(&mut rest.output, size, episodes),
                input: cut(&mut rest.input, size, episodes),
                traces: rest
                    .traces
                    .iter_mut()
                    .map(|slice| cut(slice, size, episodes))
                    .collect(),
                initial: rest
                    .initial
                    .iter_mut()
                    .map(|slice| cut(slice, size, episodes))
                    .collect(),
            });
            rest.episodes -= size;
        }
        parts.push(rest);
        parts
    }
}

/// Runs one network's batch; returns the gradients' sum over its episodes, block by block.
pub(super) fn network<R: Real>(
    job: &Job,
    layers: &[Synapses<R>],
    source: &Source<'_, R>,
    index: usize,
    meta_step: u32,
    results: Results<'_, R>,
) -> Vec<Synapses<R>> {
    let mut total: Vec<_> = job.shapes.iter().map(Synapses::zeros).collect();
    let mut blocks = results
        .split(EPISODE_BLOCK)
        .into_iter()
        .enumerate()
        .peekable();
    // A few blocks at a time, so that their partial sums stay few.
    let wave = 4 * rayon::current_num_threads();
    while blocks.peek().is_some() {
        let some: Vec<_> = blocks.by_ref().take(wave).collect();
        let sums: Vec<_> = some
            .into_par_iter()
            .map(|(block, results)| {
                let mut workspace = Workspace::new(job);
                workspace.block(job, layers, source, index, meta_step, block, Some(results));
                workspace.gradients
            })
            .collect();
        for mut sum in sums {
            for (total, sum) in total.iter_mut().zip(&mut sum) {
                total.add(sum);
            }
        }
    }
    total
}

/// The arrays of one episode at a time.
#[derive(Debug)]
pub(super) struct Workspace<R> {
    /// Sums of the gradients of the block's episodes.
    pub gradients: Vec<Synapses<R>>,
    activities: Vec<Activity<R>>,
    /// Per layer, `∂L/∂y`, then `δ`: `[O, T]`.
    signals: Vec<Vec<R>>,
    /// Per layer, `∂L/∂x`: `[T, row]`.
    input_gradients: Vec<Vec<R>>,
    /// Per layer, the gradient on the final trace, `[O, row]`; empty where it is zero.
    trace_gradients: Vec<Vec<R>>,
    /// Per layer, the gradient on the initial trace, `[O, row]`; empty where it is not wanted.
    initial_gradients: Vec<Vec<R>>,
    /// The last layer's output and the gradient on it, `[T, O]`.
    output: Vec<R>,
    output_gradient: Vec<R>,
    /// `[T, O]`, `[T]`.
    target: Vec<R>,
    mask: Vec<R>,
    /// What the task's generator writes.
    generated: (Vec<f32>, Vec<f32>),
    partial: Vec<R>,
    scratch: Vec<R>,
}

impl<R: Real> Workspace<R> {
    pub fn new(job: &Job) -> Self {
        let zeros = |wanted: bool, size: usize| vec![R::zero(); if wanted { size } else { 0 }];
        let shapes = || job.shapes.iter().enumerate();
        let last = &job.shapes[job.shapes.len() - 1];
        let largest =
            |size: &dyn Fn(&Shape) -> usize| job.shapes.iter().map(size).max().unwrap_or(0);
        Self {
            gradients: job.shapes.iter().map(Synapses::zeros).collect(),
            activities: shapes()
                .map(|(index, shape)| {
                    let (initial, upstream) = job.given[index];
                    Activity::new(
                        shape,
                        job.steps,
                        initial,
                        job.want.final_traces || upstream,
                        job.gradient,
                    )
                })
                .collect(),
            signals: shapes()
                .map(|(_, shape)| zeros(job.gradient, shape.outputs * job.steps))
                .collect(),
            input_gradients: shapes()
                .map(|(index, shape)| {
                    zeros(
                        job.gradient && job.needs_input_gradient(index),
                        job.steps * shape.row,
                    )
                })
                .collect(),
            trace_gradients: shapes()
                .map(|(index, shape)| zeros(job.gradient && job.given[index].1, shape.synapses()))
                .collect(),
            initial_gradients: shapes()
                .map(|(index, shape)| zeros(job.gradient && job.given[index].0, shape.synapses()))
                .collect(),
            output: zeros(true, job.steps * last.outputs),
            output_gradient: zeros(true, job.steps * last.outputs),
            target: zeros(true, job.steps * last.outputs),
            mask: zeros(true, job.steps),
            generated: (
                vec![0.0; job.steps * job.shapes[0].inputs],
                vec![0.0; job.steps * last.outputs],
            ),
            partial: zeros(
                job.gradient,
                largest(&|shape| rows::chunk_count(shape.outputs) * shape.row * job.steps),
            ),
            scratch: zeros(
                true,
                largest(&|shape| rows::chunk_count(shape.outputs) * rows::SCRATCH * shape.row),
            ),
        }
    }

    /// Runs the episodes of one block and sums their gradients; returns the sum of their losses.
    #[expect(
        clippy::too_many_arguments,
        reason = "what, of which network, from where, to where"
    )]
    pub fn block(
        &mut self,
        job: &Job,
        layers: &[Synapses<R>],
        source: &Source<'_, R>,
        index: usize,
        meta_step: u32,
        block: usize,
        results: Option<Results<'_, R>>,
    ) -> f64 {
        for gradient in &mut self.gradients {
            gradient.clear();
        }
        let first = block * EPISODE_BLOCK;
        let episodes = first..(first + EPISODE_BLOCK).min(job.batch);
        let mut results: Vec<_> = results.map(|results| results.split(1)).unwrap_or_default();
        let mut total = 0.0;
        for b in episodes {
            let is_target = self.load(job, source, index, meta_step, b);
            self.forward(job, layers);
            let loss = self.objective(job, is_target);
            total += loss;
            if job.gradient {
                self.backward(job, layers);
            }
            if let Some(results) = results.get_mut(b - first) {
                results.losses[0] = loss;
                self.store(job, results);
            }
        }
        total
    }

    /// Takes episode `b` of network `index` in; returns whether it has a target.
    fn load(
        &mut self,
        job: &Job,
        source: &Source<'_, R>,
        index: usize,
        meta_step: u32,
        b: usize,
    ) -> bool {
        let first = &job.shapes[0];
        let input = self.activities[0].input.chunks_exact_mut(first.row);
        match source {
            Source::Generated(source) => {
                let (values, target) = &mut self.generated;
                source
                    .task
                    .fill(source.key(index), meta_step, b as u32, values, target);
                for (row, values) in input.zip(values.chunks_exact(first.inputs)) {
                    for (x, &value) in row.iter_mut().zip(values) {
                        *x = R::from_f64(f64::from(value));
                    }
                }
                for (to, &value) in self.target.iter_mut().zip(&*target) {
                    *to = R::from_f64(f64::from(value));
                }
                for (t, mask) in self.mask.iter_mut().enumerate() {
                    *mask = if source.task.counts(t) {
                        R::one()
                    } else {
                        R::zero()
                    };
                }
                true
            }
            Source::Given(given) => {
                let Given {
                    input: values,
                    objective,
                    is_target,
                    mask,
                    initial_traces,
                    trace_gradients,
                } = &**given;
                for (row, values) in input.zip(episode(values, index, b).chunks_exact(first.inputs))
                {
                    row[..first.inputs].copy_from_slice(values);
                }
                match objective {
                    Some(objective) if *is_target => {
                        self.target.copy_from_slice(episode(objective, index, b))
                    }
                    Some(objective) => self
                        .output_gradient
                        .copy_from_slice(episode(objective, index, b)),
                    None => self.output_gradient.fill(R::zero()),
                }
                match mask {
                    Mask::All => self.mask.fill(R::one()),
                    Mask::Steps(mask) => self
                        .mask
                        .iter_mut()
                        .zip(mask)
                        .for_each(|(to, &mask)| *to = mask),
                    Mask::Episodes(all) => {
                        for (t, to) in self.mask.iter_mut().enumerate() {
                            *to = all[[index, b, t]];
                        }
                    }
                }
                for (layer, shape) in job.shapes.iter().enumerate() {
                    let copies = [
                        (initial_traces, &mut self.activities[layer].initial_trace),
                        (trace_gradients, &mut self.trace_gradients[layer]),
                    ];
                    for (from, to) in copies {
                        let Some(Some(from)) = from.get(layer) else {
                            continue;
                        };
                        let from = episode(from, index, b).chunks_exact(shape.inputs);
                        for (to, from) in to.chunks_exact_mut(shape.row).zip(from) {
                            to[..shape.inputs].copy_from_slice(from);
                        }
                    }
                }
                *is_target
            }
        }
    }

    fn forward(&mut self, job: &Job, layers: &[Synapses<R>]) {
        for (index, shape) in job.shapes.iter().enumerate() {
            let (before, after) = self.activities.split_at_mut(index + 1);
            let activity = &mut before[index];
            forward(
                shape,
                &layers[index],
                activity,
                &mut self.scratch,
                job.is_split(shape),
            );
            match after.first_mut() {
                Some(next) => transpose(
                    &activity.output,
                    job.steps,
                    &mut next.input,
                    job.shapes[index + 1].row,
                ),
                None => transpose(&activity.output, job.steps, &mut self.output, shape.outputs),
            }
        }
    }

    /// The episode's loss; leaves the gradient on the output in place.
    fn objective(&mut self, job: &Job, is_target: bool) -> f64 {
        if !is_target {
            return 0.0;
        }
        let outputs = job.shapes[job.shapes.len() - 1].outputs;
        let mut loss = 0.0;
        let batch = R::from_f64(job.batch as f64);
        for (t, &mask) in self.mask.iter().enumerate() {
            let gradient = &mut self.output_gradient[t * outputs..][..outputs];
            if mask == R::zero() {
                gradient.fill(R::zero());
                continue;
            }
            let output = rows::of(&self.output, t, outputs);
            let target = rows::of(&self.target, t, outputs);
            loss += (mask * job.loss.step(output, target, mask / batch, gradient)).as_f64();
        }
        loss
    }

    fn backward(&mut self, job: &Job, layers: &[Synapses<R>]) {
        for (index, shape) in job.shapes.iter().enumerate().rev() {
            let signal = &mut self.signals[index];
            match self.input_gradients.get(index + 1) {
                Some(gradient) => {
                    transpose_back(gradient, job.shapes[index + 1].row, signal, job.steps)
                }
                None => transpose_back(&self.output_gradient, shape.outputs, signal, job.steps),
            }
            backward(
                shape,
                &layers[index],
                &self.activities[index],
                signal,
                &self.trace_gradients[index],
                &mut self.gradients[index],
                &mut self.initial_gradients[index],
                &mut self.scratch,
                job.is_split(shape),
            );
            if job.needs_input_gradient(index) {
                input_gradient(
                    shape,
                    &layers[index],
                    &self.activities[index],
                    signal,
                    &self.trace_gradients[index],
                    &mut self.input_gradients[index],
                    &mut self.partial,
                    &mut self.scratch,
                    job.is_split(shape),
                );
            }
        }
    }

    /// Copies the wanted results of this episode out.
    fn store(&self, job: &Job, results: &mut Results<'_, R>) {
        results.output.copy_from_slice(&self.output);
        let unpad = |from: &[R], shape: &Shape, to: &mut [R]| {
            for (to, from) in to
                .chunks_exact_mut(shape.inputs)
                .zip(from.chunks_exact(shape.row))
            {
                to.copy_from_slice(&from[..shape.inputs]);
            }
        };
        if !results.input.is_empty() {
            unpad(&self.input_gradients[0], &job.shapes[0], results.input);
        }
        for (index, shape) in job.shapes.iter().enumerate() {
            if !results.traces[index].is_empty() {
                unpad(
                    &self.activities[index].final_trace,
                    shape,
                    results.traces[index],
                );
            }
            if !results.initial[index].is_empty() {
                unpad(
                    &self.initial_gradients[index],
                    shape,
                    results.initial[index],
                );
            }
        }
    }
}

/// `[O, T]` to `[T, row]`.
fn transpose<R: Real>(from: &[R], steps: usize, to: &mut [R], row: usize) {
    for (i, from) in from.chunks_exact(steps).enumerate() {
        for (t, &value) in from.iter().enumerate() {
            to[t * row + i] = value;
        }
    }
}

/// `[T, row]` to `[O, T]`.
fn transpose_back<R: Real>(from: &[R], row: usize, to: &mut [R], steps: usize) {
    for (i, to) in to.chunks_exact_mut(steps).enumerate() {
        for (t, to) in to.iter_mut().enumerate() {
            *to = from[t * row + i];
        }
    }
}
