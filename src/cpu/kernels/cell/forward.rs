//! The forward sweep over a layer whose rows step together.

use super::lanes::{Lanes, PlainWork, run, run_plain};
use super::update::{States, Step, Update};
use super::{mask_of, total};
use crate::cpu::arrays::Activity;
use crate::cpu::cells::Cell;
use crate::cpu::chunks;
use crate::cpu::kernels::Pass;
use crate::cpu::synapses::Synapses;
use crate::network::{ModulatorFrom, RecurrentInput};
use crate::number::{Number, Pair, Real};
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
    let apart = Cell::apart(pass.room);
    let keeps = !activity.checkpoints.is_empty() && t > 0 && t.is_multiple_of(apart);
    let kept = Cell::kept(pass.room) * cell.states() * cell.block();
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
            if let Some(step) = given.last {
                let work = Update {
                    cell,
                    synapses: pass.synapses,
                    step,
                    blocks: blocks.clone(),
                    states: states.reborrow(),
                };
                run(cell.is_over_rows(), &cell.plastic.rule, work);
            }
            if keeps {
                keep(cell, &states, checkpoints, (t / apart - 1, kept));
            }
            let work = ReadOut {
                given: &given,
                blocks,
                trace: states.trace,
                output,
            };
            run_plain(cell.is_over_rows(), work);
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
            input,
            ..
        } = *self.given;
        let synapses = pass.synapses;
        for (n, block) in self.blocks.enumerate() {
            let mut sum = lanes.parameter(&synapses.bias, block);
            match cell.input {
                None => {}
                Some(RecurrentInput::Identity) => {
                    sum = sum + lanes.load(&input[block * cell.lanes..]);
                }
                Some(RecurrentInput::Matrix) => {
                    let of_input = Matrix {
                        lanes,
                        weights: &synapses.input_weight,
                        first: block * cell.inputs,
                    };
                    sum = sum + of_input.times(cell.inputs, input);
                }
            }
            let matrix = Matrix {
                lanes,
                weights: &synapses.weight,
                first: block * cell.presynaptic,
            };
            sum = sum
                + match cell.plastic.has_trace() {
                    false => matrix.times(cell.presynaptic, presynaptic),
                    true => {
                        let plasticity = Matrix {
                            weights: &synapses.plasticity,
                            ..matrix
                        };
                        let trace = &self.trace[n * cell.block()..][..cell.block()];
                        matrix.plastic_times(plasticity, trace, cell, presynaptic)
                    }
                };
            let y = pass.shape.activation.apply(sum);
            y.store(&mut self.output[n * cell.lanes..]);
        }
    }
}

/// The weights of one block.
#[derive(Clone, Copy)]
struct Matrix<'a, L: Lanes> {
    lanes: L,
    weights: &'a [L::Real],
    first: usize,
}

/// Sums that go on by turns, so that none waits for its last addition.
const TURNS: usize = 4;

impl<L: Lanes> Matrix<'_, L> {
    /// `Σ_j w_j x_j`.
    #[inline(always)]
    fn times(self, columns: usize, activity: &[L::Real]) -> Pair<L::Simd, L::Real> {
        let mut sums = [self.lanes.zero(); TURNS];
        let mut j = 0;
        while j + TURNS <= columns {
            for (k, sum) in sums.iter_mut().enumerate() {
                let w = self.lanes.parameter(self.weights, self.first + j + k);
                *sum = w.multiply_add(self.lanes.activity(activity, j + k), *sum);
            }
            j += TURNS;
        }
        while j < columns {
            let w = self.lanes.parameter(self.weights, self.first + j);
            sums[0] = w.multiply_add(self.lanes.activity(activity, j), sums[0]);
            j += 1;
        }
        (sums[0] + sums[1]) + (sums[2] + sums[3])
    }

    /// `w_j + α_j h_j`.
    #[inline(always)]
    fn plastic_weight(
        self,
        plasticity: Self,
        trace: &[L::Real],
        j: usize,
    ) -> Pair<L::Simd, L::Real> {
        let w = self.lanes.parameter(self.weights, self.first + j);
        let a = self
            .lanes
            .parameter(plasticity.weights, plasticity.first + j);
        a.multiply_add(self.lanes.load(trace), w)
    }

    /// `Σ_j (w_j + α_j h_j) x_j`.
    #[inline(always)]
    fn plastic_times(
        self,
        plasticity: Self,
        trace: &[L::Real],
        cell: &Cell<'_>,
        activity: &[L::Real],
    ) -> Pair<L::Simd, L::Real> {
        let lanes = self.lanes;
        let mut sums = [lanes.zero(); TURNS];
        let mut j = 0;
        let width = cell.lanes;
        while j + TURNS <= cell.presynaptic {
            for (k, sum) in sums.iter_mut().enumerate() {
                let j = j + k;
                let weight = self.plastic_weight(plasticity, &trace[j * width..], j);
                *sum = weight.multiply_add(lanes.activity(activity, j), *sum);
            }
            j += TURNS;
        }
        while j < cell.presynaptic {
            let weight = self.plastic_weight(plasticity, &trace[j * width..], j);
            sums[0] = weight.multiply_add(lanes.activity(activity, j), sums[0]);
            j += 1;
        }
        (sums[0] + sums[1]) + (sums[2] + sums[3])
    }
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
            let v = lanes.parameter(&synapses.modulator, block);
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
                    let phi = lanes.parameter(&synapses.fan_out, block);
                    let beta = lanes.parameter(&synapses.fan_out, blocks + block);
                    phi.multiply_add(mu, beta)
                }
                false => mu,
            };
            m.store(&mut modulators[block * cell.lanes..]);
        }
    }
}

/// Copies the output of step `t` to `[O, T, episodes]`.
fn put_out<R: Real>(cell: &Cell<'_>, activity: &mut Activity<R>, pass: &Pass<'_, R>, t: usize) {
    let (values, episodes) = (cell.values(), cell.episodes());
    let from = &activity.values[t * values..][..cell.outputs * episodes];
    for (i, from) in from.chunks_exact(episodes).enumerate() {
        activity.output[(i * pass.room + t) * episodes..][..episodes].copy_from_slice(from);
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
