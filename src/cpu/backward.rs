//! The reverse-time sweep of one layer over one episode; the twin of `shaders/backward.wgsl`.
//!
//! It stores no trace. With the adjoint trace `M`, defined by `∂L/∂H_ij(t) = α_ij M_ij(t) + e_i(t) Ḡ_ij` where `Ḡ` is the
//! gradient on the final trace and `e_i` the product of the later retentions, the gradient sweep is itself a Hebbian
//! trace that runs backwards in time (`ARCHITECTURE.md`, "The reverse sweep").

use super::forward::{Activity, CHECKPOINT, checkpoints};
use super::layers::{Kind, Shape, Synapses};
use super::rows;
use super::simd::{Kernel, LANES, multiply_add, sum, vectorise};
use crate::{Real, Rule};

/// Below this retention the gradient of the retention is summed from its definition: the recurrence divides by it.
/// The sum over earlier steps is short there, since each step back multiplies its terms by such a retention.
const SMALL_RETENTION: f64 = 0.25;

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
    let chunks = rows::chunks(shape.outputs)
        .zip(rows::split(signal, steps))
        .zip(rows::split(&mut gradient.weight, shape.row))
        .zip(rows::split(&mut gradient.plasticity, shape.row))
        .zip(rows::split(&mut gradient.bias, 1))
        .zip(rows::split(&mut gradient.rate, 1))
        .zip(rows::split(initial_gradient, shape.row))
        .zip(scratch.chunks_mut(rows::SCRATCH * shape.row));
    rows::for_each(
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
                adjoint: &mut scratch[..shape.row],
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
    adjoint: &'a mut [R],
}

impl<R: Real> Kernel for Backward<'_, R> {
    #[inline(always)]
    fn run<const FUSED: bool>(mut self) {
        let steps = self.activity.input.len() / self.shape.row;
        for local in 0..self.signal.len() / steps {
            match self.shape.kind {
                Kind::Plastic(rule) => self.plastic_row::<FUSED>(rule, local, steps),
                Kind::Dense | Kind::Bias => self.fixed_row::<FUSED>(local, steps),
            }
        }
    }
}

impl<R: Real> Backward<'_, R> {
    /// A row without a trace: the steps are independent.
    #[inline(always)]
    fn fixed_row<const FUSED: bool>(&mut self, local: usize, steps: usize) {
        let (i, row) = (self.first + local, self.shape.row);
        let signal = &mut self.signal[local * steps..][..steps];
        let output = rows::of(&self.activity.output, i, steps);
        for t in (0..steps).rev() {
            let delta = signal[t] * self.shape.activation.derivative(output[t]);
            signal[t] = delta;
            self.bias[local] += delta;
            if self.shape.kind == Kind::Dense {
                let weight = &mut self.weight[local * row..][..row];
                rows::add_scaled::<FUSED, R>(delta, rows::of(&self.activity.input, t, row), weight);
            }
        }
    }

    /// One postsynaptic neuron over all steps, backwards. The adjoint row is passed over once per step: the update of
    /// step `t` and the read-out of step `t - 1` in one go.
    #[inline(always)]
    fn plastic_row<const FUSED: bool>(&mut self, rule: Rule, local: usize, steps: usize) {
        let (i, row) = (self.first + local, self.shape.row);
        let input = self.activity.input.as_slice();
        let output = rows::of(&self.activity.output, i, steps);
        let drive = rows::of(&self.activity.drive, i, steps);
        let plasticity = rows::of(&self.layer.plasticity, i, row);
        let rate = self.layer.rate[i];
        let upstream =
            (!self.trace_gradient.is_empty()).then(|| rows::of(self.trace_gradient, i, row));
        let initial = (!self.activity.initial_trace.is_empty())
            .then(|| rows::of(&self.activity.initial_trace, i, row));
        let signal = &mut self.signal[local * steps..][..steps];
        let by_weight = &mut self.weight[local * row..][..row];
        let by_plasticity = &mut self.plasticity[local * row..][..row];
        let adjoint = &mut *self.adjoint;

        adjoint.fill(R::zero());
        // e_i(t + 1), and S_i(t + 1) = Σ_j H_ij(t + 1) ∂L/∂H_ij(t + 1), a difference of near numbers: kept in f64.
        let mut decay = R::one();
        let (mut inner, mut r) = (0.0, R::zero());
        let kept = match self.activity.checkpoints.as_slice() {
            [] => &[],
            all => rows::of(all, i, checkpoints(steps) * row),
        };
        if let Some(upstream) = upstream {
            let last = rows::of(&self.activity.final_trace, i, row);
            inner = rows::dot::<FUSED, R>(upstream, last).as_f64();
            r = rows::dot::<FUSED, R>(upstream, rows::of(input, steps - 1, row));
        }
        let (mut bias, mut by_rate) = (R::zero(), R::zero());
        for t in (0..steps).rev() {
            let y = output[t];
            let (d, g) = (rule.retention(y, rate), rule.gain(y, rate));
            // q = ∂L/∂d; `retained` = d q.
            let (mut q, mut retained) = (R::zero(), 0.0);
            if self.shape.retention_gradient {
                if t + 1 < steps && (t + 1) % CHECKPOINT == 0 {
                    let trace = rows::of(kept, (t + 1) / CHECKPOINT - 1, row);
                    inner = on_trace(plasticity, adjoint, upstream, decay, trace);
                }
                if d.abs().as_f64() < SMALL_RETENTION {
                    q = Lookback {
                        rule,
                        rate,
                        input,
                        output,
                        plasticity,
                        adjoint,
                        upstream,
                        initial,
                        decay,
                    }
                    .sum(t);
                    retained = d.as_f64() * q.as_f64();
                } else {
                    retained = inner - g.as_f64() * r.as_f64();
                    q = R::from_f64(retained / d.as_f64());
                }
            }
            let on_output = signal[t]
                + r * rule.gain_by_output(y, rate)
                + q * rule.retention_by_output(y, rate);
            let delta = on_output * self.shape.activation.derivative(y);
            by_rate += r * rule.gain_by_rate(y, rate) + q * rule.retention_by_rate(y, rate);
            inner = retained + delta.as_f64() * drive[t].as_f64();
            signal[t] = delta;
            bias += delta;
            decay *= d;

            // At t = 0 the read-out is of no use and left unused.
            let x = rows::of(input, t, row);
            let x_before = rows::of(input, t.saturating_sub(1), row);
            let mut read = [R::zero(); LANES];
            let lanes = adjoint
                .chunks_exact_mut(LANES)
                .zip(by_weight.chunks_exact_mut(LANES))
                .zip(by_plasticity.chunks_exact_mut(LANES))
                .zip(plasticity.chunks_exact(LANES))
                .zip(x.chunks_exact(LANES))
                .zip(x_before.chunks_exact(LANES));
            for (((((m, dw), da), a), x), x_before) in lanes {
                for lane in 0..LANES {
                    da[lane] = multiply_add::<FUSED, R>(g * x[lane], m[lane], da[lane]);
                    dw[lane] = multiply_add::<FUSED, R>(delta, x[lane], dw[lane]);
                    m[lane] = multiply_add::<FUSED, R>(d, m[lane], delta * x[lane]);
                    read[lane] =
                        multiply_add::<FUSED, R>(a[lane] * m[lane], x_before[lane], read[lane]);
                }
            }
            r = sum(read);
            if let Some(upstream) = upstream {
                r += decay * rows::dot::<FUSED, R>(upstream, x_before);
            }
        }
        self.bias[local] += bias;
        self.rate[local] += by_rate;
        if let Some(initial) = initial {
            for ((da, &h), &m) in by_plasticity.iter_mut().zip(initial).zip(&*adjoint) {
                *da = multiply_add::<FUSED, R>(h, m, *da);
            }
        }
        if !self.initial_gradient.is_empty() {
            let gradient = &mut self.initial_gradient[local * row..][..row];
            for (j, gradient) in gradient.iter_mut().enumerate() {
                *gradient = plasticity[j] * adjoint[j]
                    + upstream.map_or(R::zero(), |upstream| decay * upstream[j]);
            }
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
