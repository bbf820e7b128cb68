//! The gradient on a layer's presynaptic activity over one episode; the twin of `shaders/input_gradient.wgsl`.
//!
//! `∂L/∂x_j(t) = Σ_i δ_i(t) (w_ij + α_ij H_ij(t)) + Σ_i g_i(t) ∂L/∂H_ij(t+1)`: a forward sweep makes `H` again for the
//! first sum, a reverse sweep the adjoint trace for the second. Both go over a few steps' rows at a time.

use super::rows;
use crate::cpu::arrays::Activity;
use crate::cpu::chunks;
use crate::cpu::layers::{Kind, Shape, Synapses};
use crate::cpu::segments;
use crate::network::Rule;
use crate::number::Real;
use crate::number::{Kernel, vectorise};
use pulp::Simd;
use std::ops::Range;

/// Writes `∂L/∂x` to `gradient`, `[T, row]`. `signal`, `[O, T]`, holds `δ`, as the reverse sweep leaves it.
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
    let steps = size / shape.row;
    let chunks = chunks::ranges(shape.outputs)
        .zip(chunks::parts(partial, size, shape.outputs))
        .zip(chunks::parts(
            scratch,
            rows::scratch::<R>(shape, steps),
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
    /// Of each row that waits for the next segment of steps, or of one: the trace, then the adjoint trace.
    scratch: &'a mut [R],
}

impl<R: Real> Kernel for InputGradient<'_, R> {
    #[inline(always)]
    fn run<S: Simd>(mut self, simd: S) {
        let row = self.shape.row;
        self.gradient.fill(R::zero());
        let segments = segments::ranges::<R>(self.gradient.len() / row, row);
        for segment in segments.clone() {
            for i in self.rows.clone() {
                let segment = segment.clone();
                match self.shape.kind {
                    Kind::Plastic(rule) => self.through_read_out(simd, rule, i, segment),
                    Kind::Dense | Kind::Bias => self.fixed_row(simd, i, segment),
                }
            }
        }
        if let Kind::Plastic(rule) = self.shape.kind {
            let mut decays = [R::one(); chunks::CHUNK];
            for segment in segments.rev() {
                for (i, decay) in self.rows.clone().zip(&mut decays) {
                    self.through_trace(simd, rule, i, segment.clone(), decay);
                }
            }
        }
    }
}

impl<R: Real> InputGradient<'_, R> {
    /// Adds `δ_i(t) w_ij`, or `δ_i(t)` to its own input where the layer adds a bias alone.
    #[inline(always)]
    fn fixed_row<S: Simd>(&mut self, simd: S, i: usize, segment: Range<usize>) {
        let row = self.shape.row;
        let signal = rows::of(self.signal, i, self.gradient.len() / row);
        for t in segment {
            let gradient = &mut self.gradient[t * row..][..row];
            match self.shape.kind {
                Kind::Bias => gradient[i] = signal[t],
                _ => {
                    let weight = rows::of(&self.layer.weight, i, row);
                    rows::add_scaled(simd, signal[t], weight, gradient);
                }
            }
        }
    }

    /// Adds `δ_i(t) (w_ij + α_ij H_ij(t))`.
    #[inline(always)]
    fn through_read_out<S: Simd>(&mut self, simd: S, rule: Rule, i: usize, segment: Range<usize>) {
        let row = self.shape.row;
        let steps = self.gradient.len() / row;
        let signal = rows::of(self.signal, i, steps);
        let slot = rows::slot::<R>(self.shape, steps, i - self.rows.start);
        let trace = &mut self.scratch[slot * row..][..row];
        let weight = rows::of(&self.layer.weight, i, row);
        let plasticity = rows::of(&self.layer.plasticity, i, row);
        let (rate, output) = (
            self.layer.rate[i],
            rows::of(&self.activity.output, i, steps),
        );
        if segment.start == 0 {
            rows::load(trace, &self.activity.initial_trace, i);
        }
        for t in segment {
            let (delta, y) = (signal[t], output[t]);
            let (d, g) = (rule.retention(y, rate), rule.gain(y, rate));
            let x = rows::of(&self.activity.input, t, row);
            let gradient = &mut self.gradient[t * row..][..row];
            let (delta, d) = (R::splat(simd, delta), R::splat(simd, d));
            let g = R::splat(simd, g);
            let pairs = R::pairs_mut::<S>(gradient)
                .iter_mut()
                .zip(R::pairs_mut::<S>(trace))
                .zip(R::pairs::<S>(weight))
                .zip(R::pairs::<S>(plasticity))
                .zip(R::pairs::<S>(x));
            for ((((gradient, h), w), a), x) in pairs {
                for k in 0..2 {
                    let connection = R::multiply_add(simd, a[k], h[k], w[k]);
                    gradient[k] = R::multiply_add(simd, delta, connection, gradient[k]);
                    h[k] = R::multiply_add(simd, d, h[k], R::multiply(simd, g, x[k]));
                }
            }
        }
    }

    /// Adds `g_i(t) ∂L/∂H_ij(t+1)`.
    #[inline(always)]
    fn through_trace<S: Simd>(
        &mut self,
        simd: S,
        rule: Rule,
        i: usize,
        segment: Range<usize>,
        decay: &mut R,
    ) {
        let row = self.shape.row;
        let steps = self.gradient.len() / row;
        let signal = rows::of(self.signal, i, steps);
        let slot = rows::slot::<R>(self.shape, steps, i - self.rows.start);
        let adjoint = &mut self.scratch[slot * row..][..row];
        let plasticity = rows::of(&self.layer.plasticity, i, row);
        let (rate, output) = (
            self.layer.rate[i],
            rows::of(&self.activity.output, i, steps),
        );
        let upstream =
            (!self.trace_gradient.is_empty()).then(|| rows::of(self.trace_gradient, i, row));
        if segment.end == steps {
            adjoint.fill(R::zero());
        }
        for t in segment.rev() {
            let (delta, y) = (signal[t], output[t]);
            let (d, g) = (rule.retention(y, rate), rule.gain(y, rate));
            let x = rows::of(&self.activity.input, t, row);
            let gradient = &mut self.gradient[t * row..][..row];
            if let Some(upstream) = upstream {
                rows::add_scaled(simd, g * *decay, upstream, gradient);
            }
            let gain = R::splat(simd, g);
            let pairs = R::pairs_mut::<S>(gradient)
                .iter_mut()
                .zip(R::pairs::<S>(adjoint))
                .zip(R::pairs::<S>(plasticity));
            for ((gradient, m), a) in pairs {
                for k in 0..2 {
                    let weighted = R::multiply(simd, a[k], m[k]);
                    gradient[k] = R::multiply_add(simd, gain, weighted, gradient[k]);
                }
            }
            rows::update(simd, d, delta, x, adjoint);
            *decay *= d;
        }
    }
}
