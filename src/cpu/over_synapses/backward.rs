//! The reverse-time sweep of one layer over one episode; the twin of `shaders/backward.wgsl`.
//!
//! It stores no trace. With the adjoint trace `M`, defined by `∂L/∂H_ij(t) = α_ij M_ij(t) + e_i(t) Ḡ_ij` where `Ḡ` is the
//! gradient on the final trace and `e_i` the product of the later retentions, the gradient sweep is itself a Hebbian
//! trace that runs backwards in time (`ARCHITECTURE.md`, "The reverse sweep").

use super::rows;
use crate::cpu::arrays::Activity;
use crate::cpu::chunks;
use crate::cpu::layers::{Kind, Shape, Synapses};
use crate::cpu::retention::{self, CHECKPOINT, checkpoints};
use crate::cpu::segments;
use crate::network::Rule;
use crate::number::Real;
use crate::number::{Kernel, Lanes, vectorise};
use pulp::Simd;
use std::ops::Range;

/// Takes the gradient of a layer. `signal`, `[O, T]`, holds `∂L/∂y` and is overwritten by the gradient on the summed
/// input, `δ`. Adds to `gradient`. `trace_gradient`, `[O, row]`, is the gradient on the final trace, empty where it is
/// zero; `initial_gradient`, `[O, row]`, receives the gradient on the initial trace, unless it is empty.
#[expect(clippy::too_many_arguments, reason = "each is one array of the sweep")]
pub(super) fn backward<R: Real>(
    shape: &Shape,
    layer: &Synapses<R>,
    activity: &Activity<R>,
    signal: &mut [R],
    trace_gradient: &[R],
    gradient: &mut Synapses<R>,
    initial_gradient: &mut [R],
    scratch: &mut [R],
    parallel: bool,
) {
    let steps = signal.len() / shape.outputs;
    let chunks = chunks::ranges(shape.outputs)
        .zip(chunks::split(signal, steps))
        .zip(chunks::split(&mut gradient.weight, shape.row))
        .zip(chunks::split(&mut gradient.plasticity, shape.row))
        .zip(chunks::split(&mut gradient.bias, 1))
        .zip(chunks::split(&mut gradient.rate, 1))
        .zip(chunks::split(initial_gradient, shape.row))
        .zip(chunks::parts(
            scratch,
            rows::scratch::<R>(shape, steps),
            shape.outputs,
        ));
    chunks::for_each(
        parallel,
        chunks,
        |(((((((range, signal), weight), plasticity), bias), rate), initial_gradient), scratch)| {
            vectorise(Backward {
                shape,
                layer,
                activity,
                trace_gradient,
                first: range.start,
                signal,
                weight,
                plasticity,
                bias,
                rate,
                initial_gradient,
                adjoints: scratch,
            });
        },
    );
}

struct Backward<'a, R> {
    shape: &'a Shape,
    layer: &'a Synapses<R>,
    activity: &'a Activity<R>,
    trace_gradient: &'a [R],
    /// First row of the chunk that the slices below hold.
    first: usize,
    signal: &'a mut [R],
    weight: &'a mut [R],
    plasticity: &'a mut [R],
    bias: &'a mut [R],
    rate: &'a mut [R],
    initial_gradient: &'a mut [R],
    /// Of each row that waits for the next segment of steps, or of those worked on together: `[…, row]`.
    adjoints: &'a mut [R],
}

impl<R: Real> Kernel for Backward<'_, R> {
    #[inline(always)]
    fn run<S: Simd>(mut self, simd: S) {
        let steps = self.activity.input.len() / self.shape.row;
        let count = self.signal.len() / steps;
        let mut states = [State::default(); chunks::CHUNK];
        for segment in segments::ranges::<R>(steps, self.shape.row).rev() {
            match self.shape.kind {
                Kind::Plastic(rule) => {
                    for first in (0..count).step_by(rows::TOGETHER) {
                        let locals = first..(first + rows::TOGETHER).min(count);
                        let states = &mut states[locals.clone()];
                        self.plastic_rows(simd, rule, locals, segment.clone(), states);
                    }
                }
                Kind::Dense | Kind::Bias => {
                    for local in 0..count {
                        self.fixed_row(simd, local, segment.clone());
                    }
                }
            }
        }
    }
}

impl<R: Real> Backward<'_, R> {
    /// A row without a trace: the steps are independent.
    #[inline(always)]
    fn fixed_row<S: Simd>(&mut self, simd: S, local: usize, segment: Range<usize>) {
        let (i, row) = (self.first + local, self.shape.row);
        let steps = self.activity.input.len() / row;
        let signal = &mut self.signal[local * steps..][..steps];
        let output = rows::of(&self.activity.output, i, steps);
        for t in segment.rev() {
            let delta = signal[t] * self.shape.activation.derivative(output[t]);
            signal[t] = delta;
            self.bias[local] += delta;
            if self.shape.kind == Kind::Dense {
                let weight = &mut self.weight[local * row..][..row];
                rows::add_scaled(simd, delta, rows::of(&self.activity.input, t, row), weight);
            }
        }
    }

    /// A few postsynaptic neurons over a segment of steps, backwards, interleaved as in the forward sweep. Each adjoint row is
    /// passed over once per step: the update of step `t` and the read-out of step `t - 1` in one go. `M_ij(t) x_j(t - 1)`
    /// serves both the read-out and the gradient of the plasticity.
    #[inline(always)]
    fn plastic_rows<S: Simd>(
        &mut self,
        simd: S,
        rule: Rule,
        locals: Range<usize>,
        segment: Range<usize>,
        states: &mut [State<R>],
    ) {
        let row = self.shape.row;
        let steps = self.activity.input.len() / row;
        let input = self.activity.input.as_slice();
        let initial_trace = self.activity.initial_trace.as_slice();
        let row_of = |values: &'_ [R], i: usize| -> Option<Range<usize>> {
            (!values.is_empty()).then(|| i * row..(i + 1) * row)
        };
        let slot = rows::slot::<R>(self.shape, steps, locals.start);
        let adjoints = &mut self.adjoints[slot * row..];
        for (n, local) in locals.clone().enumerate() {
            if segment.end < steps {
                break;
            }
            let i = self.first + local;
            adjoints[n * row..][..row].fill(R::zero());
            if let Some(range) = row_of(self.trace_gradient, i) {
                let upstream = &self.trace_gradient[range];
                let last = rows::of(&self.activity.final_trace, i, row);
                states[n].inner = rows::dot(simd, upstream, last).as_f64();
                states[n].read = rows::dot(simd, upstream, rows::of(input, steps - 1, row));
            }
        }
        for t in segment.clone().rev() {
            let x = rows::of(input, t, row);
            // At t = 0 the read-out is of no use and left unused.
            let x_before = rows::of(input, t.saturating_sub(1), row);
            for (n, local) in locals.clone().enumerate() {
                let i = self.first + local;
                let plasticity = rows::of(&self.layer.plasticity, i, row);
                let upstream = row_of(self.trace_gradient, i).map(|r| &self.trace_gradient[r]);
                let rate = self.layer.rate[i];
                let adjoint = &mut adjoints[n * row..][..row];
                let output = rows::of(&self.activity.output, i, steps);
                let state = &mut states[n];
                let (y, r) = (output[t], state.read);
                let (d, g) = (rule.retention(y, rate), rule.gain(y, rate));
                // q = ∂L/∂d; `retained` = d q.
                let (mut q, mut retained) = (R::zero(), 0.0);
                if self.shape.retention_gradient {
                    if t + 1 < steps && (t + 1) % CHECKPOINT == 0 {
                        let at = i * checkpoints(steps) + (t + 1) / CHECKPOINT - 1;
                        let trace = rows::of(&self.activity.checkpoints, at, row);
                        state.inner = on_trace(plasticity, adjoint, upstream, state.decay, trace);
                    }
                    if d.abs().as_f64() < retention::SMALL {
                        q = Lookback {
                            rule,
                            rate,
                            input,
                            output,
                            plasticity,
                            adjoint,
                            upstream,
                            initial: row_of(initial_trace, i).map(|r| &initial_trace[r]),
                            decay: state.decay,
                        }
                        .sum(t);
                        retained = d.as_f64() * q.as_f64();
                    } else {
                        retained = state.inner - g.as_f64() * r.as_f64();
                        q = R::from_f64(retained / d.as_f64());
                    }
                }
                let signal = &mut self.signal[local * steps + t];
                let on_output = *signal
                    + r * rule.gain_by_output(y, rate)
                    + q * rule.retention_by_output(y, rate);
                let delta = on_output * self.shape.activation.derivative(y);
                *signal = delta;
                state.by_rate +=
                    r * rule.gain_by_rate(y, rate) + q * rule.retention_by_rate(y, rate);
                let drive = self.activity.drive[i * steps + t];
                state.inner = retained + delta.as_f64() * drive.as_f64();
                state.by_bias += delta;
                state.decay *= d;

                // At t = 0 no earlier gain adds to the plasticity's gradient.
                let gain_before = match t {
                    0 => R::zero(),
                    _ => rule.gain(output[t - 1], rate),
                };
                let (d, g) = (R::splat(simd, d), R::splat(simd, gain_before));
                let delta = R::splat(simd, delta);
                let mut read = [R::splat(simd, R::zero()); 2];
                let pairs = R::pairs_mut::<S>(adjoint)
                    .iter_mut()
                    .zip(R::pairs_mut::<S>(&mut self.weight[local * row..][..row]))
                    .zip(R::pairs_mut::<S>(
                        &mut self.plasticity[local * row..][..row],
                    ))
                    .zip(R::pairs::<S>(plasticity))
                    .zip(R::pairs::<S>(x))
                    .zip(R::pairs::<S>(x_before));
                for (((((m, dw), da), a), x), x_before) in pairs {
                    for k in 0..2 {
                        let added = R::multiply(simd, delta, x[k]);
                        dw[k] = <R as Lanes>::add(simd, added, dw[k]);
                        m[k] = R::multiply_add(simd, d, m[k], added);
                        let with_before = R::multiply(simd, m[k], x_before[k]);
                        read[k] = R::multiply_add(simd, a[k], with_before, read[k]);
                        da[k] = R::multiply_add(simd, g, with_before, da[k]);
                    }
                }
                state.read = R::sum_lanes(simd, read[0], read[1]);
                if let Some(upstream) = upstream {
                    state.read += state.decay * rows::dot(simd, upstream, x_before);
                }
            }
        }
        if segment.start > 0 {
            return;
        }
        for (n, local) in locals.enumerate() {
            let i = self.first + local;
            let (state, adjoint) = (&states[n], &adjoints[n * row..][..row]);
            self.bias[local] += state.by_bias;
            self.rate[local] += state.by_rate;
            if let Some(range) = row_of(initial_trace, i) {
                let by_plasticity = &mut self.plasticity[local * row..][..row];
                rows::add_product(simd, &initial_trace[range], adjoint, by_plasticity);
            }
            if !self.initial_gradient.is_empty() {
                let plasticity = rows::of(&self.layer.plasticity, i, row);
                let upstream = row_of(self.trace_gradient, i).map(|r| &self.trace_gradient[r]);
                let gradient = &mut self.initial_gradient[local * row..][..row];
                for (j, gradient) in gradient.iter_mut().enumerate() {
                    *gradient = plasticity[j] * adjoint[j]
                        + upstream.map_or(R::zero(), |upstream| state.decay * upstream[j]);
                }
            }
        }
    }
}

/// What one row carries from step to step beside its adjoint trace.
#[derive(Clone, Copy)]
struct State<R> {
    /// `e_i(t + 1)`.
    decay: R,
    /// `S_i(t + 1) = Σ_j H_ij(t + 1) ∂L/∂H_ij(t + 1)`: a difference of near numbers, so kept in f64.
    inner: f64,
    /// `r_i(t)`.
    read: R,
    by_bias: R,
    by_rate: R,
}

impl<R: Real> Default for State<R> {
    fn default() -> Self {
        Self {
            decay: R::one(),
            inner: 0.0,
            read: R::zero(),
            by_bias: R::zero(),
            by_rate: R::zero(),
        }
    }
}

/// The gradient of a retention from its definition, `q_i(t) = Σ_j H_ij(t) ∂L/∂H_ij(t+1)`, with `H(t)` written out over
/// the earlier steps:
/// `q_i(t) = Σ_{u<t} g_i(u) (Π_{u<s<t} d_i(s)) Σ_j G_ij x_j(u) + (Π_{s<t} d_i(s)) Σ_j G_ij H_ij(0)`, `G = ∂L/∂H(t+1)`.
struct Lookback<'a, R> {
    rule: Rule,
    rate: R,
    /// `[T, row]`.
    input: &'a [R],
    /// `[T]`.
    output: &'a [R],
    plasticity: &'a [R],
    adjoint: &'a [R],
    upstream: Option<&'a [R]>,
    initial: Option<&'a [R]>,
    decay: R,
}

impl<R: Real> Lookback<'_, R> {
    #[inline(never)]
    fn sum(&self, t: usize) -> R {
        let mut total = 0.0;
        let mut product = R::one();
        for u in (0..t).rev() {
            let y = self.output[u];
            total += (product * self.rule.gain(y, self.rate)).as_f64() * self.with(self.input, u);
            product *= self.rule.retention(y, self.rate);
            if product.abs() < R::epsilon() * R::epsilon() {
                return R::from_f64(total);
            }
        }
        if let Some(initial) = self.initial {
            total += product.as_f64() * self.with(initial, 0);
        }
        R::from_f64(total)
    }

    /// `Σ_j G_ij v_j` with row `index` of `values`.
    fn with(&self, values: &[R], index: usize) -> f64 {
        on_trace(
            self.plasticity,
            self.adjoint,
            self.upstream,
            self.decay,
            rows::of(values, index, self.adjoint.len()),
        )
    }
}

/// `Σ_j v_j ∂L/∂H_ij`, with the gradient on the trace made of the adjoint trace and the final trace's gradient.
fn on_trace<R: Real>(
    plasticity: &[R],
    adjoint: &[R],
    upstream: Option<&[R]>,
    decay: R,
    values: &[R],
) -> f64 {
    let mut sum = 0.0;
    for (j, &value) in values.iter().enumerate() {
        let upstream = upstream.map_or(R::zero(), |upstream| decay * upstream[j]);
        sum += ((plasticity[j] * adjoint[j] + upstream) * value).as_f64();
    }
    sum
}
