//! The gradient on a layer's presynaptic activity over a group of episodes; the twin of `shaders/input_gradient.wgsl`.
//!
//! `∂L/∂x_j(t) = Σ_i δ_i(t) (w_ij + α_ij H_ij(t)) + Σ_i g_i(t) ∂L/∂H_ij(t+1)`: a forward sweep makes `H` again for the
//! first sum, a reverse sweep the adjoint trace for the second.

use super::forward::Activity;
use super::lanes::{self, BLOCK};
use crate::cpu::chunks;
use crate::cpu::layers::{Kind, Shape, Synapses};
use crate::cpu::simd::{Kernel, vectorise};
use crate::{Real, Rule};
use pulp::Simd;

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
    let row = lanes::row::<R>(shape);
    let chunks = chunks::ranges(shape.outputs)
        .zip(partial.chunks_exact_mut(size))
        .zip(scratch.chunks_mut(lanes::scratch::<R>(shape, size / row)));
    chunks::for_each(parallel, chunks, |((rows, gradient), scratch)| {
        vectorise(InputGradient {
            shape,
            layer,
            activity,
            signal,
            trace_gradient,
            rows,
            gradient,
            row: &mut scratch[..row],
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
    rows: std::ops::Range<usize>,
    gradient: &'a mut [R],
    /// The trace, then the adjoint trace, `[I, W]`.
    row: &'a mut [R],
}

impl<R: Real> Kernel for InputGradient<'_, R> {
    #[inline(always)]
    fn run<S: Simd>(mut self, simd: S) {
        self.gradient.fill(R::zero());
        for i in self.rows.clone() {
            match self.shape.kind {
                // Each rule by itself, so that its formulas are compiled in.
                Kind::Plastic(Rule::Hebb) => self.plastic_row(simd, Rule::Hebb, i),
                Kind::Plastic(Rule::Oja) => self.plastic_row(simd, Rule::Oja, i),
                Kind::Dense | Kind::Bias => self.fixed_row(simd, i),
            }
        }
    }
}

impl<R: Real> InputGradient<'_, R> {
    /// Adds `δ_i(t) w_ij`, or `δ_i(t)` to its own input where the layer adds a bias alone.
    #[inline(always)]
    fn fixed_row<S: Simd>(&mut self, simd: S, i: usize) {
        let (width, inputs) = (R::pair_width::<S>(), self.shape.inputs);
        let steps = self.gradient.chunks_exact_mut(inputs * width);
        let signal = lanes::of(self.signal, i, steps.len() * width);
        for (gradient, delta) in steps.zip(signal.chunks_exact(width)) {
            if self.shape.kind == Kind::Bias {
                lanes::of_mut(gradient, i, width).copy_from_slice(delta);
                continue;
            }
            let weight = &self.layer.weight[i * self.shape.row..][..inputs];
            let delta = R::pairs::<S>(delta)[0];
            for (gradient, &w) in R::pairs_mut::<S>(gradient).iter_mut().zip(weight) {
                let w = R::splat(simd, w);
                for k in 0..2 {
                    gradient[k] = R::multiply_add(simd, delta[k], w, gradient[k]);
                }
            }
        }
    }

    /// Adds `δ_i(t) (w_ij + α_ij H_ij(t))`, then `g_i(t) ∂L/∂H_ij(t+1)`.
    #[inline(always)]
    fn plastic_row<S: Simd>(&mut self, simd: S, rule: Rule, i: usize) {
        let (width, inputs) = (R::pair_width::<S>(), self.shape.inputs);
        let row = inputs * width;
        let steps = self.gradient.len() / row;
        let weight = &self.layer.weight[i * self.shape.row..][..inputs];
        let plasticity = &self.layer.plasticity[i * self.shape.row..][..inputs];
        let rate = self.layer.rate[i];
        let output = lanes::of(&self.activity.output, i, steps * width);
        let signal = lanes::of(self.signal, i, steps * width);
        let (mut retention, mut gain) = ([R::one(); BLOCK], [R::zero(); BLOCK]);
        match self.activity.initial_trace.as_slice() {
            [] => self.row.fill(R::zero()),
            traces => self.row.copy_from_slice(lanes::of(traces, i, row)),
        }
        for t in 0..steps {
            for (k, &y) in lanes::of(output, t, width).iter().enumerate() {
                retention[k] = rule.retention(y, rate);
                gain[k] = rule.gain(y, rate);
            }
            let d = R::pairs::<S>(&retention[..width])[0];
            let g = R::pairs::<S>(&gain[..width])[0];
            let delta = R::pairs::<S>(lanes::of(signal, t, width))[0];
            let synapses = R::pairs_mut::<S>(lanes::of_mut(self.gradient, t, row))
                .iter_mut()
                .zip(R::pairs_mut::<S>(self.row))
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
        let upstream = match self.trace_gradient {
            [] => None,
            gradients => Some(lanes::of(gradients, i, row)),
        };
        let mut decay = [R::one(); BLOCK];
        self.row.fill(R::zero());
        for t in (0..steps).rev() {
            let gradient = lanes::of_mut(self.gradient, t, row);
            for (k, &y) in lanes::of(output, t, width).iter().enumerate() {
                retention[k] = rule.retention(y, rate);
                gain[k] = rule.gain(y, rate);
            }
            if let Some(upstream) = upstream {
                for (at, gradient) in gradient.iter_mut().enumerate() {
                    *gradient += gain[at % width] * decay[at % width] * upstream[at];
                }
            }
            let d = R::pairs::<S>(&retention[..width])[0];
            let g = R::pairs::<S>(&gain[..width])[0];
            let delta = R::pairs::<S>(lanes::of(signal, t, width))[0];
            let synapses = R::pairs_mut::<S>(gradient)
                .iter_mut()
                .zip(R::pairs_mut::<S>(self.row))
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
            for k in 0..width {
                decay[k] *= retention[k];
            }
        }
    }
}
