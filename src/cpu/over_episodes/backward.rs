//! The reverse-time sweep of one layer over a group of episodes; the twin of `shaders/backward.wgsl`.
//!
//! It stores no trace. With the adjoint trace `M`, defined by `∂L/∂H_ij(t) = α_ij M_ij(t) + e_i(t) Ḡ_ij` where `Ḡ` is the
//! gradient on the final trace and `e_i` the product of the later retentions, the gradient sweep is itself a Hebbian
//! trace that runs backwards in time (`ARCHITECTURE.md`, "The reverse sweep").

use super::compensated::Compensated;
use super::lanes;
use super::lookback::{Lookback, Towards};
use super::weight_gradient::weight_gradient;
use crate::cpu::arrays::Activity;
use crate::cpu::chunks;
use crate::cpu::layers::{Kind, Shape, Synapses};
use crate::cpu::retention::{self, CHECKPOINT, checkpoints};
use crate::cpu::segments;
use crate::network::Rule;
use crate::number::Number;
use crate::number::Real;
use crate::number::{Kernel, Pair, vectorise};
use pulp::Simd;
use std::ops::Range;

/// Takes the gradient of a layer over the first `count` episodes of the group. `signal`, `[O, T, W]`, holds `∂L/∂y` and
/// is overwritten by the gradient on the summed input, `δ`. Adds to `gradient`. `trace_gradient`, `[O, I, W]`, is the
/// gradient on the final trace, empty where it is zero; `initial_gradient`, `[O, I, W]`, receives the gradient on the
/// initial trace, unless it is empty.
#[expect(clippy::too_many_arguments, reason = "each is one array of the sweep")]
pub(super) fn backward<R: Real>(
    shape: &Shape,
    layer: &Synapses<R>,
    activity: &Activity<R>,
    count: usize,
    signal: &mut [R],
    trace_gradient: &[R],
    gradient: &mut Synapses<R>,
    initial_gradient: &mut [R],
    scratch: &mut [R],
    parallel: bool,
) {
    let row = lanes::row::<R>(shape);
    let per_row = signal.len() / shape.outputs;
    let steps = activity.input.len() / row;
    let chunks = chunks::ranges(shape.outputs)
        .zip(chunks::split(signal, per_row))
        .zip(chunks::split(&mut gradient.weight, shape.row))
        .zip(chunks::split(&mut gradient.plasticity, shape.row))
        .zip(chunks::split(&mut gradient.bias, 1))
        .zip(chunks::split(&mut gradient.rate, 1))
        .zip(chunks::split(initial_gradient, row))
        .zip(chunks::parts(
            scratch,
            lanes::scratch::<R>(shape, steps),
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
                count,
                trace_gradient,
                first: range.start,
                rows: range.len(),
                signal,
                weight,
                plasticity,
                bias,
                rate,
                initial_gradient,
                scratch,
            });
        },
    );
}

struct Backward<'a, R> {
    shape: &'a Shape,
    layer: &'a Synapses<R>,
    activity: &'a Activity<R>,
    count: usize,
    trace_gradient: &'a [R],
    /// First row of the chunk that the slices below hold.
    first: usize,
    rows: usize,
    signal: &'a mut [R],
    weight: &'a mut [R],
    plasticity: &'a mut [R],
    bias: &'a mut [R],
    rate: &'a mut [R],
    initial_gradient: &'a mut [R],
    /// Of each row that waits for the next segment of steps, or of one: the adjoint trace and the gradient by plasticity,
    /// `[I, W]` each, and its [`State`].
    scratch: &'a mut [R],
}

impl<R: Real> Kernel for Backward<'_, R> {
    #[inline(always)]
    fn run<S: Simd>(mut self, simd: S) {
        let row = self.shape.inputs * R::pair_width::<S>();
        for segment in segments::ranges::<R>(self.activity.input.len() / row, row).rev() {
            for local in 0..self.rows {
                let segment = segment.clone();
                match self.shape.kind {
                    // Each rule by itself, so that its formulas are compiled in.
                    Kind::Plastic(Rule::Hebb) => self.plastic_row(simd, Rule::Hebb, local, segment),
                    Kind::Plastic(Rule::Oja) => self.plastic_row(simd, Rule::Oja, local, segment),
                    Kind::Dense | Kind::Bias => self.fixed_row(simd, local, segment),
                }
            }
            if self.shape.kind != Kind::Bias {
                let (inputs, padded) = (self.shape.inputs, self.shape.row);
                let x = &self.activity.input;
                weight_gradient(simd, self.signal, x, inputs, segment, self.weight, padded);
            }
        }
    }
}

impl<R: Real> Backward<'_, R> {
    /// A row without a trace: the steps are independent.
    #[inline(always)]
    fn fixed_row<S: Simd>(&mut self, simd: S, local: usize, segment: Range<usize>) {
        let (width, inputs) = (R::pair_width::<S>(), self.shape.inputs);
        let row = inputs * width;
        let steps = self.activity.input.len() / row;
        let i = self.first + local;
        let state = lanes::of_waiting(self.scratch, local, inputs, width);
        if segment.end == steps {
            state.fill(R::zero());
        }
        let mut by_bias = Pair::load(simd, state);
        for t in segment.clone().rev() {
            let y = lanes::of(&self.activity.output, i * steps + t, width);
            let signal = lanes::of_mut(self.signal, local * steps + t, width);
            let slope = self.shape.activation.derivative(Pair::load(simd, y));
            let delta = Pair::load(simd, signal) * slope;
            delta.store(signal);
            by_bias = by_bias + delta;
        }
        by_bias.store(state);
        if segment.start == 0 {
            self.bias[local] += by_bias.sum_of_first(self.count);
        }
    }

    /// A postsynaptic neuron over a segment of steps, backwards. Its adjoint trace is passed over once per step: the
    /// update of step `t` and the read-out of step `t - 1` in one go. `M_ij(t) x_j(t - 1)` serves both the read-out and the
    /// gradient of the plasticity.
    #[inline(always)]
    fn plastic_row<S: Simd>(&mut self, simd: S, rule: Rule, local: usize, segment: Range<usize>) {
        let (width, inputs) = (R::pair_width::<S>(), self.shape.inputs);
        let row = inputs * width;
        let Activity {
            input,
            output,
            drive,
            initial_trace,
            final_trace,
            checkpoints: kept,
        } = self.activity;
        let steps = input.len() / row;
        let i = self.first + local;
        let plasticity = lanes::of_row(&self.layer.plasticity, i, self.shape);
        let zero = Pair::new(simd, [R::splat(simd, R::zero()); 2]);
        let rate = zero.splat(self.layer.rate[i]);
        let of_row = |values: &'_ [R]| (!values.is_empty()).then_some(i * row..(i + 1) * row);
        let upstream = of_row(self.trace_gradient).map(|range| &self.trace_gradient[range]);
        let initial = of_row(initial_trace).map(|range| &initial_trace[range]);
        let output = lanes::of(output, i, steps * width);
        let drive = lanes::of(drive, i, steps * width);
        let scratch = lanes::of_waiting(self.scratch, local, inputs, width);
        let (adjoint, rest) = scratch.split_at_mut(row);
        let (by_plasticity, kept_state) = rest.split_at_mut(row);
        let mut state = if segment.end < steps {
            State::load(simd, kept_state)
        } else {
            for values in [&mut *adjoint, &mut *by_plasticity] {
                values.fill(R::zero());
            }
            let mut state = State::last(zero);
            if let Some(upstream) = upstream {
                let last = lanes::of(final_trace, i, row).chunks_exact(width);
                let x = lanes::of(input, steps - 1, row).chunks_exact(width);
                for ((u, h), x) in upstream.chunks_exact(width).zip(last).zip(x) {
                    let u = Pair::load(simd, u);
                    state.inner = state.inner.add_product(u, Pair::load(simd, h));
                    state.read = u.multiply_add(Pair::load(simd, x), state.read);
                }
            }
            state
        };
        for t in segment.clone().rev() {
            let y = Pair::load(simd, lanes::of(output, t, width));
            let (d, g) = (rule.retention(y, rate), rule.gain(y, rate));
            let r = state.read;
            // q = ∂L/∂d; `retained` = d q.
            let (mut q, mut retained) = (zero, state.inner);
            if self.shape.retention_gradient {
                let towards = Towards {
                    plasticity,
                    adjoint,
                    upstream,
                    decay: state.decay,
                };
                if t + 1 < steps && (t + 1) % CHECKPOINT == 0 {
                    let at = i * checkpoints(steps) + (t + 1) / CHECKPOINT - 1;
                    retained = towards.sum(simd, lanes::of(kept, at, row));
                }
                retained = retained.add_product(-g, r);
                q = retained.over(d);
                let (square, bound) = (d * d, d.constant(retention::SMALL * retention::SMALL));
                if square.is_somewhere_less(bound) {
                    let lookback = Lookback {
                        rule,
                        rate,
                        input,
                        output,
                        initial,
                        towards,
                    }
                    .sum(simd, t);
                    // Where the retention is small, this is `q`, and its product with the retention the part retained.
                    let of_lookback = Compensated::product(d, lookback);
                    q = square.choose_less(bound, lookback, q);
                    retained = Compensated {
                        high: square.choose_less(bound, of_lookback.high, retained.high),
                        low: square.choose_less(bound, of_lookback.low, retained.low),
                    };
                }
            }
            let signal = lanes::of_mut(self.signal, local * steps + t, width);
            let mut on_output = Pair::load(simd, signal) + r * rule.gain_by_output(y, rate);
            if rule.retention_depends_on_output() {
                // Otherwise a product with zero would keep the next step waiting for `q`.
                on_output = on_output + q * rule.retention_by_output(y, rate);
            }
            let delta = on_output * self.shape.activation.derivative(y);
            delta.store(signal);
            state.by_rate = state.by_rate
                + (r * rule.gain_by_rate(y, rate) + q * rule.retention_by_rate(y, rate));
            state.by_bias = state.by_bias + delta;
            state.decay = state.decay * d;
            if self.shape.retention_gradient {
                let p = Pair::load(simd, lanes::of(drive, t, width));
                state.inner = retained.add_product(delta, p);
            }
            // At t = 0 the read-out is of no use, and no earlier gain adds to the plasticity's gradient.
            let earlier = t.saturating_sub(1);
            let gain = match t {
                0 => zero,
                _ => rule.gain(Pair::load(simd, lanes::of(output, earlier, width)), rate),
            };
            let x_before = lanes::of(input, earlier, row);
            let (d, g, delta) = (d.vectors, gain.vectors, delta.vectors);
            let mut read = zero.vectors;
            let synapses = R::pairs_mut::<S>(adjoint)
                .iter_mut()
                .zip(R::pairs_mut::<S>(by_plasticity))
                .zip(R::pairs::<S>(lanes::of(input, t, row)))
                .zip(R::pairs::<S>(x_before))
                .zip(plasticity);
            for ((((m, da), x), before), &a) in synapses {
                let a = R::splat(simd, a);
                for k in 0..2 {
                    let added = R::multiply(simd, delta[k], x[k]);
                    m[k] = R::multiply_add(simd, d[k], m[k], added);
                    let with_before = R::multiply(simd, m[k], before[k]);
                    read[k] = R::multiply_add(simd, a, with_before, read[k]);
                    da[k] = R::multiply_add(simd, g[k], with_before, da[k]);
                }
            }
            state.read = Pair::new(simd, read);
            if let Some(upstream) = upstream {
                let steps = upstream
                    .chunks_exact(width)
                    .zip(x_before.chunks_exact(width));
                let sum = steps.fold(zero, |sum, (u, x)| {
                    Pair::load(simd, u).multiply_add(Pair::load(simd, x), sum)
                });
                state.read = state.decay.multiply_add(sum, state.read);
            }
        }
        if segment.start > 0 {
            state.store(kept_state);
            return;
        }
        self.bias[local] += state.by_bias.sum_of_first(self.count);
        self.rate[local] += state.by_rate.sum_of_first(self.count);
        for (j, &a) in plasticity.iter().enumerate() {
            let m = Pair::load(simd, lanes::of(adjoint, j, width));
            if let Some(initial) = initial {
                let da = lanes::of_mut(by_plasticity, j, width);
                let h = Pair::load(simd, lanes::of(initial, j, width));
                h.multiply_add(m, Pair::load(simd, da)).store(da);
            }
            if !self.initial_gradient.is_empty() {
                let mut on_trace = zero.splat(a) * m;
                if let Some(upstream) = upstream {
                    let upstream = Pair::load(simd, lanes::of(upstream, j, width));
                    on_trace = state.decay.multiply_add(upstream, on_trace);
                }
                let gradient = lanes::of_mut(self.initial_gradient, local, row);
                on_trace.store(lanes::of_mut(gradient, j, width));
            }
        }
        let sums = &mut self.plasticity[local * self.shape.row..][..inputs];
        lanes::add_over_episodes(simd, by_plasticity, self.count, sums);
    }
}

/// What one row carries from step to step beside its adjoint trace, in each episode.
struct State<S: Simd, R: Real> {
    /// `e_i(t + 1)`.
    decay: Pair<S, R>,
    /// `S_i(t + 1) = Σ_j H_ij(t + 1) ∂L/∂H_ij(t + 1)`: a difference of near numbers.
    inner: Compensated<S, R>,
    /// `r_i(t)`.
    read: Pair<S, R>,
    by_bias: Pair<S, R>,
    by_rate: Pair<S, R>,
}

impl<S: Simd, R: Real> State<S, R> {
    /// Before the last step.
    #[inline(always)]
    fn last(zero: Pair<S, R>) -> Self {
        Self {
            decay: zero.splat(R::one()),
            inner: Compensated::zero(zero),
            read: zero,
            by_bias: zero,
            by_rate: zero,
        }
    }

    /// From `[STATE, W]`.
    #[inline(always)]
    fn load(simd: S, values: &[R]) -> Self {
        let part = |index| Pair::load(simd, lanes::of(values, index, R::pair_width::<S>()));
        Self {
            read: part(0),
            inner: Compensated {
                high: part(1),
                low: part(2),
            },
            decay: part(3),
            by_bias: part(4),
            by_rate: part(5),
        }
    }

    /// To `[STATE, W]`.
    #[inline(always)]
    fn store(&self, values: &mut [R]) {
        let parts = [
            self.read,
            self.inner.high,
            self.inner.low,
            self.decay,
            self.by_bias,
            self.by_rate,
        ];
        let values = values.chunks_exact_mut(R::pair_width::<S>());
        for (part, values) in parts.into_iter().zip(values) {
            part.store(values);
        }
    }
}
