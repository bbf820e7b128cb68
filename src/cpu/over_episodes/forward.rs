//! The forward sweep of one layer over a group of episodes; the twin of `shaders/forward.wgsl`.

use super::lanes;
use crate::cpu::arrays::Activity;
use crate::cpu::chunks;
use crate::cpu::layers::{Kind, Shape, Synapses};
use crate::cpu::retention::{CHECKPOINT, checkpoints};
use crate::cpu::segments;
use crate::network::Rule;
use crate::number::Real;
use crate::number::{Kernel, Pair, vectorise};
use pulp::Simd;
use std::ops::Range;

/// Runs the layer over all steps: reads `activity.input` and `initial_trace`, writes the rest.
/// `scratch` has [`lanes::scratch`] elements for every chunk of rows.
pub(super) fn forward<R: Real>(
    shape: &Shape,
    layer: &Synapses<R>,
    activity: &mut Activity<R>,
    scratch: &mut [R],
    parallel: bool,
) {
    let Activity {
        input,
        output,
        drive,
        initial_trace,
        final_trace,
        checkpoints,
    } = activity;
    let steps = input.len() / lanes::row::<R>(shape);
    let of_row = |values: &[R]| values.len() / shape.outputs;
    let widths = [&*output, &*drive, &*final_trace, &*checkpoints].map(|values| of_row(values));
    let chunks = chunks::ranges(shape.outputs)
        .zip(chunks::split(output, widths[0]))
        .zip(chunks::split(drive, widths[1]))
        .zip(chunks::split(final_trace, widths[2]))
        .zip(chunks::split(checkpoints, widths[3]))
        .zip(chunks::parts(
            scratch,
            lanes::scratch::<R>(shape, steps),
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
                rows: range.len(),
                input,
                initial_trace,
                output,
                drive,
                final_trace,
                checkpoints,
                scratch,
            });
        },
    );
}

struct Forward<'a, R> {
    shape: &'a Shape,
    layer: &'a Synapses<R>,
    /// First row of the chunk that the slices below hold.
    first: usize,
    rows: usize,
    input: &'a [R],
    initial_trace: &'a [R],
    output: &'a mut [R],
    drive: &'a mut [R],
    final_trace: &'a mut [R],
    checkpoints: &'a mut [R],
    /// Of each row that waits for the next segment of steps, or of one: the trace, `[I, W]`.
    scratch: &'a mut [R],
}

impl<R: Real> Kernel for Forward<'_, R> {
    #[inline(always)]
    fn run<S: Simd>(mut self, simd: S) {
        let row = self.shape.inputs * R::pair_width::<S>();
        for segment in segments::ranges::<R>(self.input.len() / row, row) {
            for local in 0..self.rows {
                let segment = segment.clone();
                match self.shape.kind {
                    // Each rule by itself, so that its formulas are compiled in.
                    Kind::Plastic(Rule::Hebb) => self.plastic_row(simd, Rule::Hebb, local, segment),
                    Kind::Plastic(Rule::Oja) => self.plastic_row(simd, Rule::Oja, local, segment),
                    Kind::Dense | Kind::Bias => self.fixed_row(simd, local, segment),
                }
            }
        }
    }
}

impl<R: Real> Forward<'_, R> {
    /// A row without a trace.
    #[inline(always)]
    fn fixed_row<S: Simd>(&mut self, simd: S, local: usize, segment: Range<usize>) {
        let width = R::pair_width::<S>();
        let row = self.shape.inputs * width;
        let i = self.first + local;
        let bias = self.layer.bias[i];
        let inputs = self.input.chunks_exact(row);
        let output = lanes::of_mut(self.output, local, inputs.len() * width);
        let steps = inputs.zip(output.chunks_exact_mut(width));
        for (now, y) in steps.skip(segment.start).take(segment.len()) {
            let sum = match self.shape.kind {
                Kind::Bias => Pair::load(simd, lanes::of(now, i, width)),
                _ => lanes::dot(simd, lanes::of_row(&self.layer.weight, i, self.shape), now),
            };
            self.shape.activation.apply(sum + sum.splat(bias)).store(y);
        }
    }

    /// A postsynaptic neuron over a segment of steps. Its trace is passed over once per step: the update of step `t` and the
    /// read-out of step `t + 1` in one go.
    #[inline(always)]
    fn plastic_row<S: Simd>(&mut self, simd: S, rule: Rule, local: usize, segment: Range<usize>) {
        let (width, inputs) = (R::pair_width::<S>(), self.shape.inputs);
        let row = inputs * width;
        let steps = self.input.len() / row;
        let i = self.first + local;
        let weight = lanes::of_row(&self.layer.weight, i, self.shape);
        let plasticity = lanes::of_row(&self.layer.plasticity, i, self.shape);
        let zero = Pair::new(simd, [R::splat(simd, R::zero()); 2]);
        let (bias, rate) = (
            zero.splat(self.layer.bias[i]),
            zero.splat(self.layer.rate[i]),
        );
        let kept = match self.checkpoints {
            [] => 0,
            _ => checkpoints(steps) * row,
        };
        let trace = &mut lanes::of_waiting(self.scratch, local, inputs, width)[..row];
        // A first update that changes nothing gives the read-out of step 0.
        let (mut retention, mut gain) = (zero.splat(R::one()), zero);
        if segment.start > 0 {
            let at = local * steps + segment.start - 1;
            let y = Pair::load(simd, lanes::of(self.output, at, width));
            (retention, gain) = (rule.retention(y, rate), rule.gain(y, rate));
        } else {
            match self.initial_trace {
                [] => trace.fill(R::zero()),
                traces => trace.copy_from_slice(lanes::of(traces, i, row)),
            }
        }
        for t in segment.clone() {
            let (d, g) = (retention.vectors, gain.vectors);
            let (mut fixed, mut plastic) = (zero.vectors, zero.vectors);
            let synapses = R::pairs_mut::<S>(trace)
                .iter_mut()
                .zip(R::pairs::<S>(lanes::of(
                    self.input,
                    t.saturating_sub(1),
                    row,
                )))
                .zip(R::pairs::<S>(lanes::of(self.input, t, row)))
                .zip(weight)
                .zip(plasticity);
            for ((((h, before), x), &w), &a) in synapses {
                let (w, a) = (R::splat(simd, w), R::splat(simd, a));
                for k in 0..2 {
                    let added = R::multiply(simd, g[k], before[k]);
                    h[k] = R::multiply_add(simd, d[k], h[k], added);
                    fixed[k] = R::multiply_add(simd, w, x[k], fixed[k]);
                    let plastic_weight = R::multiply(simd, a, h[k]);
                    plastic[k] = R::multiply_add(simd, plastic_weight, x[k], plastic[k]);
                }
            }
            if kept > 0 && t > 0 && t % CHECKPOINT == 0 {
                let at = local * kept + (t / CHECKPOINT - 1) * row;
                self.checkpoints[at..][..row].copy_from_slice(trace);
            }
            let p = Pair::new(simd, plastic);
            let y = self
                .shape
                .activation
                .apply(bias + Pair::new(simd, fixed) + p);
            (retention, gain) = (rule.retention(y, rate), rule.gain(y, rate));
            let at = local * steps + t;
            y.store(lanes::of_mut(self.output, at, width));
            p.store(lanes::of_mut(self.drive, at, width));
        }
        if !self.final_trace.is_empty() && segment.end == steps {
            let after = lanes::of_mut(self.final_trace, local, row);
            let last = lanes::of(self.input, steps - 1, row);
            let traces = trace.chunks_exact(width).zip(last.chunks_exact(width));
            for (after, (h, x)) in after.chunks_exact_mut(width).zip(traces) {
                let (h, x) = (Pair::load(simd, h), Pair::load(simd, x));
                retention.multiply_add(h, gain * x).store(after);
            }
        }
    }
}
