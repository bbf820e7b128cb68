//! The arrays of the episodes in progress, the same for both ways to fill a vector.
//!
//! `W` episodes go together, as the last axis, and a row of synapses has `C` elements: one episode with padded rows over
//! synapses, a vector's worth of them with rows as they are over episodes.

use super::chunks;
use super::job::{Generated, Job};
use super::layers::{Shape, Synapses};
use super::retention::checkpoints;
use crate::number::Real;
use crate::number::{self, Aligned};

/// What a layer did. `[O, T, W]` arrays keep a neuron's steps together.
#[derive(Clone, Debug)]
pub(super) struct Activity<R> {
    /// Presynaptic activity `x`, `[T, C, W]`; padding is zero.
    pub input: Aligned<R>,
    /// Postsynaptic activity `y`, `[O, T, W]`.
    pub output: Aligned<R>,
    /// The traces' part of the summed input, `p_i(t) = Σ_j α_ij H_ij(t) x_j(t)`, `[O, T, W]`; plastic layers only.
    pub drive: Aligned<R>,
    /// The trace at the first step, `[O, C, W]`; empty where it is zero.
    pub initial_trace: Aligned<R>,
    /// The trace after the last step, `[O, C, W]`; empty where it is not wanted.
    pub final_trace: Aligned<R>,
    /// The traces before steps `CHECKPOINT`, `2 CHECKPOINT`, …, `[O, checkpoints, C, W]`; empty where the gradient of
    /// the retention is not needed.
    pub checkpoints: Aligned<R>,
}

/// All arrays of `W` episodes.
#[derive(Debug)]
pub(super) struct Arrays<R> {
    /// Sums of the gradients of the block's episodes.
    pub gradients: Vec<Synapses<R>>,
    pub activities: Vec<Activity<R>>,
    /// Per layer, `∂L/∂y`, then `δ`: `[O, T, W]`.
    pub signals: Vec<Aligned<R>>,
    /// Per layer, `∂L/∂x`: `[T, C, W]`.
    pub input_gradients: Vec<Aligned<R>>,
    /// Per layer, the gradient on the final trace, `[O, C, W]`; empty where it is zero.
    pub trace_gradients: Vec<Aligned<R>>,
    /// Per layer, the gradient on the initial trace, `[O, C, W]`; empty where it is not wanted.
    pub initial_gradients: Vec<Aligned<R>>,
    /// The gradient on the last layer's output, `[T, O, W]`.
    pub output_gradient: Aligned<R>,
    /// `[W, T, O]`; how much each step counts, `[W, T]`.
    pub target: Aligned<R>,
    pub mask: Aligned<R>,
    pub generated: Generated<R>,
    /// The gradient on a layer's input from each chunk of rows, `[chunks, T, C, W]`.
    pub partial: Aligned<R>,
    pub scratch: Aligned<R>,
}

/// How rows and episodes are laid out.
pub(super) struct Extent<C, S> {
    /// Elements of a row of synapses, `C`.
    pub columns: C,
    /// Episodes that go together, `W`.
    pub width: usize,
    /// Elements of scratch for one chunk of rows.
    pub scratch: S,
}

impl<C: Fn(&Shape) -> usize, S: Fn(&Shape) -> usize> Extent<C, S> {
    /// Elements of all arrays, about.
    pub fn elements(&self, job: &Job) -> u128 {
        let (steps, width) = (job.steps as u128, self.width as u128);
        let shapes = job.shapes.iter();
        shapes
            .map(|shape| {
                let (columns, outputs) = ((self.columns)(shape) as u128, shape.outputs as u128);
                let chunks = chunks::count(shape.outputs) as u128;
                let synapses = match shape.synapses() {
                    0 => 0,
                    _ => columns * outputs,
                };
                let traces = 4 + checkpoints(job.steps) as u128;
                width * (steps * ((2 + chunks) * columns + 5 * outputs) + traces * synapses)
                    + chunks * (self.scratch)(shape) as u128
            })
            .sum()
    }

    pub fn arrays<R: Real>(&self, job: &Job) -> Arrays<R> {
        let zeros = |wanted: bool, size: usize| match wanted {
            true => number::zeros(size * self.width),
            false => number::zeros(0),
        };
        let (steps, gradient) = (job.steps, job.gradient);
        let columns = |shape: &Shape| (self.columns)(shape);
        let traces = |wanted: bool, shape: &Shape, count: usize| {
            let size = count * shape.outputs * columns(shape);
            zeros(wanted && shape.is_plastic(), size)
        };
        let largest =
            |size: &dyn Fn(&Shape) -> usize| job.shapes.iter().map(size).max().unwrap_or(0);
        let outputs = job.shapes[job.shapes.len() - 1].outputs;
        let each = |array: &dyn Fn(&Shape, usize) -> Aligned<R>| -> Vec<Aligned<R>> {
            let shapes = job.shapes.iter().enumerate();
            shapes.map(|(index, shape)| array(shape, index)).collect()
        };
        let activity = |(shape, &(initial, upstream)): (&Shape, &(bool, bool))| Activity {
            input: zeros(true, steps * columns(shape)),
            output: zeros(true, steps * shape.outputs),
            drive: zeros(shape.is_plastic(), steps * shape.outputs),
            initial_trace: traces(initial, shape, 1),
            final_trace: traces(job.want.final_traces || upstream, shape, 1),
            checkpoints: traces(
                gradient && shape.retention_gradient,
                shape,
                checkpoints(steps),
            ),
        };
        Arrays {
            gradients: job.shapes.iter().map(Synapses::zeros).collect(),
            activities: job.shapes.iter().zip(&job.given).map(activity).collect(),
            signals: each(&|shape, _| zeros(gradient, steps * shape.outputs)),
            input_gradients: each(&|shape, index| {
                let wanted = gradient && job.needs_input_gradient(index);
                zeros(wanted, steps * columns(shape))
            }),
            trace_gradients: each(&|shape, index| traces(gradient && job.given[index].1, shape, 1)),
            initial_gradients: each(&|shape, index| {
                traces(gradient && job.given[index].0, shape, 1)
            }),
            output_gradient: zeros(true, steps * outputs),
            target: zeros(true, steps * outputs),
            mask: zeros(true, steps),
            generated: Generated::default(),
            partial: zeros(
                gradient,
                largest(&|shape| chunks::count(shape.outputs) * columns(shape) * steps),
            ),
            scratch: number::zeros(largest(&|shape| {
                chunks::count(shape.outputs) * (self.scratch)(shape)
            })),
        }
    }
}
