//! The forward sweep of one layer over one episode; the twin of `shaders/forward.wgsl`.

use super::rows;
use crate::cpu::arrays::Activity;
use crate::cpu::chunks;
use crate::cpu::layers::{Kind, Shape, Synapses};
use crate::cpu::retention::{CHECKPOINT, checkpoints};
use crate::cpu::segments;
use crate::network::Rule;
use crate::number::Real;
use crate::number::{Kernel, vectorise};
use pulp::Simd;
use std::ops::Range;

/// Runs the layer over all steps: reads `activity.input` and `initial_trace`, writes the rest.
/// `scratch` has [`rows::scratch`] elements for every chunk of rows.
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
    let chunks = chunks::ranges(shape.outputs)
        .zip(chunks::split(output, steps))
        .zip(chunks::split(drive, steps))
        .zip(chunks::split(final_trace, shape.row))
        .zip(chunks::split(checkpoints, kept))
        .zip(chunks::parts(
            scratch,
            rows::scratch::<R>(shape, steps),
            shape.outputs,
        ));
    chunks::for_each(
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
                traces: scratch,
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
    /// Of each row that waits for the next segment of steps, or of those worked on together: `[…, row]`.
    traces: &'a mut [R],
}

impl<R: Real> Kernel for Forward<'_, R> {
    #[inline(always)]
    fn run<S: Simd>(mut self, simd: S) {
        let row = self.shape.row;
        let steps = self.input.len() / row;
        let count = self.output.len() / steps;
        for segment in segments::ranges::<R>(steps, row) {
            match self.shape.kind {
                Kind::Plastic(rule) => {
                    for first in (0..count).step_by(rows::TOGETHER) {
                        let locals = first..(first + rows::TOGETHER).min(count);
                        self.plastic_rows(simd, rule, locals, segment.clone());
                    }
                }
                Kind::Dense | Kind::Bias => self.fixed_rows(simd, segment),
            }
        }
    }
}

impl<R: Real> Forward<'_, R> {
    /// All rows, without traces.
    #[inline(always)]
    fn fixed_rows<S: Simd>(&mut self, simd: S, segment: Range<usize>) {
        let (shape, layer, row) = (self.shape, self.layer, self.shape.row);
        let steps = self.input.len() / row;
        for (local, output) in self.output.chunks_exact_mut(steps).enumerate() {
            let i = self.first + local;
            for t in segment.clone() {
                let x = rows::of(self.input, t, row);
                let sum = match shape.kind {
                    Kind::Bias => x[i],
                    _ => rows::dot(simd, rows::of(&layer.weight, i, row), x),
                };
                output[t] = shape.activation.apply(layer.bias[i] + sum);
            }
        }
    }

    /// A few postsynaptic neurons over a segment of steps, together, so that the processor works on one while another waits
    /// for its sum. Each trace row is passed over once per step: the update of step `t` and the read-out of step `t + 1` in
    /// one go.
    #[inline(always)]
    fn plastic_rows<S: Simd>(
        &mut self,
        simd: S,
        rule: Rule,
        locals: Range<usize>,
        segment: Range<usize>,
    ) {
        let (layer, row) = (self.layer, self.shape.row);
        let activation = self.shape.activation;
        let steps = self.input.len() / row;
        let kept = match self.checkpoints {
            [] => 0,
            _ => checkpoints(steps) * row,
        };
        let slot = rows::slot::<R>(self.shape, steps, locals.start);
        let traces = &mut self.traces[slot * row..];
        // A first update that changes nothing gives the read-out of step 0.
        let mut updates = [(R::one(), R::zero()); rows::TOGETHER];
        for (n, local) in locals.clone().enumerate() {
            let i = self.first + local;
            if segment.start == 0 {
                rows::load(&mut traces[n * row..][..row], self.initial_trace, i);
            } else {
                let (y, rate) = (
                    self.output[local * steps + segment.start - 1],
                    layer.rate[i],
                );
                updates[n] = (rule.retention(y, rate), rule.gain(y, rate));
            }
        }
        let zero = R::splat(simd, R::zero());
        for t in segment.clone() {
            let before = rows::of(self.input, t.saturating_sub(1), row);
            let now = rows::of(self.input, t, row);
            for (n, local) in locals.clone().enumerate() {
                let i = self.first + local;
                let (retention, gain) = updates[n];
                let (retention, gain) = (R::splat(simd, retention), R::splat(simd, gain));
                let trace = &mut traces[n * row..][..row];
                let (mut fixed, mut plastic) = ([zero; 2], [zero; 2]);
                let pairs = R::pairs_mut::<S>(trace)
                    .iter_mut()
                    .zip(R::pairs::<S>(rows::of(&layer.weight, i, row)))
                    .zip(R::pairs::<S>(rows::of(&layer.plasticity, i, row)))
                    .zip(R::pairs::<S>(before))
                    .zip(R::pairs::<S>(now));
                for ((((h, w), a), x_before), x) in pairs {
                    for k in 0..2 {
                        let added = R::multiply(simd, gain, x_before[k]);
                        h[k] = R::multiply_add(simd, retention, h[k], added);
                        fixed[k] = R::multiply_add(simd, w[k], x[k], fixed[k]);
                        let plastic_weight = R::multiply(simd, a[k], h[k]);
                        plastic[k] = R::multiply_add(simd, plastic_weight, x[k], plastic[k]);
                    }
                }
                if kept > 0 && t > 0 && t % CHECKPOINT == 0 {
                    let at = local * kept + (t / CHECKPOINT - 1) * row;
                    self.checkpoints[at..][..row].copy_from_slice(trace);
                }
                let p = R::sum_lanes(simd, plastic[0], plastic[1]);
                let fixed = R::sum_lanes(simd, fixed[0], fixed[1]);
                let rate = layer.rate[i];
                let y = activation.apply(layer.bias[i] + fixed + p);
                (
                    self.output[local * steps + t],
                    self.drive[local * steps + t],
                ) = (y, p);
                updates[n] = (rule.retention(y, rate), rule.gain(y, rate));
            }
        }
        if self.final_trace.is_empty() || segment.end < steps {
            return;
        }
        let last = rows::of(self.input, steps - 1, row);
        for (n, local) in locals.enumerate() {
            let (retention, gain) = updates[n];
            let trace = &mut traces[n * row..][..row];
            rows::update(simd, retention, gain, last, trace);
            self.final_trace[local * row..][..row].copy_from_slice(trace);
        }
    }
}
