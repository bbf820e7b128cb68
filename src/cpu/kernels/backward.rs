//! The reverse-time sweep of one layer over a group of episodes; the twin of `shaders/backward.wgsl`.
//!
//! It stores no trace. With the adjoint trace `M`, defined by `∂L/∂H_ij(t) = α_ij M_ij(t) + e_i(t) Ḡ_ij` where `Ḡ` is the
//! gradient on the final trace and `e_i` the product of the later retentions, the gradient sweep is itself a Hebbian
//! trace that runs backwards in time (`ARCHITECTURE.md`, "The reverse sweep").

use super::compensated::Compensated;
use super::lookback::{Lookback, TraceGradient};
use super::neurons::Neurons;
use super::parts::{part, part_if_any, part_mut};
use super::pass::Pass;
use super::rows::{RowSweep, RowsMut, Scratch, sweep};
use super::way::{self, Sweep, Way, pairs, pairs_mut};
use super::weight_gradient::add_over_episodes;
use crate::cpu::along::STATE;
use crate::cpu::arrays::{Activity, Adjoint};
use crate::cpu::chunks;
use crate::cpu::retention::{CHECKPOINT, SMALL};
use crate::cpu::shape::Kind;
use crate::cpu::synapses::Synapses;
use crate::number::{EngineNumber, Lanes, Number, Real};
use crate::rule::{Neuron, RowRule};
use std::ops::Range;

/// Takes the gradient of a layer, from the last step of `pass` to step 0, over the first `count` episodes of the group, and adds it to `gradient`. In `adjoint`,
/// `signal` holds `∂L/∂y` and is overwritten by the gradient on the summed input, `δ`; the gradients on the initial trace
/// and the modulators are written.
pub(crate) fn backward<R: Real>(
    pass: Pass<'_, R>,
    activity: &Activity<R>,
    count: usize,
    adjoint: &mut Adjoint<R>,
    gradient: &mut Synapses<R>,
    scratch: &mut [R],
) {
    let arrays: [&mut [R]; 7] = [
        &mut adjoint.signal,
        &mut gradient.weight,
        &mut gradient.plasticity,
        &mut gradient.bias,
        &mut gradient.rate,
        &mut adjoint.initial_gradient,
        &mut adjoint.modulator_gradient,
    ];
    let rows = RowsMut::new(pass.blocks(), arrays);
    let chunks = rows.chunks(pass.chunk()).zip(pass.scratch(scratch));
    let trace_gradient = &adjoint.trace_gradient;
    chunks::for_each(pass.parallel, chunks, |(rows, scratch)| {
        let sweep = Backward {
            given: Given {
                pass,
                activity,
                count,
                trace_gradient,
            },
            rows,
            scratch,
        };
        way::run(pass.shape, sweep);
    });
}

/// What is read.
#[derive(Clone, Copy)]
struct Given<'a, R> {
    pass: Pass<'a, R>,
    activity: &'a Activity<R>,
    count: usize,
    trace_gradient: &'a [R],
}

/// Rows of signal, gradients of weight, plasticity, bias and rate, and the gradients on the initial trace and the modulators.
type Rows<'a, R> = RowsMut<'a, R, 7>;

/// A chunk of rows. A slot of scratch has the adjoint trace; the plasticity's gradient, `[C, W]`, unless it is added to in
/// place; and the [`State`].
struct Backward<'a, R> {
    given: Given<'a, R>,
    rows: Rows<'a, R>,
    scratch: Scratch<'a, R>,
}

impl<R: Real> Sweep<R> for Backward<'_, R> {
    #[inline(always)]
    fn plastic<W: Way<Real = R>, P: RowRule>(mut self, way: W, rule: P) {
        let given = self.given;
        let plastic = Plastic { way, rule, given };
        for segment in given.pass.segments::<W>().rev() {
            let rows = self.rows.reborrow();
            sweep(&plastic, rows, &mut self.scratch, segment.clone());
            self.weights(way, segment);
        }
    }

    #[inline(always)]
    fn fixed<W: Way<Real = R>>(mut self, way: W) {
        let given = self.given;
        let fixed = Fixed { way, given };
        for segment in given.pass.segments::<W>().rev() {
            let rows = self.rows.reborrow();
            sweep(&fixed, rows, &mut self.scratch, segment.clone());
            self.weights(way, segment);
        }
    }
}

impl<R: Real> Backward<'_, R> {
    /// The gradient of the weights from a segment of steps, unless the pass over it has added to it already.
    #[inline(always)]
    fn weights<W: Way<Real = R>>(&mut self, way: W, segment: Range<usize>) {
        let Given { pass, activity, .. } = self.given;
        if pass.shape.kind != Kind::Bias {
            let [signal, weight, ..] = &mut self.rows.arrays;
            way.weight_gradient(pass.shape, signal, &activity.input, segment, weight);
        }
    }
}

/// Rows with a trace. The adjoint trace is passed over once a step: the update of step `t` and the read-out of step `t - 1` in
/// one go. `M_ij(t) x_j(t - 1)` serves both the read-out and the gradient of the plasticity.
struct Plastic<'a, W: Way, P> {
    way: W,
    rule: P,
    given: Given<'a, W::Real>,
}

struct PlasticRow<'b, W: Way> {
    plasticity: &'b [W::Coefficient],
    neurons: Neurons<'b, W>,
    output: &'b [W::Real],
    drive: &'b [W::Real],
    initial: Option<&'b [W::Real]>,
    upstream: Option<&'b [W::Real]>,
    /// Empty where there are none.
    checkpoints: &'b [W::Real],
    adjoint: &'b mut [W::Real],
    by_plasticity: &'b mut [W::Real],
    kept_state: &'b mut [W::Real],
    state: State<W::Value>,
    signal: &'b mut [W::Real],
    /// Rows of the layer's gradient. That of plasticity is empty where `by_plasticity` is it.
    weight_gradient: &'b mut [W::Real],
    plasticity_gradient: &'b mut [W::Real],
    bias_gradient: &'b mut [W::Real],
    rate_gradient: &'b mut [W::Real],
    initial_gradient: &'b mut [W::Real],
    /// Empty where it is not wanted.
    modulator_gradient: &'b mut [W::Real],
}

impl<W: Way, P: RowRule> RowSweep<W, 7> for Plastic<'_, W, P> {
    type Row<'b>
        = PlasticRow<'b, W>
    where
        Self: 'b;

    const BACKWARDS: bool = true;

    #[inline(always)]
    fn begin<'b>(
        &'b self,
        row: Rows<'b, W::Real>,
        scratch: &'b mut [W::Real],
        segment: &Range<usize>,
    ) -> PlasticRow<'b, W> {
        let Given { pass, activity, .. } = self.given;
        let (way, i, size) = (self.way, row.first, W::row(pass.shape));
        let [
            signal,
            weight,
            plasticity,
            bias,
            rate,
            initial_gradient,
            modulator_gradient,
        ] = row.arrays;
        let (adjoint, rest) = scratch.split_at_mut(size);
        let (by_plasticity, plasticity, kept_state) = if W::IN_PLACE {
            let (none, rest) = rest.split_at_mut(0);
            (plasticity, none, rest)
        } else {
            let (sums, rest) = rest.split_at_mut(size);
            (sums, plasticity, rest)
        };
        let upstream = part_if_any(self.given.trace_gradient, i, size);
        let state = if segment.end < pass.end {
            State::load(way, kept_state)
        } else {
            adjoint.fill(num_traits::Zero::zero());
            if !W::IN_PLACE {
                by_plasticity.fill(num_traits::Zero::zero());
            }
            self.last_state(i, upstream)
        };
        let of_row = activity.checkpoints.len() / pass.blocks();
        PlasticRow {
            plasticity: W::coefficients(&pass.synapses.plasticity, i, pass.shape),
            neurons: Neurons::new(way, pass, i, &activity.modulators),
            output: part(&activity.output, i, pass.room * W::width()),
            drive: part(&activity.drive, i, pass.room * W::width()),
            initial: part_if_any(&activity.initial_trace, i, size),
            upstream,
            checkpoints: part(&activity.checkpoints, i, of_row),
            adjoint,
            by_plasticity,
            kept_state,
            state,
            signal,
            weight_gradient: weight,
            plasticity_gradient: plasticity,
            bias_gradient: bias,
            rate_gradient: rate,
            initial_gradient,
            modulator_gradient,
        }
    }

    #[inline(always)]
    fn step<'b>(&'b self, row: &mut PlasticRow<'b, W>, t: usize) {
        let (way, rule) = (self.way, self.rule);
        let (shape, width) = (self.given.pass.shape, W::width());
        let y = way.load(part(row.output, t, width));
        let at = row.neurons.at(rule, t, y);
        let (d, r) = (rule.retention(at), row.state.read);
        let OnRetention { q, retained } = self.on_retention(row, t, at);
        if P::IS_MODULATED && !row.modulator_gradient.is_empty() {
            let on_modulator = r * rule.gain_by_modulator(at) + q * rule.retention_by_modulator(at);
            way.store(on_modulator, part_mut(row.modulator_gradient, t, width));
        }
        let signal = part_mut(row.signal, t, width);
        let mut on_output = way.load(signal) + r * rule.gain_by_output(at);
        if rule.retention_depends_on_output() {
            // Otherwise a product with zero would keep the next step waiting for `q`.
            on_output = on_output + q * rule.retention_by_output(at);
        }
        let delta = on_output * shape.activation.derivative(y);
        way.store(delta, signal);
        let state = &mut row.state;
        state.by_rate =
            state.by_rate + (r * rule.gain_by_rate(at) + q * rule.retention_by_rate(at));
        state.by_bias = state.by_bias + delta;
        state.decay = state.decay * d;
        if shape.retention_gradient {
            let p = way.load(part(row.drive, t, width));
            state.inner = retained.add_product(delta, p);
        }
        self.pass_over(row, t, d, delta);
    }

    #[inline(always)]
    fn end<'b>(&'b self, row: PlasticRow<'b, W>, segment: &Range<usize>) {
        let (way, state) = (self.way, row.state);
        if segment.start > 0 {
            state.store(way, row.kept_state);
            return;
        }
        way.add_to_row(state.by_bias, self.given.count, row.bias_gradient);
        way.add_to_row(state.by_rate, self.given.count, row.rate_gradient);
        let simd = way.simd();
        if let Some(initial) = row.initial {
            let sums = pairs_mut::<W>(row.by_plasticity).iter_mut();
            let traces = pairs::<W>(initial).iter().zip(pairs::<W>(row.adjoint));
            for (sum, (h, m)) in sums.zip(traces) {
                for k in 0..2 {
                    sum[k] = W::Real::multiply_add(simd, h[k], m[k], sum[k]);
                }
            }
        }
        if !row.initial_gradient.is_empty() {
            let decay = way.pair(way.spread(state.decay));
            let on_traces = pairs_mut::<W>(row.initial_gradient).iter_mut();
            let synapses = pairs::<W>(row.adjoint).iter().zip(row.plasticity);
            for (j, (on_trace, (&m, &a))) in on_traces.zip(synapses).enumerate() {
                let mut sum = way.pair(way.coefficient(a)) * way.pair(m);
                if let Some(upstream) = row.upstream {
                    let upstream = way.pair(pairs::<W>(upstream)[j]);
                    sum = decay.multiply_add(upstream, sum);
                }
                *on_trace = sum.vectors;
            }
        }
        if !W::IN_PLACE {
            let sums = &mut row.plasticity_gradient[..self.given.pass.shape.inputs];
            add_over_episodes(simd, row.by_plasticity, self.given.count, sums);
        }
    }
}

/// What the gradient of a retention gives.
struct OnRetention<N> {
    /// `q = ∂L/∂d`.
    q: N,
    /// `d q`.
    retained: Compensated<N>,
}

impl<W: Way, P: RowRule> Plastic<'_, W, P> {
    /// Before the last step.
    #[inline(always)]
    fn last_state(&self, i: usize, upstream: Option<&[W::Real]>) -> State<W::Value> {
        let Given { pass, activity, .. } = self.given;
        let (way, size) = (self.way, W::row(pass.shape));
        let mut state = State::last(way.value(num_traits::Zero::zero()));
        if let Some(upstream) = upstream {
            let zero = way.pair(way.nothing());
            let (mut inner, mut read) = (Compensated::zero(zero), zero);
            let last = pairs::<W>(part(&activity.final_trace, i, size));
            let x = W::activities(&activity.input, pass.end - 1, pass.shape);
            for ((&u, &h), &x) in pairs::<W>(upstream).iter().zip(last).zip(x) {
                let u = way.pair(u);
                inner = inner.add_product(u, way.pair(h));
                read = u.multiply_add(way.pair(way.activity(x)), read);
            }
            state.inner = way.gather_precisely(inner);
            state.read = way.gather(read.vectors);
        }
        state
    }

    /// The gradient of the retention of step `t`, where it is needed.
    #[inline(always)]
    fn on_retention(
        &self,
        row: &PlasticRow<'_, W>,
        t: usize,
        at: Neuron<W::Value>,
    ) -> OnRetention<W::Value> {
        let Given { pass, activity, .. } = self.given;
        let (rule, state) = (self.rule, &row.state);
        let mut retained = state.inner;
        if !pass.shape.retention_gradient {
            let q = at.rate.constant(0.0);
            return OnRetention { q, retained };
        }
        let (d, g) = (rule.retention(at), rule.gain(at));
        let gradient = TraceGradient {
            way: self.way,
            plasticity: row.plasticity,
            adjoint: row.adjoint,
            upstream: row.upstream,
            decay: state.decay,
        };
        if t + 1 < pass.end && (t + 1).is_multiple_of(CHECKPOINT) {
            let at = (t + 1) / CHECKPOINT - 1;
            retained = gradient.with_trace(part(row.checkpoints, at, W::row(pass.shape)));
        }
        retained = retained.add_product(-g, state.read);
        let mut q = retained.over(d);
        let (square, bound) = (d * d, d.constant(SMALL * SMALL));
        if square.is_somewhere_less(bound) {
            let lookback = Lookback {
                rule,
                neurons: row.neurons,
                shape: pass.shape,
                input: &activity.input,
                output: row.output,
                initial: row.initial,
                gradient,
            }
            .sum(t);
            // Where the retention is small, this is `q`, and its product with the retention the part retained.
            let of_lookback = Compensated::product(d, lookback);
            q = square.where_less(bound, lookback, q);
            retained = Compensated {
                high: square.where_less(bound, of_lookback.high, retained.high),
                low: square.where_less(bound, of_lookback.low, retained.low),
            };
        }
        OnRetention { q, retained }
    }

    /// The update of step `t`, by its retention and `δ`, and the read-out of the step before.
    #[inline(always)]
    fn pass_over(&self, row: &mut PlasticRow<'_, W>, t: usize, d: W::Value, delta: W::Value) {
        let Given { pass, activity, .. } = self.given;
        let (way, rule) = (self.way, self.rule);
        let simd = way.simd();
        // At t = 0 the read-out is of no use, and no earlier gain adds to the plasticity's gradient.
        let earlier = t.saturating_sub(1);
        let gain = match t {
            0 => d.constant(0.0),
            _ => {
                let y = way.load(part(row.output, earlier, W::width()));
                rule.gain(row.neurons.at(rule, earlier, y))
            }
        };
        let x_before = W::activities(&activity.input, earlier, pass.shape);
        let (d, g, delta) = (way.spread(d), way.spread(gain), way.spread(delta));
        let mut read = way.nothing();
        let synapses = pairs_mut::<W>(row.adjoint)
            .iter_mut()
            .zip(pairs_mut::<W>(row.by_plasticity))
            .zip(W::weight_sums(row.weight_gradient, row.plasticity.len()))
            .zip(W::activities(&activity.input, t, pass.shape))
            .zip(x_before)
            .zip(row.plasticity);
        for (((((m, da), dw), &x), &before), &a) in synapses {
            let (x, before) = (way.activity(x), way.activity(before));
            let a = way.coefficient(a);
            let added = [
                W::Real::multiply(simd, delta[0], x[0]),
                W::Real::multiply(simd, delta[1], x[1]),
            ];
            way.add(dw, added);
            for k in 0..2 {
                m[k] = W::Real::multiply_add(simd, d[k], m[k], added[k]);
                let with_before = W::Real::multiply(simd, m[k], before[k]);
                read[k] = W::Real::multiply_add(simd, a[k], with_before, read[k]);
                da[k] = W::Real::multiply_add(simd, g[k], with_before, da[k]);
            }
        }
        row.state.read = way.gather(read);
        if let Some(upstream) = row.upstream {
            let mut sum = way.pair(way.nothing());
            for (&u, &x) in pairs::<W>(upstream).iter().zip(x_before) {
                sum = way.pair(u).multiply_add(way.pair(way.activity(x)), sum);
            }
            let sum = way.gather(sum.vectors);
            row.state.read = row.state.decay.product_plus(sum, row.state.read);
        }
    }
}

/// What one row carries from step to step beside its adjoint trace.
#[derive(Clone, Copy)]
struct State<N> {
    /// `e_i(t + 1)`.
    decay: N,
    /// `S_i(t + 1) = Σ_j H_ij(t + 1) ∂L/∂H_ij(t + 1)`: a difference of near numbers.
    inner: Compensated<N>,
    /// `r_i(t)`.
    read: N,
    by_bias: N,
    by_rate: N,
}

impl<N: EngineNumber> State<N> {
    /// Before the last step.
    #[inline(always)]
    fn last(zero: N) -> Self {
        Self {
            decay: zero.constant(1.0),
            inner: Compensated::zero(zero),
            read: zero,
            by_bias: zero,
            by_rate: zero,
        }
    }

    /// From `[STATE, W]`.
    #[inline(always)]
    fn load<W: Way<Value = N>>(way: W, values: &[W::Real]) -> Self {
        let number = |index| way.load(part(values, index, W::width()));
        Self {
            read: number(0),
            inner: Compensated {
                high: number(1),
                low: number(2),
            },
            decay: number(3),
            by_bias: number(4),
            by_rate: number(5),
        }
    }

    /// To `[STATE, W]`.
    #[inline(always)]
    fn store<W: Way<Value = N>>(&self, way: W, values: &mut [W::Real]) {
        let numbers: [N; STATE] = [
            self.read,
            self.inner.high,
            self.inner.low,
            self.decay,
            self.by_bias,
            self.by_rate,
        ];
        let values = values.chunks_exact_mut(W::width());
        for (number, values) in numbers.into_iter().zip(values) {
            way.store(number, values);
        }
    }
}

/// Rows without a trace: the steps are independent.
struct Fixed<'a, W: Way> {
    way: W,
    given: Given<'a, W::Real>,
}

struct FixedRow<'b, W: Way> {
    output: &'b [W::Real],
    by_bias: W::Value,
    kept_by_bias: &'b mut [W::Real],
    signal: &'b mut [W::Real],
    weight_gradient: &'b mut [W::Real],
    bias_gradient: &'b mut [W::Real],
}

impl<W: Way> RowSweep<W, 7> for Fixed<'_, W> {
    type Row<'b>
        = FixedRow<'b, W>
    where
        Self: 'b;

    const BACKWARDS: bool = true;

    #[inline(always)]
    fn begin<'b>(
        &'b self,
        row: Rows<'b, W::Real>,
        scratch: &'b mut [W::Real],
        segment: &Range<usize>,
    ) -> FixedRow<'b, W> {
        let Given { pass, activity, .. } = self.given;
        let [signal, weight, _, bias, ..] = row.arrays;
        let by_bias = match segment.end < pass.end {
            true => self.way.load(scratch),
            false => self.way.value(num_traits::Zero::zero()),
        };
        FixedRow {
            output: part(&activity.output, row.first, pass.room * W::width()),
            by_bias,
            kept_by_bias: scratch,
            signal,
            weight_gradient: weight,
            bias_gradient: bias,
        }
    }

    #[inline(always)]
    fn step<'b>(&'b self, row: &mut FixedRow<'b, W>, t: usize) {
        let Given { pass, activity, .. } = self.given;
        let (way, simd) = (self.way, self.way.simd());
        let y = way.load(part(row.output, t, W::width()));
        let signal = part_mut(row.signal, t, W::width());
        let delta = way.load(signal) * pass.shape.activation.derivative(y);
        way.store(delta, signal);
        row.by_bias = row.by_bias + delta;
        if W::WEIGHTS_IN_PASS && pass.shape.kind == Kind::Dense {
            let delta = way.spread(delta);
            let activities = W::activities(&activity.input, t, pass.shape);
            let sums = pairs_mut::<W>(row.weight_gradient).iter_mut();
            for (sum, &x) in sums.zip(activities) {
                let x = way.activity(x);
                for k in 0..2 {
                    sum[k] = W::Real::multiply_add(simd, delta[k], x[k], sum[k]);
                }
            }
        }
    }

    #[inline(always)]
    fn end<'b>(&'b self, row: FixedRow<'b, W>, segment: &Range<usize>) {
        if segment.start > 0 {
            self.way.store(row.by_bias, row.kept_by_bias);
        } else {
            self.way
                .add_to_row(row.by_bias, self.given.count, row.bias_gradient);
        }
    }
}
