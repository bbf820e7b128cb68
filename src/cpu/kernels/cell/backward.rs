//! The reverse sweep over a layer whose rows step together.

use super::forward::{copy_episodes, cut, input_row, step};
use super::lanes::{Lanes, PlainWork, Vectors, Work, run, run_plain};
use super::update::{Block, Replay, States, Step, Weights};
use super::{add_all, mask_of, total};
use crate::computation::{Checkpoints, PIECE};
use crate::cpu::arrays::{Activity, Adjoint};
use crate::cpu::cells::Cell;
use crate::cpu::chunks;
use crate::cpu::kernels::Pass;
use crate::cpu::synapses::Synapses;
use crate::network::{ModulatorFrom, RecurrentInput};
use crate::number::{Number, Pair, Real};
use crate::rule::{Sums, SynapseRule};
use std::ops::Range;

/// Goes back over the steps of `pass` from `adjoint.signal`, `∂L/∂y`, and the gradients on the final states, which are in the
/// adjoint states; adds to `gradients`, whose arrays have a number in each lane. The adjoint states are then the gradients on
/// the initial ones. `needs_input` says whether the gradient on the input is wanted.
pub(crate) fn backward<R: Real>(
    pass: Pass<'_, R>,
    cell: &Cell<'_>,
    activity: &Activity<R>,
    adjoint: &mut Adjoint<R>,
    gradients: &mut Synapses<R>,
    needs_input: bool,
) {
    let apart = Checkpoints::of(pass.room).apart();
    let count = pass.end.div_ceil(apart);
    let sweep = Sweep {
        pass,
        cell,
        activity,
        needs_columns: cell.input.is_some() || needs_input,
        needs_input,
    };
    for segment in (0..count).rev() {
        let steps = segment * apart..((segment + 1) * apart).min(pass.end);
        if cell.plastic.has_trace() {
            sweep.replay(steps.clone(), adjoint);
        }
        for t in steps.clone().rev() {
            sweep.step(t, t - steps.start, adjoint, gradients);
        }
        for first in steps.clone().step_by(PIECE).rev() {
            let piece = first..(first + PIECE).min(steps.end);
            sweep.products(piece, steps.start, adjoint, gradients);
        }
    }
}

#[derive(Clone, Copy)]
struct Sweep<'a, R> {
    pass: Pass<'a, R>,
    cell: &'a Cell<'a>,
    activity: &'a Activity<R>,
    /// Whether the gradient on the presynaptic activity is needed.
    needs_columns: bool,
    /// Whether that on the input is.
    needs_input: bool,
}

/// Gradients of some blocks, and what else they work on.
struct Part<'b, R> {
    blocks: Range<usize>,
    states: States<'b, R>,
    segment: &'b [R],
    columns: &'b mut [R],
    inputs: &'b mut [R],
    row: RowSums<'b, R>,
    signal: &'b mut [R],
    plasticity: &'b mut [R],
    /// Of each coefficient.
    coefficients: Vec<&'b mut [R]>,
    rate: &'b mut [R],
    bias: &'b mut [R],
}

/// Sums over each row's synapses, `[blocks, L]`.
struct RowSums<'b, R> {
    /// `∂L/∂y` through the rule.
    postsynaptic: &'b mut [R],
    /// `∂L/∂m`.
    modulator: &'b mut [R],
}

impl<R: Real> Sweep<'_, R> {
    /// The states before each step of a segment, `[blocks, steps, states, J, L]`.
    fn replay(&self, steps: Range<usize>, adjoint: &mut Adjoint<R>) {
        let Self {
            pass,
            cell,
            activity,
            ..
        } = *self;
        let (size, states) = (cell.block(), cell.states());
        let room = Checkpoints::of(pass.room).replayed();
        let (of_block, of_kept) = (
            room * states * size,
            Checkpoints::of(pass.room).count() * states * size,
        );
        let number = steps.start / Checkpoints::of(pass.room).apart();
        let done: Vec<_> = (steps.start..steps.end - 1)
            .map(|t| step(cell, activity, t))
            .collect();
        let mut segment = &mut adjoint.segment[..];
        let parts: Vec<_> = cell
            .ranges()
            .map(|blocks| {
                let part = cut(&mut segment, blocks.len() * of_block);
                (blocks, part)
            })
            .collect();
        chunks::for_each(pass.parallel, parts.into_iter(), |(blocks, segment)| {
            for (n, block) in blocks.clone().enumerate() {
                let to = &mut segment[n * of_block..][..states * size];
                if number > 0 {
                    let from = &activity.checkpoints[block * of_kept..][..of_kept];
                    to.copy_from_slice(&from[(number - 1) * states * size..][..states * size]);
                    continue;
                }
                let initial = [&activity.initial_trace, &activity.initial_eligibility];
                for (to, from) in to.chunks_exact_mut(size).zip(initial) {
                    match from.is_empty() {
                        true => to.fill(R::zero()),
                        false => to.copy_from_slice(&from[block * size..][..size]),
                    }
                }
            }
            let work = Replay {
                cell,
                synapses: pass.synapses,
                steps: &done,
                blocks,
                segment,
                room,
            };
            run(cell.is_over_rows(), &cell.plastic.rule, work);
        });
    }

    /// Step `t`, which is number `k` of its segment.
    fn step(&self, t: usize, k: usize, adjoint: &mut Adjoint<R>, gradients: &mut Synapses<R>) {
        let cell = self.cell;
        self.take_signal(t, adjoint);
        let pulls = cell.plastic.has_trace();
        // What answers waits for all rows where the network makes the modulator of what they all pulled.
        if cell.is_modulated_from(ModulatorFrom::Network) {
            let [first, second] = [true, false].map(|pulls| Half {
                pulls,
                answers: !pulls,
            });
            self.halves(first, (t, k), adjoint, gradients, None);
            let sigma = self.modulator(t, adjoint, gradients);
            self.halves(second, (t, k), adjoint, gradients, Some(&sigma));
        } else {
            let whole = Half {
                pulls,
                answers: true,
            };
            self.halves(whole, (t, k), adjoint, gradients, None);
        }
        if !adjoint.modulator_gradient.is_empty() {
            let values = cell.values();
            adjoint.modulator_gradient[t * values..][..values]
                .copy_from_slice(&adjoint.row_modulator);
        }
        self.hand_on(t, k, adjoint);
    }

    /// `∂L/∂y(t)` from the layer above and, where recurrent, from the step after, in the place of the signal of the step.
    fn take_signal(&self, t: usize, adjoint: &mut Adjoint<R>) {
        let Self { pass, cell, .. } = *self;
        let episodes = cell.episodes();
        let Adjoint {
            signal,
            step_signal,
            activity_adjoint,
            ..
        } = adjoint;
        step_signal.fill(R::zero());
        let rows = step_signal.chunks_exact_mut(episodes).take(cell.outputs);
        for (to, from) in rows.zip(signal.chunks_exact(pass.room * episodes)) {
            copy_episodes(&from[t * episodes..][..episodes], to);
        }
        if cell.input.is_some() {
            add_all(step_signal, activity_adjoint);
        }
    }

    /// One or both halves of a step of all blocks.
    fn halves(
        &self,
        half: Half,
        (t, k): (usize, usize),
        adjoint: &mut Adjoint<R>,
        gradients: &mut Synapses<R>,
        modulator: Option<&[R]>,
    ) {
        let Self {
            pass,
            cell,
            activity,
            ..
        } = *self;
        let (size, states) = (cell.block(), cell.states());
        let room = Checkpoints::of(pass.room).replayed();
        let of_block = room * states * size;
        let of_coefficient = cell.state();
        let mut segment = &adjoint.segment[..];
        let mut trace = &mut adjoint.trace_adjoint[..];
        let mut eligibility = &mut adjoint.eligibility_adjoint[..];
        let mut columns = &mut adjoint.columns[..];
        let mut inputs = &mut adjoint.input_columns[..];
        let mut postsynaptic = &mut adjoint.row_output[..];
        let mut row_modulator = &mut adjoint.row_modulator[..];
        let mut signal = &mut adjoint.step_signal[..];
        let mut plasticity = &mut gradients.plasticity[..];
        let mut coefficients: Vec<_> = match cell.plastic.coefficients.is_empty() {
            true => Vec::new(),
            false => gradients
                .coefficients
                .chunks_exact_mut(of_coefficient)
                .collect(),
        };
        let (mut rate, mut bias) = (&mut gradients.rate[..], &mut gradients.bias[..]);
        let parts: Vec<_> = cell
            .ranges()
            .map(|blocks| {
                let count = blocks.len();
                let of_segment = (count * of_block).min(segment.len());
                let (here, rest) = segment.split_at(of_segment);
                segment = rest;
                Part {
                    states: States {
                        trace: cut(&mut trace, count * size),
                        eligibility: cut(&mut eligibility, count * size),
                    },
                    segment: here,
                    columns: cut(&mut columns, cell.presynaptic * cell.lanes),
                    inputs: cut(&mut inputs, cell.inputs * cell.lanes),
                    row: RowSums {
                        postsynaptic: cut(&mut postsynaptic, count * cell.lanes),
                        modulator: cut(&mut row_modulator, count * cell.lanes),
                    },
                    signal: cut(&mut signal, count * cell.lanes),
                    plasticity: cut(&mut plasticity, count * size),
                    coefficients: coefficients
                        .iter_mut()
                        .map(|all| cut(all, count * size))
                        .collect(),
                    rate: cut(&mut rate, count * cell.lanes),
                    bias: cut(&mut bias, count * cell.lanes),
                    blocks,
                }
            })
            .collect();
        let given = Given {
            cell,
            pass,
            step: step(cell, activity, t),
            at: k * states * size,
            of_block,
            modulator,
            needs_columns: self.needs_columns,
            needs_inputs: self.needs_input && cell.input == Some(RecurrentInput::Matrix),
        };
        chunks::for_each(pass.parallel, parts.into_iter(), |mut part| {
            let given = &given;
            let part = &mut part;
            if half.pulls {
                let work = Pull { given, half, part };
                run(cell.is_over_rows(), &cell.plastic.rule, work);
            } else {
                run_plain(cell.is_over_rows(), Answer { given, part });
            }
        });
    }

    /// What the modulator of the network passes on: `σ` of each lane. Adds to the gradients of its parameters.
    fn modulator(&self, t: usize, adjoint: &mut Adjoint<R>, gradients: &mut Synapses<R>) -> Vec<R> {
        let Self { cell, activity, .. } = *self;
        let (values, episodes) = (cell.values(), cell.episodes());
        let mut sigma = vec![R::zero(); cell.lanes];
        let work = Modulator {
            cell,
            synapses: self.pass.synapses,
            values: &activity.values[t * values..][..values],
            mu: &activity.modulator[t * episodes..][..episodes],
            rows: &adjoint.row_modulator,
            gradient: &mut gradients.modulator,
            fan_out: &mut gradients.fan_out,
            sigma: &mut sigma,
        };
        run_plain(cell.is_over_rows(), work);
        sigma
    }

    /// Hands the gradient on the presynaptic activity on: to the step before, or to the input.
    fn hand_on(&self, t: usize, k: usize, adjoint: &mut Adjoint<R>) {
        let Self { pass, cell, .. } = *self;
        let (values, episodes) = (cell.values(), cell.episodes());
        adjoint.deltas[k * values..][..values].copy_from_slice(&adjoint.step_signal);
        let used = cell.plastic.inputs * episodes;
        if self.needs_columns {
            sum_columns(
                cell,
                &mut adjoint.columns,
                cell.presynaptic,
                &mut adjoint.column_sums,
            );
        }
        let row = input_row(cell, &pass);
        match cell.input {
            Some(input) => {
                adjoint.activity_adjoint.fill(R::zero());
                adjoint.activity_adjoint[..used].copy_from_slice(&adjoint.column_sums[..used]);
                if !self.needs_input {
                    return;
                }
                let to = &mut adjoint.input_gradient[t * row..][..row];
                let used = cell.inputs * episodes;
                match input {
                    RecurrentInput::Identity => {
                        to[..used].copy_from_slice(&adjoint.step_signal[..used]);
                    }
                    RecurrentInput::Matrix => {
                        sum_columns(cell, &mut adjoint.input_columns, cell.inputs, to);
                    }
                }
            }
            None if self.needs_input => {
                adjoint.input_gradient[t * row..][..used]
                    .copy_from_slice(&adjoint.column_sums[..used]);
            }
            None => {}
        }
    }

    /// The gradients of weights from some steps of a segment, which begins at step `start`.
    fn products(
        &self,
        steps: Range<usize>,
        start: usize,
        adjoint: &Adjoint<R>,
        gradients: &mut Synapses<R>,
    ) {
        let Self {
            pass,
            cell,
            activity,
            ..
        } = *self;
        let (values, columns) = (cell.values(), cell.activity());
        let deltas = &adjoint.deltas[(steps.start - start) * values..];
        let presynaptic = &activity.presynaptic[steps.start * columns..];
        self.product(
            (steps.len(), cell.presynaptic),
            deltas,
            (presynaptic, columns),
            &mut gradients.weight,
        );
        if cell.input == Some(RecurrentInput::Matrix) {
            let row = input_row(cell, &pass);
            let input = &activity.input[steps.start * row..];
            self.product(
                (steps.len(), cell.inputs),
                deltas,
                (input, row),
                &mut gradients.input_weight,
            );
        }
    }

    /// Adds `Σ_t δ(t) x(t)` to a gradient.
    fn product(
        &self,
        (steps, columns): (usize, usize),
        deltas: &[R],
        activity: (&[R], usize),
        gradient: &mut [R],
    ) {
        let cell = self.cell;
        let of_block = columns * cell.lanes;
        let mut gradient = gradient;
        let parts: Vec<_> = cell
            .ranges()
            .map(|blocks| {
                let part = cut(&mut gradient, blocks.len() * of_block);
                (blocks, part)
            })
            .collect();
        chunks::for_each(
            self.pass.parallel,
            parts.into_iter(),
            |(blocks, gradient)| {
                let work = Product {
                    cell,
                    blocks,
                    steps,
                    columns,
                    deltas,
                    activity,
                    gradient,
                };
                run_plain(cell.is_over_rows(), work);
            },
        );
    }
}

/// What is done of a step.
#[derive(Clone, Copy)]
struct Half {
    /// The adjoint states are pulled through the rule.
    pulls: bool,
    /// The neurons' signals are found, and go back through the synapses.
    answers: bool,
}

/// What all blocks read at a step.
struct Given<'a, R> {
    cell: &'a Cell<'a>,
    pass: Pass<'a, R>,
    step: Step<'a, R>,
    /// Where the step's states are among a block's in the segment, and how many elements those are.
    at: usize,
    of_block: usize,
    /// `σ` of the network's modulator, in each lane.
    modulator: Option<&'a [R]>,
    needs_columns: bool,
    needs_inputs: bool,
}

/// Pulls the adjoint states through the rule, `λ ← [h]`, `ε ← [e]`, and sums the other parts; then answers, block by block, if
/// both are done.
struct Pull<'a, 'b, 'c, R> {
    given: &'a Given<'a, R>,
    half: Half,
    part: &'c mut Part<'b, R>,
}

impl<R: Real> Work<R> for Pull<'_, '_, '_, R> {
    #[inline(always)]
    fn run<L: Lanes<Real = R>, P: SynapseRule>(self, lanes: L, rule: P) {
        let Self { given, half, part } = self;
        for (n, block) in part.blocks.clone().enumerate() {
            given.pull(lanes, rule, part, (n, block));
            if half.answers {
                given.answer(lanes, part, (n, block));
            }
        }
    }
}

/// Finds `δ` of each row and takes it back through the synapses.
struct Answer<'a, 'b, 'c, R> {
    given: &'a Given<'a, R>,
    part: &'c mut Part<'b, R>,
}

impl<R: Real> PlainWork<R> for Answer<'_, '_, '_, R> {
    #[inline(always)]
    fn run<L: Lanes<Real = R>>(self, lanes: L) {
        let Self { given, part } = self;
        for (n, block) in part.blocks.clone().enumerate() {
            given.answer(lanes, part, (n, block));
        }
    }
}

impl<R: Real> Given<'_, R> {
    /// A block's adjoint states through the rule.
    #[inline(always)]
    fn pull<L: Lanes<Real = R>, P: SynapseRule>(
        &self,
        lanes: L,
        rule: P,
        part: &mut Part<'_, R>,
        (n, block): (usize, usize),
    ) {
        let cell = self.cell;
        let (size, width, columns) = (cell.block(), cell.lanes, cell.presynaptic);
        let row = Block::new(lanes, cell, self.pass.synapses, &self.step, block);
        let before = &part.segment[n * self.of_block + self.at..][..cell.states() * size];
        let (trace, eligibility) = before.split_at(size);
        let trace = L::vectors(trace, columns);
        let States {
            trace: lambdas,
            eligibility: epsilons,
        } = part.states.of_block(n, size);
        let lambdas = L::vectors_mut(lambdas, columns);
        let (eligibility, epsilons) = match rule.has_eligibility() {
            true => (
                L::vectors(eligibility, columns),
                L::vectors_mut(epsilons, columns),
            ),
            false => (&[][..], &mut [][..]),
        };
        // As many columns as there are, or none.
        let by_column = match self.needs_columns && cell.plastic.rule.pulls().presynaptic {
            true => L::vectors_mut(part.columns, columns),
            false => &mut [],
        };
        let zero = lanes.zero();
        let mut sums = Sums {
            presynaptic: zero,
            row: [zero; 3],
        };
        for j in 0..columns {
            let h = lanes.pair(trace[j]);
            let e = match rule.has_eligibility() {
                true => lanes.pair(eligibility[j]),
                false => h,
            };
            let coefficients = row.coefficients::<P>(j);
            let synapse = row.synapse::<P>(j, [h, e], &coefficients);
            let mut lambda = lanes.pair(lambdas[j]);
            if let Some(bound) = cell.plastic.bound {
                let [after, _] = rule.update(synapse);
                let (low, high) = (zero.constant(-bound), zero.constant(bound));
                lambda = after.where_less(low, zero, lambda);
                lambda = high.where_less(after, zero, lambda);
            }
            let epsilon = match rule.has_eligibility() {
                true => lanes.pair(epsilons[j]),
                false => zero,
            };
            let column = by_column.get_mut(j);
            sums.presynaptic = match &column {
                Some(column) => lanes.pair(**column),
                None => zero,
            };
            let own = rule.pull(synapse, [lambda, epsilon], &mut sums);
            lambdas[j] = own.trace.vectors;
            if rule.has_eligibility() {
                epsilons[j] = own.eligibility.vectors;
            }
            if let Some(column) = column {
                *column = sums.presynaptic.vectors;
            }
            if P::HAS_COEFFICIENTS {
                let here = n * size + j * width;
                for (gradient, by) in part.coefficients.iter_mut().zip(&own.coefficients) {
                    let to = &mut gradient[here..];
                    (lanes.load(to) + *by).store(to);
                }
            }
        }
        let coefficients = row.coefficients::<P>(0);
        let any = row.synapse::<P>(0, [zero; 2], &coefficients);
        let [by_y, by_m, by_rate] = rule.of_row(any, sums.row);
        by_y.store(&mut part.row.postsynaptic[n * width..]);
        by_m.store(&mut part.row.modulator[n * width..]);
        let to = &mut part.rate[n * width..];
        (lanes.load(to) + by_rate).store(to);
    }

    /// A block's `δ`, and back through its synapses.
    #[inline(always)]
    fn answer<L: Lanes<Real = R>>(
        &self,
        lanes: L,
        part: &mut Part<'_, R>,
        (n, block): (usize, usize),
    ) {
        let Self {
            cell,
            pass,
            step,
            at,
            of_block,
            modulator,
            needs_columns,
            needs_inputs,
        } = *self;
        let synapses = pass.synapses;
        let (size, width, columns) = (cell.block(), cell.lanes, cell.presynaptic);
        let has_trace = cell.plastic.has_trace();
        let y = lanes.load(&step.postsynaptic[block * width..]);
        let mut signal = lanes.load(&part.signal[n * width..]);
        if has_trace {
            signal = signal + lanes.load(&part.row.postsynaptic[n * width..]);
        }
        if let Some(sigma) = modulator {
            let v = lanes.parameter_at(&synapses.modulator, block);
            signal = lanes.load(sigma).multiply_add(v, signal);
        }
        let delta = signal * pass.shape.activation.derivative(y);
        let delta = mask_of(cell, block, delta);
        delta.store(&mut part.signal[n * width..]);
        let to = &mut part.bias[n * width..];
        (lanes.load(to) + delta).store(to);
        let weights = Weights::of(lanes, synapses, block * columns, columns);
        let by_column = match needs_columns {
            true => L::vectors_mut(part.columns, columns),
            false => &mut [],
        };
        if has_trace {
            let x = L::activities(step.presynaptic, columns);
            let trace = L::vectors(&part.segment[n * of_block + at..], columns);
            let lambdas = L::vectors_mut(&mut part.states.trace[n * size..], columns);
            let gradient = L::vectors_mut(&mut part.plasticity[n * size..], columns);
            for j in 0..columns {
                let h = lanes.pair(trace[j]);
                let by_weight = delta * lanes.activity(x[j]);
                let sum = lanes.pair(gradient[j]);
                gradient[j] = by_weight.multiply_add(h, sum).vectors;
                let lambda = lanes.pair(lambdas[j]);
                let a = weights.plasticity(j);
                lambdas[j] = a.multiply_add(by_weight, lambda).vectors;
                if let Some(column) = by_column.get_mut(j) {
                    let sum = lanes.pair(*column);
                    *column = delta.multiply_add(weights.with(h, j), sum).vectors;
                }
            }
        } else {
            back(lanes, delta, weights.fixed, by_column);
        }
        if needs_inputs {
            let columns = cell.inputs;
            let weights = L::parameters(&synapses.input_weight, block * columns, columns);
            let to = L::vectors_mut(part.inputs, columns);
            back(lanes, delta, weights, to);
        }
    }
}

/// Adds `δ w_j` to what columns have.
#[inline(always)]
fn back<L: Lanes>(
    lanes: L,
    delta: Pair<L::Simd, L::Real>,
    weights: &[L::Parameter],
    by_column: &mut [Vectors<L>],
) {
    for (column, w) in by_column.iter_mut().zip(weights) {
        let sum = lanes.pair(*column);
        *column = delta.multiply_add(lanes.parameter(*w), sum).vectors;
    }
}

/// `σ`, from what the rows say of their modulators.
struct Modulator<'a, R> {
    cell: &'a Cell<'a>,
    synapses: &'a Synapses<R>,
    values: &'a [R],
    mu: &'a [R],
    /// `∂L/∂m`, `[blocks, L]`.
    rows: &'a [R],
    gradient: &'a mut [R],
    fan_out: &'a mut [R],
    sigma: &'a mut [R],
}

impl<R: Real> PlainWork<R> for Modulator<'_, R> {
    #[inline(always)]
    fn run<L: Lanes<Real = R>>(self, lanes: L) {
        let (cell, width) = (self.cell, self.cell.lanes);
        let blocks = cell.blocks();
        let mu = match cell.rows {
            1 => lanes.load(self.mu),
            _ => lanes.constant(self.mu[0]),
        };
        let mut sum = lanes.zero();
        for block in 0..blocks {
            let by_m = lanes.load(&self.rows[block * width..]);
            let by_mu = match cell.is_fanned_out() {
                true => {
                    let to = &mut self.fan_out[block * width..];
                    mu.multiply_add(by_m, lanes.load(to)).store(to);
                    let to = &mut self.fan_out[(blocks + block) * width..];
                    (lanes.load(to) + by_m).store(to);
                    lanes.parameter_at(&self.synapses.fan_out, block) * by_m
                }
                false => by_m,
            };
            sum = sum + mask_of(cell, block, by_mu);
        }
        let one = mu.constant(1.0);
        let sigma = total(lanes, cell, sum) * ((one - mu) * (one + mu));
        sigma.store(self.sigma);
        for block in 0..blocks {
            let y = lanes.load(&self.values[block * width..]);
            let to = &mut self.gradient[block * width..];
            sigma.multiply_add(y, lanes.load(to)).store(to);
        }
        let to = &mut self.gradient[blocks * width..];
        (lanes.load(to) + sigma).store(to);
    }
}

/// Sums over the lanes and chunks of `[chunks, columns, L]`, which are zero afterwards: one number for each episode.
fn sum_columns<R: Real>(cell: &Cell<'_>, from: &mut [R], columns: usize, to: &mut [R]) {
    to.fill(R::zero());
    let work = Columns {
        cell,
        columns,
        from,
        to,
    };
    run_plain(cell.is_over_rows(), work);
}

struct Columns<'a, R> {
    cell: &'a Cell<'a>,
    columns: usize,
    from: &'a mut [R],
    to: &'a mut [R],
}

impl<R: Real> PlainWork<R> for Columns<'_, R> {
    #[inline(always)]
    fn run<L: Lanes<Real = R>>(self, lanes: L) {
        let Self {
            cell,
            columns,
            from,
            to,
        } = self;
        let zero = lanes.zero();
        let (first, others) = from.split_at_mut(columns * cell.lanes);
        let first = L::vectors_mut(first, columns);
        for from in others.chunks_exact_mut(columns * cell.lanes) {
            for (first, from) in first.iter_mut().zip(L::vectors_mut(from, columns)) {
                let from = std::mem::replace(from, zero.vectors);
                *first = (lanes.pair(*first) + lanes.pair(from)).vectors;
            }
        }
        for (first, to) in first.iter_mut().zip(to.chunks_exact_mut(cell.episodes())) {
            let first = std::mem::replace(first, zero.vectors);
            lanes.add_column(lanes.pair(first), to);
        }
    }
}

/// Adds `Σ_t δ(t) x(t)` to the gradients of some blocks, `[blocks, columns, L]`.
struct Product<'a, R> {
    cell: &'a Cell<'a>,
    blocks: Range<usize>,
    steps: usize,
    columns: usize,
    deltas: &'a [R],
    /// And how far apart steps are.
    activity: (&'a [R], usize),
    gradient: &'a mut [R],
}

/// Columns whose sums go on together.
const TOGETHER: usize = 4;

impl<R: Real> PlainWork<R> for Product<'_, R> {
    #[inline(always)]
    fn run<L: Lanes<Real = R>>(self, lanes: L) {
        let (width, values) = (self.cell.lanes, self.cell.values());
        let (activity, apart) = self.activity;
        for (n, block) in self.blocks.enumerate() {
            let gradient = &mut self.gradient[n * self.columns * width..];
            let mut j = 0;
            while j < self.columns {
                let count = TOGETHER.min(self.columns - j);
                let mut sums: [Pair<L::Simd, R>; TOGETHER] = [lanes.zero(); TOGETHER];
                for t in 0..self.steps {
                    let delta = lanes.load(&self.deltas[t * values + block * width..]);
                    let x = &L::activities(&activity[t * apart..], self.columns)[j..];
                    match x.first_chunk::<TOGETHER>() {
                        Some(x) => {
                            for (sum, x) in sums.iter_mut().zip(x) {
                                *sum = delta.multiply_add(lanes.activity(*x), *sum);
                            }
                        }
                        None => {
                            for (sum, x) in sums.iter_mut().zip(x) {
                                *sum = delta.multiply_add(lanes.activity(*x), *sum);
                            }
                        }
                    }
                }
                for (k, sum) in sums.iter().enumerate().take(count) {
                    let to = &mut gradient[(j + k) * width..];
                    (lanes.load(to) + *sum).store(to);
                }
                j += count;
            }
        }
    }
}
