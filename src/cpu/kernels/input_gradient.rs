//! The gradient on a layer's presynaptic activity over a group of episodes; the twin of `shaders/input_gradient.wgsl`.
//!
//! `∂L/∂x_j(t) = Σ_i δ_i(t) (w_ij + α_ij H_ij(t)) + Σ_i g_i(t) ∂L/∂H_ij(t+1)`: a forward sweep makes `H` again for the
//! first sum, a reverse sweep the adjoint trace for the second.

use super::neurons::Neurons;
use super::parts::{part, part_if_any, part_mut};
use super::pass::Pass;
use super::rows::Scratch;
use super::way::{self, Sweep, Way, pairs, pairs_mut};
use crate::cpu::arrays::{Activity, Adjoint};
use crate::cpu::chunks::{self, CHUNK};
use crate::cpu::shape::Kind;
use crate::number::Real;
use crate::rule::RowRule;
use std::ops::Range;

/// Writes `adjoint.input_gradient`, `[T, N, E]`, with `adjoint.signal` as the reverse sweep leaves it. `partial` has room for
/// one gradient for every chunk of rows.
pub(crate) fn input_gradient<R: Real>(
    pass: Pass<'_, R>,
    activity: &Activity<R>,
    adjoint: &mut Adjoint<R>,
    partial: &mut [R],
    scratch: &mut [R],
) {
    let Adjoint {
        signal,
        input_gradient,
        trace_gradient,
        ..
    } = adjoint;
    let outputs = pass.shape.outputs;
    let blocks = pass.chunk();
    let chunks = chunks::ranges(outputs)
        .map(|rows| rows.start / CHUNK * blocks..pass.shape.along.blocks::<R>(rows.end))
        .zip(partial.chunks_exact_mut(input_gradient.len()))
        .zip(pass.scratch(scratch));
    let (signal, trace_gradient) = (&*signal, &*trace_gradient);
    chunks::for_each(pass.parallel, chunks, |((rows, gradient), scratch)| {
        let sweep = InputGradient {
            pass,
            activity,
            signal,
            trace_gradient,
            rows,
            gradient,
            scratch,
        };
        way::run(pass.shape, sweep);
    });
    chunks::sum_in_order(partial, chunks::count(outputs), input_gradient);
}

/// A chunk of rows, or of blocks of them. A slot of scratch has the trace, then the adjoint trace and the product of the later retentions.
struct InputGradient<'a, R> {
    pass: Pass<'a, R>,
    activity: &'a Activity<R>,
    signal: &'a [R],
    trace_gradient: &'a [R],
    rows: Range<usize>,
    gradient: &'a mut [R],
    scratch: Scratch<'a, R>,
}

impl<R: Real> Sweep<R> for InputGradient<'_, R> {
    #[inline(always)]
    fn plastic<W: Way<Real = R>, P: RowRule>(mut self, way: W, rule: P) {
        self.gradient.fill(R::zero());
        for segment in self.pass.segments::<W>() {
            for i in self.rows.clone() {
                self.through_read_out(way, rule, i, segment.clone());
            }
        }
        for segment in self.pass.segments::<W>().rev() {
            for i in self.rows.clone() {
                self.through_trace(way, rule, i, segment.clone());
            }
        }
    }

    #[inline(always)]
    fn fixed<W: Way<Real = R>>(mut self, way: W) {
        self.gradient.fill(R::zero());
        for segment in self.pass.segments::<W>() {
            for i in self.rows.clone() {
                self.fixed_row(way, i, segment.clone());
            }
        }
    }
}

impl<R: Real> InputGradient<'_, R> {
    /// Adds `δ_i(t) w_ij`, or `δ_i(t)` to its own input where the layer adds a bias alone.
    #[inline(always)]
    fn fixed_row<W: Way<Real = R>>(&mut self, way: W, i: usize, segment: Range<usize>) {
        let (pass, width) = (self.pass, W::width());
        let signal = part(self.signal, i, pass.room * width);
        for t in segment {
            let gradient = part_mut(self.gradient, t, W::input_row(pass.shape));
            let delta = part(signal, t, width);
            if pass.shape.kind == Kind::Bias {
                part_mut(gradient, i, width).copy_from_slice(delta);
                continue;
            }
            let weight = W::coefficients(&pass.synapses.weight, i, pass.shape);
            let delta = way.spread(way.load(delta));
            for (gradient, &w) in W::activities_mut(gradient).iter_mut().zip(weight) {
                way.add_product(gradient, delta, way.coefficient(w));
            }
        }
    }

    /// Adds `δ_i(t) (w_ij + α_ij H_ij(t))`.
    #[inline(always)]
    fn through_read_out<W: Way<Real = R>, P: RowRule>(
        &mut self,
        way: W,
        rule: P,
        i: usize,
        segment: Range<usize>,
    ) {
        let (pass, simd, width) = (self.pass, way.simd(), W::width());
        let size = W::row(pass.shape);
        let weight = W::coefficients(&pass.synapses.weight, i, pass.shape);
        let plasticity = W::coefficients(&pass.synapses.plasticity, i, pass.shape);
        let neurons = Neurons::new(way, pass, i, &self.activity.modulators);
        let output = part(&self.activity.output, i, pass.room * width);
        let signal = part(self.signal, i, pass.room * width);
        let slot = self.scratch.slot(i - self.rows.start, self.rows.len());
        let trace = &mut slot[..size];
        if segment.start == 0 {
            match part_if_any(&self.activity.initial_trace, i, size) {
                Some(initial) => trace.copy_from_slice(initial),
                None => trace.fill(R::zero()),
            }
        }
        for t in segment {
            let at = neurons.at(rule, t, way.load(part(output, t, width)));
            let d = way.spread(rule.retention(at));
            let g = way.spread(rule.gain(at));
            let delta = way.spread(way.load(part(signal, t, width)));
            let gradient = part_mut(self.gradient, t, W::input_row(pass.shape));
            let synapses = W::activities_mut(gradient)
                .iter_mut()
                .zip(pairs_mut::<W>(trace))
                .zip(W::activities(&self.activity.input, t, pass.shape))
                .zip(weight)
                .zip(plasticity);
            for ((((gradient, h), &x), &w), &a) in synapses {
                let (w, a) = (way.coefficient(w), way.coefficient(a));
                let x = way.activity(x);
                let connection = [
                    R::multiply_add(simd, a[0], h[0], w[0]),
                    R::multiply_add(simd, a[1], h[1], w[1]),
                ];
                way.add_product(gradient, delta, connection);
                for k in 0..2 {
                    h[k] = R::multiply_add(simd, d[k], h[k], R::multiply(simd, g[k], x[k]));
                }
            }
        }
    }

    /// Adds `g_i(t) ∂L/∂H_ij(t+1)`.
    #[inline(always)]
    fn through_trace<W: Way<Real = R>, P: RowRule>(
        &mut self,
        way: W,
        rule: P,
        i: usize,
        segment: Range<usize>,
    ) {
        let (pass, simd, width) = (self.pass, way.simd(), W::width());
        let size = W::row(pass.shape);
        let plasticity = W::coefficients(&pass.synapses.plasticity, i, pass.shape);
        let neurons = Neurons::new(way, pass, i, &self.activity.modulators);
        let output = part(&self.activity.output, i, pass.room * width);
        let signal = part(self.signal, i, pass.room * width);
        let upstream = part_if_any(self.trace_gradient, i, size);
        let slot = self.scratch.slot(i - self.rows.start, self.rows.len());
        let (adjoint, kept_decay) = slot.split_at_mut(size);
        let mut decay = neurons.constant(1.0);
        if segment.end < pass.end {
            decay = way.load(kept_decay);
        } else {
            adjoint.fill(R::zero());
        }
        for t in segment.rev() {
            let at = neurons.at(rule, t, way.load(part(output, t, width)));
            let (retention, gain) = (rule.retention(at), rule.gain(at));
            let gradient = part_mut(self.gradient, t, W::input_row(pass.shape));
            let gradient = W::activities_mut(gradient);
            if let Some(upstream) = upstream {
                let factor = way.spread(gain * decay);
                for (gradient, &u) in gradient.iter_mut().zip(pairs::<W>(upstream)) {
                    way.add_product(gradient, factor, u);
                }
            }
            let (d, g) = (way.spread(retention), way.spread(gain));
            let delta = way.spread(way.load(part(signal, t, width)));
            let synapses = gradient
                .iter_mut()
                .zip(pairs_mut::<W>(adjoint))
                .zip(W::activities(&self.activity.input, t, pass.shape))
                .zip(plasticity);
            for (((gradient, m), &x), &a) in synapses {
                let (a, x) = (way.coefficient(a), way.activity(x));
                let weighted = [R::multiply(simd, a[0], m[0]), R::multiply(simd, a[1], m[1])];
                way.add_product(gradient, g, weighted);
                for k in 0..2 {
                    m[k] = R::multiply_add(simd, d[k], m[k], R::multiply(simd, delta[k], x[k]));
                }
            }
            decay = decay * retention;
        }
        way.store(decay, kept_decay);
    }
}
