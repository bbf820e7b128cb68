//! What a step does to the traces of some blocks.

use super::lanes::{Lanes, Work};
use crate::cpu::cells::Cell;
use crate::cpu::synapses::Synapses;
use crate::number::{Number, Pair, Real};
use crate::rule::{MOST_COEFFICIENTS, Synapse, SynapseRule};
use std::ops::Range;

/// What the neurons on both sides of a layer's synapses did at a step.
#[derive(Clone, Copy)]
pub(super) struct Step<'a, R> {
    /// Presynaptic activity, `[J, episodes]`.
    pub presynaptic: &'a [R],
    /// Postsynaptic activity, `[blocks, L]`.
    pub postsynaptic: &'a [R],
    /// The rows' modulators, `[blocks, L]`; empty where they are 1.
    pub modulators: &'a [R],
}

impl<'a, R> Step<'a, R> {
    /// Step `t` of the arrays of all steps.
    pub fn of(
        cell: &Cell<'_>,
        presynaptic: &'a [R],
        postsynaptic: &'a [R],
        modulators: &'a [R],
        t: usize,
    ) -> Self {
        let (columns, values) = (cell.activity(), cell.values());
        Self {
            presynaptic: &presynaptic[t * columns..][..columns],
            postsynaptic: &postsynaptic[t * values..][..values],
            modulators: match cell.is_modulated() {
                true => &modulators[t * values..][..values],
                false => &[],
            },
        }
    }
}

/// States of some blocks, each `[blocks, J, L]`; the second is empty without eligibility traces.
pub(super) struct States<'a, R> {
    pub trace: &'a mut [R],
    pub eligibility: &'a mut [R],
}

impl<R> States<'_, R> {
    pub fn reborrow(&mut self) -> States<'_, R> {
        States {
            trace: self.trace,
            eligibility: self.eligibility,
        }
    }

    /// Those of one block among them, of so many elements.
    pub fn of_block(&mut self, number: usize, size: usize) -> States<'_, R> {
        let part = number * size..(number + 1) * size;
        States {
            trace: &mut self.trace[part.clone()],
            eligibility: match self.eligibility.is_empty() {
                true => &mut [],
                false => &mut self.eligibility[part],
            },
        }
    }
}

/// A layer's synapses of one block at one step, but for what each synapse has of its own.
#[derive(Clone, Copy)]
pub(super) struct Block<'a, L: Lanes> {
    lanes: L,
    presynaptic: &'a [L::Real],
    coefficients: &'a [L::Real],
    /// Where the block's coefficients begin, and how far apart those with two names are.
    first: usize,
    apart: usize,
    count: usize,
    postsynaptic: Pair<L::Simd, L::Real>,
    modulator: Pair<L::Simd, L::Real>,
    rate: Pair<L::Simd, L::Real>,
}

impl<'a, L: Lanes> Block<'a, L> {
    #[inline(always)]
    pub fn new(
        lanes: L,
        cell: &Cell<'_>,
        synapses: &'a Synapses<L::Real>,
        step: &Step<'a, L::Real>,
        block: usize,
    ) -> Self {
        let at = block * cell.lanes;
        Self {
            lanes,
            presynaptic: step.presynaptic,
            coefficients: &synapses.coefficients,
            first: block * cell.presynaptic,
            apart: cell.blocks() * cell.presynaptic,
            count: cell.plastic.coefficients.len(),
            postsynaptic: lanes.load(&step.postsynaptic[at..]),
            modulator: match step.modulators.is_empty() {
                true => lanes.zero().constant(1.0),
                false => lanes.load(&step.modulators[at..]),
            },
            rate: lanes.parameter(&synapses.rate, block),
        }
    }

    /// The coefficients of synapse `j`.
    #[inline(always)]
    pub fn coefficients(&self, j: usize) -> [Pair<L::Simd, L::Real>; MOST_COEFFICIENTS] {
        let mut all = [self.rate; MOST_COEFFICIENTS];
        for (number, one) in all.iter_mut().enumerate().take(self.count) {
            let index = number * self.apart + self.first + j;
            *one = self.lanes.parameter(self.coefficients, index);
        }
        all
    }

    /// Synapse `j` with these traces.
    #[inline(always)]
    pub fn synapse<'b>(
        &self,
        j: usize,
        [trace, eligibility]: [Pair<L::Simd, L::Real>; 2],
        coefficients: &'b [Pair<L::Simd, L::Real>; MOST_COEFFICIENTS],
    ) -> Synapse<'b, Pair<L::Simd, L::Real>> {
        Synapse {
            trace,
            eligibility,
            presynaptic: self.lanes.activity(self.presynaptic, j),
            postsynaptic: self.postsynaptic,
            modulator: self.modulator,
            rate: self.rate,
            coefficients: &coefficients[..self.count],
        }
    }
}

/// Traces of one block, `[J, L]`, after a step.
#[inline(always)]
pub(super) fn update<L: Lanes, P: SynapseRule>(
    lanes: L,
    rule: P,
    cell: &Cell<'_>,
    synapses: &Synapses<L::Real>,
    step: &Step<'_, L::Real>,
    block: usize,
    states: States<'_, L::Real>,
) {
    let row = Block::new(lanes, cell, synapses, step, block);
    let width = cell.lanes;
    let bound = cell.plastic.bound;
    let States { trace, eligibility } = states;
    for j in 0..cell.presynaptic {
        let at = j * width;
        let h = lanes.load(&trace[at..]);
        let e = match P::has_eligibility(rule) {
            true => lanes.load(&eligibility[at..]),
            false => h,
        };
        let coefficients = row.coefficients(j);
        let [h, e] = rule.update(row.synapse(j, [h, e], &coefficients));
        let h = match bound {
            Some(bound) => within(h, bound),
            None => h,
        };
        h.store(&mut trace[at..]);
        if P::has_eligibility(rule) {
            e.store(&mut eligibility[at..]);
        }
    }
}

/// `value`, held to `±bound`; a NaN stays one.
#[inline(always)]
pub(super) fn within<N: Number>(value: N, bound: f64) -> N {
    let (low, high) = (value.constant(-bound), value.constant(bound));
    let value = value.where_less(low, low, value);
    high.where_less(value, high, value)
}

/// Some blocks through a step.
pub(super) struct Update<'a, R> {
    pub cell: &'a Cell<'a>,
    pub synapses: &'a Synapses<R>,
    pub step: Step<'a, R>,
    pub blocks: Range<usize>,
    pub states: States<'a, R>,
}

impl<R: Real> Work<R> for Update<'_, R> {
    #[inline(always)]
    fn run<L: Lanes<Real = R>, P: SynapseRule>(mut self, lanes: L, rule: P) {
        let size = self.cell.block();
        for (n, block) in self.blocks.clone().enumerate() {
            let states = self.states.of_block(n, size);
            update(
                lanes,
                rule,
                self.cell,
                self.synapses,
                &self.step,
                block,
                states,
            );
        }
    }
}

/// Some blocks through the steps of a segment, each step's traces kept before it: `[blocks, steps, states, J, L]`.
pub(super) struct Replay<'a, R> {
    pub cell: &'a Cell<'a>,
    pub synapses: &'a Synapses<R>,
    pub steps: &'a [Step<'a, R>],
    pub blocks: Range<usize>,
    /// The first step's traces are there.
    pub segment: &'a mut [R],
    /// Steps that there is room for.
    pub room: usize,
}

impl<R: Real> Work<R> for Replay<'_, R> {
    #[inline(always)]
    fn run<L: Lanes<Real = R>, P: SynapseRule>(self, lanes: L, rule: P) {
        let (size, states) = (self.cell.block(), self.cell.states());
        let of_block = self.room * states * size;
        for (n, block) in self.blocks.clone().enumerate() {
            let segment = &mut self.segment[n * of_block..][..of_block];
            for (k, step) in self.steps.iter().enumerate() {
                let (before, after) = segment.split_at_mut((k + 1) * states * size);
                let before = &before[k * states * size..];
                let after = &mut after[..states * size];
                after.copy_from_slice(before);
                let (trace, eligibility) = after.split_at_mut(size);
                let states = States { trace, eligibility };
                update(lanes, rule, self.cell, self.synapses, step, block, states);
            }
        }
    }
}
