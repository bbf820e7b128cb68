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

/// A layer's synapses of one block at one step, but for the traces.
#[derive(Clone, Copy)]
pub(super) struct Block<'a, L: Lanes> {
    lanes: L,
    presynaptic: &'a [L::Activity],
    coefficients: &'a [L::Real],
    /// Where the block's coefficients begin, and how far apart those with two names are.
    first: usize,
    apart: usize,
    count: usize,
    bound: Option<f64>,
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
            presynaptic: L::activities(step.presynaptic, cell.presynaptic),
            coefficients: &synapses.coefficients,
            first: block * cell.presynaptic,
            apart: cell.blocks() * cell.presynaptic,
            count: cell.plastic.coefficients.len().min(MOST_COEFFICIENTS),
            bound: cell.plastic.bound,
            postsynaptic: lanes.load(&step.postsynaptic[at..]),
            modulator: match step.modulators.is_empty() {
                true => lanes.zero().constant(1.0),
                false => lanes.load(&step.modulators[at..]),
            },
            rate: lanes.parameter_at(&synapses.rate, block),
        }
    }

    /// The coefficients of synapse `j`, if the rule `P` may have any.
    #[inline(always)]
    pub fn coefficients<P: SynapseRule>(
        &self,
        j: usize,
    ) -> [Pair<L::Simd, L::Real>; MOST_COEFFICIENTS] {
        let mut all = [self.rate; MOST_COEFFICIENTS];
        if P::HAS_COEFFICIENTS {
            for (number, one) in all.iter_mut().enumerate().take(self.count) {
                let index = number * self.apart + self.first + j;
                *one = self.lanes.parameter_at(self.coefficients, index);
            }
        }
        all
    }

    /// Synapse `j` with these traces, and of the rule `P`.
    #[inline(always)]
    pub fn synapse<'b, P: SynapseRule>(
        &self,
        j: usize,
        [trace, eligibility]: [Pair<L::Simd, L::Real>; 2],
        coefficients: &'b [Pair<L::Simd, L::Real>; MOST_COEFFICIENTS],
    ) -> Synapse<'b, Pair<L::Simd, L::Real>> {
        Synapse {
            trace,
            eligibility,
            presynaptic: self.lanes.activity(self.presynaptic[j]),
            postsynaptic: self.postsynaptic,
            modulator: self.modulator,
            rate: self.rate,
            coefficients: match P::HAS_COEFFICIENTS {
                true => &coefficients[..self.count],
                false => &[],
            },
        }
    }

    /// The traces of synapse `j` after the step.
    #[inline(always)]
    pub fn update<P: SynapseRule>(
        &self,
        rule: P,
        j: usize,
        traces: [Pair<L::Simd, L::Real>; 2],
    ) -> [Pair<L::Simd, L::Real>; 2] {
        let coefficients = self.coefficients::<P>(j);
        let [h, e] = rule.update(self.synapse::<P>(j, traces, &coefficients));
        match self.bound {
            Some(bound) => [within(h, bound), e],
            None => [h, e],
        }
    }
}

/// A block's weights, and what its traces add to them.
#[derive(Clone, Copy)]
pub(super) struct Weights<'a, L: Lanes> {
    lanes: L,
    pub fixed: &'a [L::Parameter],
    /// Empty where nothing is plastic.
    plasticity: &'a [L::Parameter],
}

impl<'a, L: Lanes> Weights<'a, L> {
    /// `columns` of them, from number `first` on.
    #[inline(always)]
    pub fn of(lanes: L, synapses: &'a Synapses<L::Real>, first: usize, columns: usize) -> Self {
        let plasticity = &synapses.plasticity;
        Self {
            lanes,
            fixed: L::parameters(&synapses.weight, first, columns),
            plasticity: match plasticity.is_empty() {
                true => &[],
                false => L::parameters(plasticity, first, columns),
            },
        }
    }

    /// `α_j`.
    #[inline(always)]
    pub fn plasticity(&self, j: usize) -> Pair<L::Simd, L::Real> {
        self.lanes.parameter(self.plasticity[j])
    }

    /// `w_j + α_j h_j`.
    #[inline(always)]
    pub fn with(&self, trace: Pair<L::Simd, L::Real>, j: usize) -> Pair<L::Simd, L::Real> {
        let weight = self.lanes.parameter(self.fixed[j]);
        self.plasticity(j).multiply_add(trace, weight)
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
        let (cell, columns) = (self.cell, self.cell.presynaptic);
        for (n, block) in self.blocks.clone().enumerate() {
            let row = Block::new(lanes, cell, self.synapses, &self.step, block);
            let States { trace, eligibility } = self.states.of_block(n, cell.block());
            let trace = L::vectors_mut(trace, columns);
            let eligibility = match rule.has_eligibility() {
                true => L::vectors_mut(eligibility, columns),
                false => &mut [],
            };
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
            }
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
        let (cell, columns) = (self.cell, self.cell.presynaptic);
        let size = cell.states() * cell.block();
        let of_block = self.room * size;
        for (n, block) in self.blocks.clone().enumerate() {
            let segment = &mut self.segment[n * of_block..][..of_block];
            for (k, step) in self.steps.iter().enumerate() {
                let row = Block::new(lanes, cell, self.synapses, step, block);
                let (before, after) = segment.split_at_mut((k + 1) * size);
                let (trace, eligibility) = before[k * size..].split_at(cell.block());
                let (next, next_eligibility) = after[..size].split_at_mut(cell.block());
                let trace = L::vectors(trace, columns);
                let next = L::vectors_mut(next, columns);
                let (eligibility, next_eligibility) = match rule.has_eligibility() {
                    true => (
                        L::vectors(eligibility, columns),
                        L::vectors_mut(next_eligibility, columns),
                    ),
                    false => (&[][..], &mut [][..]),
                };
                for j in 0..columns {
                    let h = lanes.pair(trace[j]);
                    let e = match rule.has_eligibility() {
                        true => lanes.pair(eligibility[j]),
                        false => h,
                    };
                    let [h, e] = row.update(rule, j, [h, e]);
                    next[j] = h.vectors;
                    if rule.has_eligibility() {
                        next_eligibility[j] = e.vectors;
                    }
                }
            }
        }
    }
}
