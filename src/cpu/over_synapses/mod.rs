//! Vectors over synapses: one episode at a time, a row of synapses along the lanes.

mod backward;
mod forward;
mod input_gradient;
mod rows;

use super::chunks;
use super::job::{Block, Generated, Job, Results};
use super::layers::{Shape, Synapses};
use super::retention::checkpoints;
use super::simd::{self, Aligned};
use crate::Real;
use backward::backward;
use forward::{Activity, forward};
use input_gradient::input_gradient;

/// Elements of one layer's part of a workspace.
pub(super) fn elements(shape: &Shape, steps: usize) -> u128 {
    (shape.row + 3 * shape.outputs) as u128 * steps as u128
        + (5 + checkpoints(steps)) as u128 * shape.synapses() as u128
}

/// The arrays of one episode at a time.
#[derive(Debug)]
pub(super) struct Workspace<R> {
    /// Sums of the gradients of the block's episodes.
    pub gradients: Vec<Synapses<R>>,
    activities: Vec<Activity<R>>,
    /// Per layer, `∂L/∂y`, then `δ`: `[O, T]`.
    signals: Vec<Aligned<R>>,
    /// Per layer, `∂L/∂x`: `[T, row]`.
    input_gradients: Vec<Aligned<R>>,
    /// Per layer, the gradient on the final trace, `[O, row]`; empty where it is zero.
    trace_gradients: Vec<Aligned<R>>,
    /// Per layer, the gradient on the initial trace, `[O, row]`; empty where it is not wanted.
    initial_gradients: Vec<Aligned<R>>,
    /// The last layer's output and the gradient on it, `[T, O]`.
    output: Aligned<R>,
    output_gradient: Aligned<R>,
    /// `[T, O]`, `[T]`.
    target: Aligned<R>,
    mask: Aligned<R>,
    generated: Generated<R>,
    partial: Aligned<R>,
    scratch: Aligned<R>,
}

impl<R: Real> Workspace<R> {
    pub fn new(job: &Job) -> Self {
        let zeros = |wanted: bool, size: usize| simd::zeros(if wanted { size } else { 0 });
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
            generated: Generated::default(),
            partial: zeros(
                job.gradient,
                largest(&|shape| chunks::count(shape.outputs) * shape.row * job.steps),
            ),
            scratch: zeros(
                true,
                largest(&|shape| {
                    chunks::count(shape.outputs) * rows::scratch::<R>(shape, job.steps)
                }),
            ),
        }
    }

    /// Runs the episodes of one block and sums their gradients; returns the sum of their losses.
    pub fn block(
        &mut self,
        job: &Job,
        layers: &[Synapses<R>],
        block: &Block<'_, '_, R>,
        mut results: Option<Results<'_, R>>,
    ) -> f64 {
        for gradient in &mut self.gradients {
            gradient.clear();
        }
        let mut total = 0.0;
        for (n, b) in block.episodes.clone().enumerate() {
            let is_target = self.load(job, block, b);
            self.forward(job, layers);
            let loss = self.objective(job, is_target);
            total += loss;
            if job.gradient {
                self.backward(job, layers);
            }
            if let Some(results) = &mut results {
                results.losses[n] = loss;
                self.store(job, results, n);
            }
        }
        total
    }

    /// Takes episode `b` in; returns whether it has a target.
    fn load(&mut self, job: &Job, block: &Block<'_, '_, R>, b: usize) -> bool {
        let episode = block.group(b..b + 1, &mut self.generated);
        copy_rows(
            episode.input,
            job.shapes[0].inputs,
            &mut self.activities[0].input,
            job.shapes[0].row,
        );
        match episode.objective {
            Some(target) if episode.is_target => self.target.copy_from_slice(target),
            Some(gradient) => self.output_gradient.copy_from_slice(gradient),
            None => self.output_gradient.fill(R::zero()),
        }
        for (t, mask) in self.mask.iter_mut().enumerate() {
            *mask = episode.mask(0, t);
        }
        for (layer, shape) in job.shapes.iter().enumerate() {
            if let Some(trace) = episode.initial_traces(layer) {
                let to = &mut self.activities[layer].initial_trace;
                copy_rows(trace, shape.inputs, to, shape.row);
            }
            if let Some(gradient) = episode.trace_gradients(layer) {
                let to = &mut self.trace_gradients[layer];
                copy_rows(gradient, shape.inputs, to, shape.row);
            }
        }
        episode.is_target
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
                chunks::is_split(job, shape, 1),
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
                chunks::is_split(job, shape, 1),
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
                    chunks::is_split(job, shape, 1),
                );
            }
        }
    }

    /// Copies the wanted results of this episode, number `n` of the block, out.
    fn store(&self, job: &Job, results: &mut Results<'_, R>, n: usize) {
        let episodes = results.episodes;
        let first = &job.shapes[0];
        Results::of_episode(results.output, episodes, n).copy_from_slice(&self.output);
        let input = Results::of_episode(results.input, episodes, n);
        copy_back(&self.input_gradients[0], first.row, input, first.inputs);
        let put = |shape: &Shape, from: &[R], to: &mut [R]| {
            let to = Results::of_episode(to, episodes, n);
            copy_back(from, shape.row, to, shape.inputs);
        };
        let layers = job.shapes.iter().zip(&self.activities);
        for ((shape, activity), to) in layers.zip(&mut results.traces) {
            put(shape, &activity.final_trace, to);
        }
        let layers = job.shapes.iter().zip(&self.initial_gradients);
        for ((shape, from), to) in layers.zip(&mut results.initial) {
            put(shape, from, to);
        }
    }
}

/// Rows of `width` elements to rows of `padded`; nothing where there is nowhere to.
fn copy_rows<R: Real>(from: &[R], width: usize, to: &mut [R], padded: usize) {
    for (to, from) in to.chunks_exact_mut(padded).zip(from.chunks_exact(width)) {
        to[..width].copy_from_slice(from);
    }
}

/// The inverse of [`copy_rows`].
fn copy_back<R: Real>(from: &[R], padded: usize, to: &mut [R], width: usize) {
    for (to, from) in to.chunks_exact_mut(width).zip(from.chunks_exact(padded)) {
        to.copy_from_slice(&from[..width]);
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
