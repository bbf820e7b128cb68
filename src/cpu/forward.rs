//! The forward sweep of one layer over one episode; the twin of `shaders/forward.wgsl`.

use super::layers::{Kind, Shape, Synapses};
use super::rows;
use super::simd::{Kernel, LANES, multiply_add, sum, vectorise};
use crate::{Activation, Real, Rule};

/// What a layer did in one episode. `[O, T]` arrays keep a neuron's steps together.
#[derive(Clone, Debug)]
pub(super) struct Activity<R> {
    /// Presynaptic activity `x`, `[T, row]`, padded with zeros.
    pub input: Vec<R>,
    /// Postsynaptic activity `y`, `[O, T]`.
    pub output: Vec<R>,
    /// The traces' part of the summed input, `p_i(t) = Σ_j α_ij H_ij(t) x_j(t)`, `[O, T]`; plastic layers only.
    pub drive: Vec<R>,
    /// The trace at the first step, `[O, row]`; empty where it is zero.
    pub initial_trace: Vec<R>,
    /// The trace after the last step, `[O, row]`; empty where it is not wanted.
    pub final_trace: Vec<R>,
    /// The traces before steps `CHECKPOINT`, `2 CHECKPOINT`, …, `[O, checkpoints, row]`; empty where the gradient of
    /// the retention is not needed.
    pub checkpoints: Vec<R>,
}

/// Steps between the traces that are kept. The gradient of the retention comes from a sum that is carried back over the
/// steps and never forgets a rounding error; at a checkpoint it is made afresh. Part of the result's last bits.
pub(super) const CHECKPOINT: usize = 64;

/// Checkpoints of an episode.
pub(super) fn checkpoints(steps: usize) -> usize {
    (steps - 1) / CHECKPOINT
}

impl<R: Real> Activity<R> {
    pub fn new(
        shape: &Shape,
        steps: usize,
        initial_trace: bool,
        final_trace: bool,
        gradient: bool,
    ) -> Self {
        let zeros = |wanted, size| vec![R::zero(); if wanted { size } else { 0 }];
        let plastic = shape.is_plastic();
        Self {
            input: zeros(true, steps * shape.row),
            output: zeros(true, steps * shape.outputs),
            drive: zeros(plastic, steps * shape.outputs),
            initial_trace: zeros(plastic && initial_trace, shape.synapses()),
            final_trace: zeros(plastic && final_trace, shape.synapses()),
            checkpoints: zeros(
                gradient && shape.retention_gradient,
                shape.synapses() * checkpoints(steps),
            ),
        }
    }
}

/// Runs the layer over all steps: reads `activity.input` and `initial_trace`, writes the rest.
/// `scratch` has a padded row for every chunk of rows.
pub(super) fn forward<R: Real>(
    shape: &Shape,
    layer: &Synapses<R>,
    activity: &mut Activity<R>,
    scratch: &mut [R],
    parallel: bool,
) {
    let steps = activity.output.len() / shape.outputs;
    let Activity {
        input,
        output,
        drive,
        initial_trace,
        final_trace,
        checkpoints,
    } = activity;
    let kept = checkpoints.len() / shape.outputs;
    let chunks = rows::chunks(shape.outputs)
        .zip(rows::split(output, steps))
        .zip(rows::split(drive, steps))
        .zip(rows::split(final_trace, shape.row))
        .zip(rows::split(checkpoints, kept))
        .zip(scratch.chunks_mut(rows::SCRATCH * shape.row));
    rows::for_each(
        parallel,
        chunks,
        |(((((range, output), drive), final_trace), checkpoints), scratch)| {
            vectorise(Forward {
                shape,
                layer,
                first: range.start,
                input,
                initial_trace,
                output,
                drive,
                final_trace,
                checkpoints,
                trace: &mut scratch[..shape.row],
            });
        },
    );
}

struct Forward<'a, R> {
    shape: &'a Shape,
    layer: &'a Synapses<R>,
    /// First row of the chunk that the slices below hold.
    first: usize,
    input: &'a [R],
    initial_trace: &'a [R],
    output: &'a mut [R],
    drive: &'a mut [R],
    final_trace: &'a mut [R],
    checkpoints: &'a mut [R],
    trace: &'a mut [R],
}

impl<R: Real> Kernel for Forward<'_, R> {
    #[inline(always)]
    fn run<const FUSED: bool>(self) {
        let (shape, layer, row) = (self.shape, self.layer, self.shape.row);
        let steps = self.input.len() / row;
        let kept = match self.checkpoints {
            [] => 0,
            _ => checkpoints(steps) * row,
        };
        for (local, output) in self.output.chunks_exact_mut(steps).enumerate() {
            let i = self.first + local;
            match shape.kind {
                Kind::Plastic(rule) => {
                    rows::load(self.trace, self.initial_trace, i);
                    let drive = &mut self.drive[local * steps..][..steps];
                    plastic_row::<FUSED, R>(
                        rule,
                        shape.activation,
                        rows::of(&layer.weight, i, row),
                        rows::of(&layer.plasticity, i, row),
                        layer.bias[i],
                        layer.rate[i],
                        self.input,
                        self.trace,
                        output,
                        drive,
                        &mut self.checkpoints[local * kept..][..kept],
                    );
                    if !self.final_trace.is_empty() {
                        self.final_trace[local * row..][..row].copy_from_slice(self.trace);
                    }
                }
                Kind::Dense => {
                    let weight = rows::of(&layer.weight, i, row);
                    for (t, y) in output.iter_mut().enumerate() {
                        let z = rows::dot::<FUSED, R>(weight, rows::of(self.input, t, row));
                        *y = shape.activation.apply(layer.bias[i] + z);
                    }
                }
                Kind::Bias => {
                    for (t, y) in output.iter_mut().enumerate() {
                        *y = shape
                            .activation
                            .apply(layer.bias[i] + self.input[t * row + i]);
                    }
                }
            }
        }
    }
}

/// One postsynaptic neuron over all steps. The trace row is passed over once per step: the update of step `t` and the
/// read-out of step `t + 1` in one go.
#[inline(always)]
#[expect(
    clippy::too_many_arguments,
    reason = "the equation's symbols, one by one"
)]
fn plastic_row<const FUSED: bool, R: Real>(
    rule: Rule,
    activation: Activation,
    weight: &[R],
    plasticity: &[R],
    bias: R,
    rate: R,
    input: &[R],
    trace: &mut [R],
    output: &mut [R],
    drive: &mut [R],
    checkpoints: &mut [R],
) {
    let row = trace.len();
    let steps = output.len();
    let mut checkpoints = checkpoints.chunks_exact_mut(row);
    // A first update that changes nothing gives the read-out of step 0.
    let (mut retention, mut gain) = (R::one(), R::zero());
    for t in 0..=steps {
        let before = rows::of(input, t.saturating_sub(1), row);
        if t == steps {
            for (h, &x) in trace.iter_mut().zip(before) {
                *h = multiply_add::<FUSED, R>(retention, *h, gain * x);
            }
            break;
        }
        let now = rows::of(input, t, row);
        let (mut fixed, mut plastic) = ([R::zero(); LANES], [R::zero(); LANES]);
        let lanes = trace
            .chunks_exact_mut(LANES)
            .zip(weight.chunks_exact(LANES))
            .zip(plasticity.chunks_exact(LANES))
            .zip(before.chunks_exact(LANES))
            .zip(now.chunks_exact(LANES));
        for ((((h, w), a), x_before), x) in lanes {
            for lane in 0..LANES {
                h[lane] = multiply_add::<FUSED, R>(retention, h[lane], gain * x_before[lane]);
                fixed[lane] = multiply_add::<FUSED, R>(w[lane], x[lane], fixed[lane]);
                plastic[lane] = multiply_add::<FUSED, R>(a[lane] * h[lane], x[lane], plastic[lane]);
            }
        }
        if t > 0
            && t % CHECKPOINT == 0
            && let Some(checkpoint) = checkpoints.next()
        {
            checkpoint.copy_from_slice(trace);
        }
        let p = sum(plastic);
        let y = activation.apply(bias + sum(fixed) + p);
        (output[t], drive[t]) = (y, p);
        (retention, gain) = (rule.retention(y, rate), rule.gain(y, rate));
    }
}
