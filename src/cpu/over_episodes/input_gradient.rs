//! The gradient on a layer's presynaptic activity over a group of episodes; the twin of `shaders/input_gradient.wgsl`.
//!
//! `∂L/∂x_j(t) = Σ_i δ_i(t) (w_ij + α_ij H_ij(t)) + Σ_i g_i(t) ∂L/∂H_ij(t+1)`: a forward sweep makes `H` again for the
//! first sum, a reverse sweep the adjoint trace for the second.

use super::lanes;
use crate::cpu::arrays::Activity;
use crate::cpu::chunks;
use crate::cpu::layers::{Kind, Shape, Synapses};
use crate::cpu::segments;
use crate::network::Rule;
use crate::number::Real;
use crate::number::{Kernel, Pair, vectorise};
use pulp::Simd;
use std::ops::Range;

/// Writes `∂L/∂x` to `gradient`, `[T, I, W]`. `signal`, `[O, T, W]`, holds `δ`, as the reverse sweep leaves it.
/// `partial` has room for one gradient for every chunk of rows.
#[expect(clippy::too_many_arguments, reason = "each is one array of the sweep")]
pub(super) fn input_gradient<R: Real>(
    shape: &Shape,
    layer: &Synapses<R>,
    activity: &Activity<R>,
    signal: &[R],
    trace_gradient: &[R],
    gradient: &mut [R],
    partial: &mut [R],
    scratch: &mut [R],
    parallel: bool,
) {
    let size = gradient.len();
    let steps = size / lanes::row::<R>(shape);
    let chunks = chunks::ranges(shape.outputs)
        .zip(chunks::parts(partial, size, shape.outputs))
        .zip(chunks::parts(
            scratch,
            lanes::scratch::<R>(shape, steps),
            shape.outputs,
        ));
    chunks::for_each(parallel, chunks, |((rows, gradient), scratch)| {
        vectorise(InputGradient {
            shape,
            layer,
            activity,
            signal,
            trace_gradient,
            rows,
            gradient,
            scratch,
        });
    });
    chunks::sum_in_order(partial, chunks::count(shape.outputs), gradient);
}

struct InputGradient<'a, R> {
    shape: &'a Shape,
    layer: &'a Synapses<R>,
    activity: &'a Activity<R>,
    signal: &'a [R],
    trace_gradient: &'a [R],
    rows: Range<usize>,
    gradient: &'a mut [R],
    /// Of each row that waits for the next segment of steps, or of one: the trace, then the adjoint trace, `[I, W]`, and
    /// the product of the later retentions, `[W]`.
    scratch: &'a mut [R],
}

impl<R: Real> Kernel for InputGradient<'_, R> {
    #[inline(always)]
    fn run<S: Simd>(mut self, simd: S) {
        self.gradient.fill(R::zero());
        let row = self.shape.inputs * R::pair_width::<S>();
        let segments = segments::ranges::<R>(self.gradient.len() / row, row);
        for segment in segments.clone() {
            for i in self.rows.clone() {
                let segment = segment.clone();
                match self.shape.kind {
                    // Each rule by itself, so that its formulas are compiled in.
                    Kind::Plastic(Rule::Hebb) => {
                        self.through_read_out(simd, Rule::Hebb, i, segment);
                    }
                    Kind::Plastic(Rule::Oja) => self.through_read_out(simd, Rule::Oja, i, segment),
                    Kind::Dense | Kind::Bias => self.fixed_row(simd, i, segment),
                }
            }
        }
        if let Kind::Plastic(rule) = self.shape.kind {
            for segment in segments.rev() {
                for i in self.rows.clone() {
                    let segment = segment.clone();
                    match rule {
                        Rule::Hebb => self.through_trace(simd, Rule::Hebb, i, segment),
                        Rule::Oja => self.through_trace(simd, Rule::Oja, i, segment),
                    }
                }
            }
        }
    }
}

impl<R: Real> InputGradient<'_, R> {
    /// Adds `δ_i(t) w_ij`, or `δ_i(t)` to its own input where the layer adds a bias alone.
    #[inline(always)]
    fn fixed_row<S: Simd>(&mut self, simd: S, i: usize, segment: Range<usize>) {
        let (width, inputs) = (R::pair_width::<S>(), self.shape.inputs);
        let steps = self.gradient.chunks_exact_mut(inputs * width);
        let signal = lanes::of(self.signal, i, steps.len() * width);
        let steps = steps.zip(signal.chunks_exact(width));
        for (gradient, delta) in steps.skip(segment.start).take(segment.len()) {
            if self.shape.kind == Kind::Bias {
                lanes::of_mut(gradient, i, width).copy_from_slice(delta);
                continue;
            }
            let weight = lanes::of_row(&self.layer.weight, i, self.shape);
            let delta = R::pairs::<S>(delta)[0];
            for (gradient, &w) in R::pairs_mut::<S>(gradient).iter_mut().zip(weight) {
                let w = R::splat(simd, w);
                for k in 0..2 {
                    gradient[k] = R::multiply_add(simd, delta[k], w, gradient[k]);
                }
            }
        }
    }

    /// Adds `δ_i(t) (w_ij + α_ij H_ij(t))`.
    #[inline(always)]
    fn through_read_out<S: Simd>(&mut self, simd: S, rule: Rule, i: usize, segment: Range<usize>) {
        let (width, inputs) = (R::pair_width::<S>(), self.shape.inputs);
        let row = inputs * width;
        let steps = self.gradient.len() / row;
        let weight = lanes::of_row(&self.layer.weight, i, self.shape);
        let plasticity = lanes::of_row(&self.layer.plasticity, i, self.shape);
        let zero = Pair::new(simd, [R::splat(simd, R::zero()); 2]);
        let rate = zero.splat(self.layer.rate[i]);
        let output = lanes::of(&self.activity.output, i, steps * width);
        let signal = lanes::of(self.signal, i, steps * width);
        let scratch = lanes::of_waiting(self.scratch, i - self.rows.start, inputs, width);
        let trace = &mut scratch[..row];
        if segment.start == 0 {
            match self.activity.initial_trace.as_slice() {
                [] => trace.fill(R::zero()),
                traces => trace.copy_from_slice(lanes::of(traces, i, row)),
            }
        }
        for t in segment {
            let y = Pair::load(simd, lanes::of(output, t, width));
            let (d, g) = (rule.retention(y, rate).vectors, rule.gain(y, rate).vectors);
            let delta = R::pairs::<S>(lanes::of(signal, t, width))[0];
            let synapses = R::pairs_mut::<S>(lanes::of_mut(self.gradient, t, row))
                .iter_mut()
                .zip(R::pairs_mut::<S>(trace))
                .zip(R::pairs::<S>(lanes::of(&self.activity.input, t, row)))
                .zip(weight)
                .zip(plasticity);
            for ((((gradient, h), x), &w), &a) in synapses {
                let (w, a) = (R::splat(simd, w), R::splat(simd, a));
                for k in 0..2 {
                    let connection = R::multiply_add(simd, a, h[k], w);
                    gradient[k] = R::multiply_add(simd, delta[k], connection, gradient[k]);
                    h[k] = R::multiply_add(simd, d[k], h[k], R::multiply(simd, g[k], x[k]));
                }
            }
        }
    }

    /// Adds `g_i(t) ∂L/∂H_ij(t+1)`.
    #[inline(always)]
    fn through_trace<S: Simd>(&mut self, simd: S, rule: Rule, i: usize, segment: Range<usize>) {
        let (width, inputs) = (R::pair_width::<S>(), self.shape.inputs);
        let row = inputs * width;
        let steps = self.gradient.len() / row;
        let plasticity = lanes::of_row(&self.layer.plasticity, i, self.shape);
        let zero = Pair::new(simd, [R::splat(simd, R::zero()); 2]);
        let rate = zero.splat(self.layer.rate[i]);
        let output = lanes::of(&self.activity.output, i, steps * width);
        let signal = lanes::of(self.signal, i, steps * width);
        let upstream = match self.trace_gradient {
            [] => None,
            gradients => Some(lanes::of(gradients, i, row)),
        };
        let scratch = lanes::of_waiting(self.scratch, i - self.rows.start, inputs, width);
        let (adjoint, kept_decay) = scratch.split_at_mut(row);
        let mut decay = zero.splat(R::one());
        if segment.end < steps {
            decay = Pair::load(simd, kept_decay);
        } else {
            adjoint.fill(R::zero());
        }
        for t in segment.rev() {
            let y = Pair::load(simd, lanes::of(output, t, width));
            let (retention, gain) = (rule.retention(y, rate), rule.gain(y, rate));
            let gradient = R::pairs_mut::<S>(lanes::of_mut(self.gradient, t, row));
            if let Some(upstream) = upstream {
                let factor = gain * decay;
                for (gradient, &u) in gradient.iter_mut().zip(R::pairs::<S>(upstream)) {
                    let sum = Pair::new(simd, *gradient);
                    *gradient = factor.multiply_add(Pair::new(simd, u), sum).vectors;
                }
            }
            let (d, g) = (retention.vectors, gain.vectors);
            let delta = R::pairs::<S>(lanes::of(signal, t, width))[0];
            let synapses = gradient
                .iter_mut()
                .zip(R::pairs_mut::<S>(adjoint))
                .zip(R::pairs::<S>(lanes::of(&self.activity.input, t, row)))
                .zip(plasticity);
            for (((gradient, m), x), &a) in synapses {
                let a = R::splat(simd, a);
                for k in 0..2 {
                    let weighted = R::multiply(simd, a, m[k]);
                    gradient[k] = R::multiply_add(simd, g[k], weighted, gradient[k]);
                    m[k] = R::multiply_add(simd, d[k], m[k], R::multiply(simd, delta[k], x[k]));
                }
            }
            decay = decay * retention;
        }
        decay.store(kept_decay);
    }
}
