//! Vectors over synapses: one episode at a time, a row of synapses along the lanes.

mod backward;
mod forward;
mod input_gradient;
mod rows;

use super::arrays::{Arrays, Extent};
use super::chunks;
use super::job::{Block, Job, Results};
use super::layers::{Shape, Synapses};
use crate::number::Real;
use crate::number::{Aligned, zeros};
use crate::zip::zip_eq;
use backward::backward;
use forward::forward;
use input_gradient::input_gradient;

/// One episode at a time, rows padded to whole vectors.
fn extent<R: Real>(job: &Job) -> Extent<impl Fn(&Shape) -> usize, impl Fn(&Shape) -> usize> {
    let steps = job.steps;
    Extent {
        columns: |shape: &Shape| shape.row,
        width: 1,
        scratch: move |shape: &Shape| rows::scratch::<R>(shape, steps),
    }
}

/// Elements of a workspace, about.
pub(super) fn elements<R: Real>(job: &Job) -> u128 {
    extent::<R>(job).elements(job)
}

/// The arrays of one episode at a time.
#[derive(Debug)]
pub(super) struct Workspace<R> {
    arrays: Arrays<R>,
    /// The last layer's output, `[T, O]`.
    output: Aligned<R>,
}

impl<R: Real> Workspace<R> {
    pub fn new(job: &Job) -> Self {
        let last = &job.shapes[job.shapes.len() - 1];
        Self {
            arrays: extent::<R>(job).arrays(job),
            output: zeros(job.steps * last.outputs),
        }
    }

    /// Sums of the gradients of the last block's episodes, per layer.
    pub fn gradients(&self) -> &[Synapses<R>] {
        &self.arrays.gradients
    }

    /// Runs the episodes of one block and sums their gradients; returns the sum of their losses.
    pub fn block(
        &mut self,
        job: &Job,
        layers: &[Synapses<R>],
        block: &Block<'_, '_, R>,
        mut results: Option<Results<'_, R>>,
    ) -> f64 {
        for gradient in &mut self.arrays.gradients {
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
        let episode = block.group(b..b + 1, &mut self.arrays.generated);
        copy_rows(
            episode.input,
            job.shapes[0].inputs,
            &mut self.arrays.activities[0].input,
            job.shapes[0].row,
        );
        match episode.objective {
            Some(target) if episode.is_target => self.arrays.target.copy_from_slice(target),
            Some(gradient) => self.arrays.output_gradient.copy_from_slice(gradient),
            None => self.arrays.output_gradient.fill(R::zero()),
        }
        for (t, mask) in self.arrays.mask.iter_mut().enumerate() {
            *mask = episode.mask(0, t);
        }
        for (layer, shape) in job.shapes.iter().enumerate() {
            if let Some(trace) = episode.initial_traces(layer) {
                let to = &mut self.arrays.activities[layer].initial_trace;
                copy_rows(trace, shape.inputs, to, shape.row);
            }
            if job.gradient
                && let Some(gradient) = episode.trace_gradients(layer)
            {
                let to = &mut self.arrays.trace_gradients[layer];
                copy_rows(gradient, shape.inputs, to, shape.row);
            }
        }
        episode.is_target
    }

    fn forward(&mut self, job: &Job, layers: &[Synapses<R>]) {
        for (index, shape) in job.shapes.iter().enumerate() {
            let (before, after) = self.arrays.activities.split_at_mut(index + 1);
            let activity = &mut before[index];
            forward(
                shape,
                &layers[index],
                activity,
                &mut self.arrays.scratch,
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
        for (t, &mask) in self.arrays.mask.iter().enumerate() {
            let gradient = &mut self.arrays.output_gradient[t * outputs..][..outputs];
            if mask == R::zero() {
                gradient.fill(R::zero());
                continue;
            }
            let output = rows::of(&self.output, t, outputs);
            let target = rows::of(&self.arrays.target, t, outputs);
            loss += (mask * job.loss.step(output, target, mask / batch, gradient)).as_f64();
        }
        loss
    }

    fn backward(&mut self, job: &Job, layers: &[Synapses<R>]) {
        for (index, shape) in job.shapes.iter().enumerate().rev() {
            let signal = &mut self.arrays.signals[index];
            match self.arrays.input_gradients.get(index + 1) {
                Some(gradient) => {
                    transpose_back(gradient, job.shapes[index + 1].row, signal, job.steps)
                }
                None => transpose_back(
                    &self.arrays.output_gradient,
                    shape.outputs,
                    signal,
                    job.steps,
                ),
            }
            backward(
                shape,
                &layers[index],
                &self.arrays.activities[index],
                signal,
                &self.arrays.trace_gradients[index],
                &mut self.arrays.gradients[index],
                &mut self.arrays.initial_gradients[index],
                &mut self.arrays.scratch,
                chunks::is_split(job, shape, 1),
            );
            if job.needs_input_gradient(index) {
                input_gradient(
                    shape,
                    &layers[index],
                    &self.arrays.activities[index],
                    signal,
                    &self.arrays.trace_gradients[index],
                    &mut self.arrays.input_gradients[index],
                    &mut self.arrays.partial,
                    &mut self.arrays.scratch,
                    chunks::is_split(job, shape, 1),
                );
            }
        }
    }

    /// Copies the wanted results of this episode, number `n` of the block, out.
    fn store(&self, job: &Job, results: &mut Results<'_, R>, n: usize) {
        let episodes = results.episodes;
        let first = &job.shapes[0];
        if !results.output.is_empty() {
            Results::of_episode(results.output, episodes, n).copy_from_slice(&self.output);
        }
        let input = Results::of_episode(results.input, episodes, n);
        copy_back(
            &self.arrays.input_gradients[0],
            first.row,
            input,
            first.inputs,
        );
        let put = |shape: &Shape, from: &[R], to: &mut [R]| {
            let to = Results::of_episode(to, episodes, n);
            copy_back(from, shape.row, to, shape.inputs);
        };
        let layers = job.shapes.iter().zip(&self.arrays.activities);
        for ((shape, activity), to) in layers.zip(&mut results.traces) {
            put(shape, &activity.final_trace, to);
        }
        let layers = job.shapes.iter().zip(&self.arrays.initial_gradients);
        for ((shape, from), to) in layers.zip(&mut results.initial) {
            put(shape, from, to);
        }
    }
}

/// Rows of `width` elements to rows of `padded`.
fn copy_rows<R: Real>(from: &[R], width: usize, to: &mut [R], padded: usize) {
    for (to, from) in zip_eq(to.chunks_exact_mut(padded), from.chunks_exact(width)) {
        to[..width].copy_from_slice(from);
    }
}

/// The inverse of [`copy_rows`]; nothing where there is nowhere to.
fn copy_back<R: Real>(from: &[R], padded: usize, to: &mut [R], width: usize) {
    if to.is_empty() {
        return;
    }
    for (to, from) in zip_eq(to.chunks_exact_mut(width), from.chunks_exact(padded)) {
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
