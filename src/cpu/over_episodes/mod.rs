//! Vectors over episodes: as many episodes at a time as a pair of vectors has lanes.
//!
//! A synapse's weight is the same in every lane, and what a row computes once a step beside its synapses (the sum's
//! end, the activation, the scalars of the reverse sweep) it computes for all episodes at once. That suits small layers;
//! a large row's arrays, one vector a synapse, would not stay in the nearest cache.

mod backward;
mod compensated;
mod forward;
mod input_gradient;
mod lanes;
mod lookback;
mod weight_gradient;

use super::arrays::{Arrays, Extent};
use super::chunks;
use super::job::{Block, Job, Results};
use super::layers::{Shape, Synapses};
use crate::number::Real;
use crate::number::{pair_width, vectorise};
use backward::backward;
use forward::forward;
use input_gradient::input_gradient;
use lanes::{Deinterleave, Empty, Interleave, Transpose};

/// Whether to compute this way: which of the two is faster depends on how long rows are and on how many lanes have an
/// episode. A row's step over `I` synapses costs about `6 + 1.6 I` here, for a whole group, and `10 + I / W` over synapses,
/// for each episode. That was fitted to `f32` with AVX2 (`W` = 16), where the two break even at 3 episodes of 16 for
/// `I` = 10, 5 for 32, 7 for 64, 12 for 128 and 16 for 256; it holds for `f64` there (`W` = 8: 4, 5, 6, 7 of 8 for `I` = 10,
/// 32, 64, 128), to which nothing was fitted, within an episode. For other vectors it is a model. Longer rows would not
/// stay in the nearest cache, and fewer than four episodes gain nothing.
pub(super) fn suits<R: Real>(shapes: &[Shape], batch: usize) -> bool {
    let width = width::<R>();
    let inputs = shapes.iter().map(|shape| shape.inputs).max().unwrap_or(0);
    let groups = batch.div_ceil(width);
    lanes::MOST.is_multiple_of(width)
        && batch >= 4
        && inputs <= 256
        && groups.saturating_mul(30 + 8 * inputs)
            <= batch.saturating_mul(50 + 5 * inputs.div_ceil(width))
}

/// Episodes of a group, `W`.
pub(super) fn width<R: Real>() -> usize {
    pair_width::<R>()
}

/// As many episodes at a time as there are lanes, rows as they are.
fn extent<R: Real>(job: &Job) -> Extent<impl Fn(&Shape) -> usize, impl Fn(&Shape) -> usize> {
    let steps = job.steps;
    Extent {
        columns: |shape: &Shape| shape.inputs,
        width: width::<R>(),
        scratch: move |shape: &Shape| lanes::scratch::<R>(shape, steps),
    }
}

/// Elements of a workspace, about.
pub(super) fn elements<R: Real>(job: &Job) -> u128 {
    extent::<R>(job).elements(job)
}

/// The arrays of one group of `W` episodes at a time; the episode is their last axis.
#[derive(Debug)]
pub(super) struct Workspace<R> {
    arrays: Arrays<R>,
    /// One step of one episode: output and the gradient on it, `[O]` each.
    step: (Vec<R>, Vec<R>),
}

impl<R: Real> Workspace<R> {
    pub fn new(job: &Job) -> Self {
        let outputs = job.shapes[job.shapes.len() - 1].outputs;
        Self {
            arrays: extent::<R>(job).arrays(job),
            step: (vec![R::zero(); outputs], vec![R::zero(); outputs]),
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
        let width = width::<R>();
        let mut total = 0.0;
        for first in block.episodes.clone().step_by(width) {
            let count = width.min(block.episodes.end - first);
            let is_target = self.load(job, block, first, count);
            self.forward(job, layers);
            let losses = self.objective(job, is_target, count);
            total = losses[..count].iter().fold(total, |sum, loss| sum + loss);
            if job.gradient {
                self.backward(job, layers, count);
            }
            if let Some(results) = &mut results {
                let within = first - block.episodes.start;
                results.losses[within..][..count].copy_from_slice(&losses[..count]);
                self.store(job, results, within, count);
            }
        }
        total
    }

    /// Takes `count` episodes from number `first` of the batch on in; returns whether they have targets. Lanes without an
    /// episode get the first one's input and traces, and gradients of zero.
    fn load(&mut self, job: &Job, block: &Block<'_, '_, R>, first: usize, count: usize) -> bool {
        let group = block.group(first..first + count, &mut self.arrays.generated);
        vectorise(Interleave {
            from: group.input,
            count,
            empty: Empty::First,
            to: &mut self.arrays.activities[0].input,
        });
        for layer in 0..job.shapes.len() {
            let arrays = [
                (
                    group.initial_traces(layer),
                    Empty::First,
                    &mut self.arrays.activities[layer].initial_trace,
                ),
                (
                    group.trace_gradients(layer),
                    Empty::Zero,
                    &mut self.arrays.trace_gradients[layer],
                ),
            ];
            for (from, empty, to) in arrays {
                if let Some(from) = from {
                    vectorise(Interleave {
                        from,
                        count,
                        empty,
                        to,
                    });
                }
            }
        }
        if !group.is_target {
            match group.objective {
                Some(from) => vectorise(Interleave {
                    from,
                    count,
                    empty: Empty::Zero,
                    to: &mut self.arrays.output_gradient,
                }),
                None => self.arrays.output_gradient.fill(R::zero()),
            }
            return false;
        }
        self.arrays.output_gradient.fill(R::zero());
        if let Some(target) = group.objective {
            self.arrays.target[..target.len()].copy_from_slice(target);
        }
        for (n, mask) in self
            .arrays
            .mask
            .chunks_exact_mut(job.steps)
            .enumerate()
            .take(count)
        {
            for (t, mask) in mask.iter_mut().enumerate() {
                *mask = group.mask(n, t);
            }
        }
        true
    }

    fn forward(&mut self, job: &Job, layers: &[Synapses<R>]) {
        let width = width::<R>();
        for (index, shape) in job.shapes.iter().enumerate() {
            let (before, after) = self.arrays.activities.split_at_mut(index + 1);
            let activity = &mut before[index];
            let parallel = chunks::is_split(job, shape, width);
            forward(
                shape,
                &layers[index],
                activity,
                &mut self.arrays.scratch,
                parallel,
            );
            if let Some(next) = after.first_mut() {
                vectorise(Transpose {
                    from: &activity.output,
                    columns: job.steps,
                    to: &mut next.input,
                });
            }
        }
    }

    /// The episodes' losses; leaves the gradient on the output in place.
    fn objective(&mut self, job: &Job, is_target: bool, count: usize) -> [f64; lanes::MOST] {
        let mut losses = [0.0; lanes::MOST];
        if !is_target {
            return losses;
        }
        let width = width::<R>();
        let last = job.shapes.len() - 1;
        let outputs = job.shapes[last].outputs;
        let batch = R::from_f64(job.batch as f64);
        let (output, gradient) = &mut self.step;
        for (lane, loss) in losses.iter_mut().enumerate().take(count) {
            for t in 0..job.steps {
                let mask = self.arrays.mask[lane * job.steps + t];
                if mask == R::zero() {
                    gradient.fill(R::zero());
                } else {
                    for (o, y) in output.iter_mut().enumerate() {
                        *y =
                            self.arrays.activities[last].output[(o * job.steps + t) * width + lane];
                    }
                    let target = lanes::of(&self.arrays.target, lane * job.steps + t, outputs);
                    let step = job.loss.step(output, target, mask / batch, gradient);
                    *loss += (mask * step).as_f64();
                }
                let to = lanes::of_mut(&mut self.arrays.output_gradient, t, outputs * width);
                lanes::put_lane(gradient, to, width, lane);
            }
        }
        losses
    }

    fn backward(&mut self, job: &Job, layers: &[Synapses<R>], count: usize) {
        let width = width::<R>();
        for (index, shape) in job.shapes.iter().enumerate().rev() {
            let signal = &mut self.arrays.signals[index];
            let gradient = self.arrays.input_gradients.get(index + 1);
            let gradient = gradient.unwrap_or(&self.arrays.output_gradient);
            vectorise(Transpose {
                from: gradient,
                columns: shape.outputs,
                to: signal,
            });
            let parallel = chunks::is_split(job, shape, width);
            backward(
                shape,
                &layers[index],
                &self.arrays.activities[index],
                count,
                signal,
                &self.arrays.trace_gradients[index],
                &mut self.arrays.gradients[index],
                &mut self.arrays.initial_gradients[index],
                &mut self.arrays.scratch,
                parallel,
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
                    parallel,
                );
            }
        }
    }

    /// Copies the wanted results of the group out, which begins with number `first` of the block.
    fn store(&mut self, job: &Job, results: &mut Results<'_, R>, first: usize, count: usize) {
        let episodes = results.episodes;
        if !results.output.is_empty() {
            // The gradient on the output is not needed any more.
            vectorise(Transpose {
                from: &self.arrays.activities[job.shapes.len() - 1].output,
                columns: job.steps,
                to: &mut self.arrays.output_gradient,
            });
        }
        let put = |from: &[R], to: &mut [R]| {
            let size = to.len() / episodes;
            if size > 0 {
                vectorise(Deinterleave {
                    from,
                    count,
                    to: &mut to[first * size..][..count * size],
                });
            }
        };
        put(&self.arrays.output_gradient, results.output);
        put(&self.arrays.input_gradients[0], results.input);
        for (activity, to) in self.arrays.activities.iter().zip(&mut results.traces) {
            put(&activity.final_trace, to);
        }
        for (from, to) in self
            .arrays
            .initial_gradients
            .iter()
            .zip(&mut results.initial)
        {
            put(from, to);
        }
    }
}
