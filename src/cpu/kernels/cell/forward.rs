//! The forward sweep over a layer whose rows step together.

use super::lanes::{Lanes, PlainWork, Work, run, run_plain};
use super::update::{Block, States, Step, Update, Weights};
use super::{mask_of, total};
use crate::computation::Checkpoints;
use crate::cpu::arrays::Activity;
use crate::cpu::cells::Cell;
use crate::cpu::chunks;
use crate::cpu::kernels::Pass;
use crate::cpu::synapses::Synapses;
use crate::network::{ModulatorFrom, RecurrentInput};
use crate::number::{Number, Pair, Real};
use crate::rule::SynapseRule;
use std::ops::Range;

/// Runs the layer over the steps of `pass`: reads `activity.input` and, at the first step, the initial states and the
/// modulators that are given; writes the rest. A later call goes on from there.
pub(crate) fn forward<R: Real>(pass: Pass<'_, R>, cell: &Cell<'_>, activity: &mut Activity<R>) {
    if pass.first == 0 {
        begin(activity);
    }
    for t in pass.first..pass.end {
        hear(cell, activity, &pass, t);
        respond(cell, activity, &pass, t);
        if cell.is_modulated_from(ModulatorFrom::Network) {
            modulate(cell, activity, pass.synapses, t);
        }
        put_out(cell, activity, &pass, t);
    }
    if !activity.final_trace.is_empty() {
        end(cell, activity, &pass);
    }
}

/// What was done at step `t`.
pub(super) fn step<'a, R: Real>(
    cell: &Cell<'_>,
    activity: &'a Activity<R>,
    t: usize,
) -> Step<'a, R> {
    let Activity {
        presynaptic,
        values,
        modulators,
        ..
    } = activity;
    Step::of(cell, presynaptic, values, modulators, t)
}

fn begin<R: Real>(activity: &mut Activity<R>) {
    for (from, to) in [
        (&activity.initial_trace, &mut activity.trace),
        (&activity.initial_eligibility, &mut activity.eligibility),
    ] {
        match from.is_empty() {
            true => to.fill(R::zero()),
            false => to.copy_from_slice(from),
        }
    }
}

/// Brings the presynaptic activity of step `t` together.
fn hear<R: Real>(cell: &Cell<'_>, activity: &mut Activity<R>, pass: &Pass<'_, R>, t: usize) {
    let (columns, values, episodes) = (cell.activity(), cell.values(), cell.episodes());
    let used = cell.plastic.inputs * episodes;
    let to = &mut activity.presynaptic[t * columns..][..columns];
    let (used, bias) = to.split_at_mut(used);
    let count = used.len();
    match cell.input {
        None => {
            let row = input_row(cell, pass);
            used.copy_from_slice(&activity.input[t * row..][..count]);
        }
        Some(_) if t > 0 => {
            used.copy_from_slice(&activity.values[(t - 1) * values..][..count]);
        }
        Some(_) if activity.initial_activity.is_empty() => used.fill(R::zero()),
        Some(_) => used.copy_from_slice(&activity.initial_activity[..count]),
    }
    bias.fill(R::one());
}

/// Elements of a step's input.
pub(super) fn input_row<R: Real>(cell: &Cell<'_>, pass: &Pass<'_, R>) -> usize {
    match cell.rows {
        1 => cell.inputs * cell.episodes(),
        _ => pass.shape.row,
    }
}

/// The output of step `t`, with the traces after the step before it.
fn respond<R: Real>(cell: &Cell<'_>, activity: &mut Activity<R>, pass: &Pass<'_, R>, t: usize) {
    let (columns, values, row) = (cell.activity(), cell.values(), input_row(cell, pass));
    let (before, now) = activity.values.split_at_mut(t * values);
    let modulators = &*activity.modulators;
    let presynaptic = &*activity.presynaptic;
    let last = (t > 0 && cell.plastic.has_trace())
        .then(|| Step::of(cell, presynaptic, before, modulators, t - 1));
    let given = Given {
        cell,
        pass: *pass,
        last,
        presynaptic: &presynaptic[t * columns..][..columns],
        input: &activity.input[t * row..][..row],
    };
    let apart = Checkpoints::of(pass.room).apart();
    let keeps = !activity.checkpoints.is_empty() && t > 0 && t.is_multiple_of(apart);
    let kept = Checkpoints::of(pass.room).count() * cell.states() * cell.block();
    let mut trace = &mut activity.trace[..];
    let mut eligibility = &mut activity.eligibility[..];
    let mut checkpoints = &mut activity.checkpoints[..];
    let mut output = &mut now[..values];
    let parts: Vec<_> = cell
        .ranges()
        .map(|blocks| {
            let count = blocks.len();
            let states = States {
                trace: cut(&mut trace, count * cell.block()),
                eligibility: cut(&mut eligibility, count * cell.block()),
            };
            let checkpoints = cut(&mut checkpoints, count * kept);
            let output = cut(&mut output, count * cell.lanes);
            (blocks, states, checkpoints, output)
        })
        .collect();
    chunks::for_each(
        pass.parallel,
        parts.into_iter(),
        |(blocks, mut states, checkpoints, output)| {
            match given.last {
                Some(step) => {
                    let work = Advance {
                        given: &given,
                        step,
                        blocks,
                        states: &mut states,
                        output,
                    };
                    run(cell.is_over_rows(), &cell.plastic.rule, work);
                }
                None => {
                    let work = ReadOut {
                        given: &given,
                        blocks,
                        trace: states.trace,
                        output,
                    };
                    run_plain(cell.is_over_rows(), work);
                }
            }
            if keeps {
                keep(cell, &states, checkpoints, (t / apart - 1, kept));
            }
        },
    );
}

/// The first `size` elements of what is left; none of an array that there is not.
pub(super) fn cut<'a, R>(left: &mut &'a mut [R], size: usize) -> &'a mut [R] {
    let all = std::mem::take(left);
    let (part, rest) = all.split_at_mut(size.min(all.len()));
    *left = rest;
    part
}

/// Keeps the states of some blocks, each `[kept, states, J, L]`.
fn keep<R: Real>(
    cell: &Cell<'_>,
    states: &States<'_, R>,
    checkpoints: &mut [R],
    (number, of_block): (usize, usize),
) {
    let size = cell.block();
    for (n, to) in checkpoints.chunks_exact_mut(of_block).enumerate() {
        let to = &mut to[number * cell.states() * size..];
        to[..size].copy_from_slice(&states.trace[n * size..][..size]);
        if !states.eligibility.is_empty() {
            to[size..2 * size].copy_from_slice(&states.eligibility[n * size..][..size]);
        }
    }
}

/// What some blocks read.
struct Given<'a, R> {
    cell: &'a Cell<'a>,
    pass: Pass<'a, R>,
    last: Option<Step<'a, R>>,
    presynaptic: &'a [R],
    input: &'a [R],
}

/// The outputs of some blocks.
struct ReadOut<'a, R> {
    given: &'a Given<'a, R>,
    blocks: Range<usize>,
    trace: &'a [R],
    output: &'a mut [R],
}

impl<R: Real> PlainWork<R> for ReadOut<'_, R> {
    #[inline(always)]
    fn run<L: Lanes<Real = R>>(self, lanes: L) {
        let Given {
            cell,
            pass,
            presynaptic,
            ..
        } = *self.given;
        let columns = cell.presynaptic;
        for (n, block) in self.blocks.enumerate() {
            let weights = Weights::of(lanes, pass.synapses, block * columns, columns);
            let of_synapses = match cell.plastic.has_trace() {
                false => times(lanes, weights.fixed, L::activities(presynaptic, columns)),
                true => {
                    let trace = L::vectors(&self.trace[n * cell.block()..], columns);
                    let x = L::activities(presynaptic, columns);
                    let mut sum = lanes.zero();
                    for j in 0..columns {
                        let weight = weights.with(lanes.pair(trace[j]), j);
                        sum = weight.multiply_add(lanes.activity(x[j]), sum);
                    }
                    sum
                }
            };
            let sum = self.given.drive(lanes, block) + of_synapses;
            let y = pass.shape.activation.apply(sum);
            y.store(&mut self.output[n * cell.lanes..]);
        }
    }
}

/// The same, after the traces of the step before have been brought up to date.
struct Advance<'a, 's, R> {
    given: &'a Given<'a, R>,
    step: Step<'a, R>,
    blocks: Range<usize>,
    states: &'a mut States<'s, R>,
    output: &'a mut [R],
}

impl<R: Real> Work<R> for Advance<'_, '_, R> {
    #[inline(always)]
    fn run<L: Lanes<Real = R>, P: SynapseRule>(self, lanes: L, rule: P) {
        let Given {
            cell,
            pass,
            presynaptic,
            ..
        } = *self.given;
        let columns = cell.presynaptic;
        for (n, block) in self.blocks.enumerate() {
            let row = Block::new(lanes, cell, pass.synapses, &self.step, block);
            let weights = Weights::of(lanes, pass.synapses, block * columns, columns);
            let x = L::activities(presynaptic, columns);
            let States { trace, eligibility } = self.states.of_block(n, cell.block());
            let trace = L::vectors_mut(trace, columns);
            let eligibility = match rule.has_eligibility() {
                true => L::vectors_mut(eligibility, columns),
                false => &mut [],
            };
            let mut sum = lanes.zero();
            for j in 0..columns {
                let h = lanes.pair(trace[j]);
                let e = match rule.has_eligibility() {
                    true => lanes.pair(eligibility[j]),
                    false => h,
                };
                let [h, e] = row.update(rule, j, [h, e]);
                trace[j] = h.vectors;
                if rule.has_eligibility() {
                    eligibility[j] = e.vectors;
                }
                sum = weights.with(h, j).multiply_add(lanes.activity(x[j]), sum);
            }
            let sum = self.given.drive(lanes, block) + sum;
            let y = pass.shape.activation.apply(sum);
            y.store(&mut self.output[n * cell.lanes..]);
        }
    }
}

impl<R: Real> Given<'_, R> {
    /// What a block has beside its synapses among each other.
    #[inline(always)]
    fn drive<L: Lanes<Real = R>>(&self, lanes: L, block: usize) -> Pair<L::Simd, R> {
        let Self {
            cell, pass, input, ..
        } = *self;
        let bias = lanes.parameter_at(&pass.synapses.bias, block);
        match cell.input {
            None => bias,
            Some(RecurrentInput::Identity) => bias + lanes.load(&input[block * cell.lanes..]),
            Some(RecurrentInput::Matrix) => {
                let columns = cell.inputs;
                let weights = &pass.synapses.input_weight;
                let weights = L::parameters(weights, block * columns, columns);
                bias + times(lanes, weights, L::activities(input, columns))
            }
        }
    }
}

/// Sums that go on by turns, so that none waits for its last addition.
const TURNS: usize = 4;

/// `Σ_j w_j x_j`.
#[inline(always)]
fn times<L: Lanes>(
    lanes: L,
    weights: &[L::Parameter],
    activity: &[L::Activity],
) -> Pair<L::Simd, L::Real> {
    let mut sums = [lanes.zero(); TURNS];
    let (weights, last_weights) = weights.as_chunks::<TURNS>();
    let (activity, last_activity) = activity.as_chunks::<TURNS>();
    for (w, x) in weights.iter().zip(activity) {
        for k in 0..TURNS {
            sums[k] = lanes
                .parameter(w[k])
                .multiply_add(lanes.activity(x[k]), sums[k]);
        }
    }
    for (w, x) in last_weights.iter().zip(last_activity) {
        sums[0] = lanes
            .parameter(*w)
            .multiply_add(lanes.activity(*x), sums[0]);
    }
    (sums[0] + sums[1]) + (sums[2] + sums[3])
}

/// The modulator of step `t` from its output, and each row's.
fn modulate<R: Real>(
    cell: &Cell<'_>,
    activity: &mut Activity<R>,
    synapses: &Synapses<R>,
    t: usize,
) {
    let (values, episodes) = (cell.values(), cell.episodes());
    let work = Modulate {
        cell,
        synapses,
        values: &activity.values[t * values..][..values],
        modulator: &mut activity.modulator[t * episodes..][..episodes],
        modulators: &mut activity.modulators[t * values..][..values],
    };
    run_plain(cell.is_over_rows(), work);
}

struct Modulate<'a, R> {
    cell: &'a Cell<'a>,
    synapses: &'a Synapses<R>,
    values: &'a [R],
    modulator: &'a mut [R],
    modulators: &'a mut [R],
}

impl<R: Real> PlainWork<R> for Modulate<'_, R> {
    #[inline(always)]
    fn run<L: Lanes<Real = R>>(self, lanes: L) {
        let Self {
            cell,
            synapses,
            values,
            modulator,
            modulators,
        } = self;
        let (blocks, rows) = (cell.blocks(), cell.blocks() * cell.rows);
        let mut sum = lanes.zero();
        for block in 0..blocks {
            let v = lanes.parameter_at(&synapses.modulator, block);
            let y = lanes.load(&values[block * cell.lanes..]);
            sum = sum + mask_of(cell, block, v * y);
        }
        // One for each episode, in its lane or in all of them.
        let bias = lanes.constant(synapses.modulator[rows]);
        let all = total(lanes, cell, sum);
        let mu = (all + bias).hyperbolic_tangent();
        match cell.rows {
            1 => mu.store(modulator),
            _ => {
                let mut spread = vec![R::zero(); cell.lanes];
                mu.store(&mut spread);
                modulator[0] = spread[0];
            }
        }
        for block in 0..blocks {
            let m = match cell.is_fanned_out() {
                true => {
                    let phi = lanes.parameter_at(&synapses.fan_out, block);
                    let beta = lanes.parameter_at(&synapses.fan_out, blocks + block);
                    phi.multiply_add(mu, beta)
                }
                false => mu,
            };
            m.store(&mut modulators[block * cell.lanes..]);
        }
    }
}

/// Copies what each episode has, to the first elements of `to`.
pub(super) fn copy_episodes<R: Copy>(from: &[R], to: &mut [R]) {
    match from {
        // Most often, and a call for it would take longer.
        [from] => to[0] = *from,
        _ => to[..from.len()].copy_from_slice(from),
    }
}

/// Copies the output of step `t` to `[O, T, episodes]`.
fn put_out<R: Real>(cell: &Cell<'_>, activity: &mut Activity<R>, pass: &Pass<'_, R>, t: usize) {
    let (values, episodes) = (cell.values(), cell.episodes());
    let from = &activity.values[t * values..][..cell.outputs * episodes];
    let to = activity.output.chunks_exact_mut(pass.room * episodes);
    for (to, from) in to.zip(from.chunks_exact(episodes)) {
        copy_episodes(from, &mut to[t * episodes..]);
    }
}

/// The traces after the last step.
fn end<R: Real>(cell: &Cell<'_>, activity: &mut Activity<R>, pass: &Pass<'_, R>) {
    let last = pass.end - 1;
    let Activity {
        trace,
        eligibility,
        final_trace,
        final_eligibility,
        presynaptic,
        values: postsynaptic,
        modulators,
        ..
    } = activity;
    final_trace.copy_from_slice(trace);
    final_eligibility.copy_from_slice(eligibility);
    let work = Update {
        cell,
        synapses: pass.synapses,
        step: Step::of(cell, presynaptic, postsynaptic, modulators, last),
        blocks: 0..cell.blocks(),
        states: States {
            trace: final_trace,
            eligibility: final_eligibility,
        },
    };
    run(cell.is_over_rows(), &cell.plastic.rule, work);
}
