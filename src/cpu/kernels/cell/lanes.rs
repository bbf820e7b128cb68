//! What lies along the lanes of a block, as a type: rows of one episode, or episodes.

use crate::number::{Kernel, Pair, Real, vectorise};
use crate::rule::{CompiledSynapse, Rule, SynapseRule};
use pulp::Simd;
use std::marker::PhantomData;

/// Vectors of a block, with what the lanes of a block have in common.
pub(super) trait Lanes: Copy {
    type Real: Real;
    type Simd: Simd;

    fn simd(self) -> Self::Simd;

    /// The first block of `values`, of which each lane has its own.
    #[inline(always)]
    fn load(self, values: &[Self::Real]) -> Pair<Self::Simd, Self::Real> {
        Pair::load(self.simd(), values)
    }

    #[inline(always)]
    fn constant(self, value: Self::Real) -> Pair<Self::Simd, Self::Real> {
        Pair::new(
            self.simd(),
            [<Self::Real as crate::number::Lanes>::splat(self.simd(), value); 2],
        )
    }

    #[inline(always)]
    fn zero(self) -> Pair<Self::Simd, Self::Real> {
        self.constant(num_traits::Zero::zero())
    }

    /// Element `j` of presynaptic activity, `[J, episodes]`.
    fn activity(self, values: &[Self::Real], j: usize) -> Pair<Self::Simd, Self::Real>;

    /// Element `index` of parameters, `[…, rows]`.
    fn parameter(self, values: &[Self::Real], index: usize) -> Pair<Self::Simd, Self::Real>;

    /// Adds what a column has in each lane to `sum`, one number for each episode.
    fn add_column(self, value: Pair<Self::Simd, Self::Real>, sum: &mut [Self::Real]);
}

/// Rows of one episode.
#[derive(Clone, Copy)]
pub(super) struct OverRows<S, R>(S, PhantomData<R>);

impl<S: Simd, R: Real> Lanes for OverRows<S, R> {
    type Real = R;
    type Simd = S;

    #[inline(always)]
    fn simd(self) -> S {
        self.0
    }

    #[inline(always)]
    fn activity(self, values: &[R], j: usize) -> Pair<S, R> {
        self.constant(values[j])
    }

    #[inline(always)]
    fn parameter(self, values: &[R], index: usize) -> Pair<S, R> {
        self.load(&values[index * R::pair_width::<S>()..])
    }

    #[inline(always)]
    fn add_column(self, value: Pair<S, R>, sum: &mut [R]) {
        sum[0] += R::sum_lanes(self.0, value.vectors[0], value.vectors[1]);
    }
}

/// One row of as many episodes.
#[derive(Clone, Copy)]
pub(super) struct OverEpisodes<S, R>(S, PhantomData<R>);

impl<S: Simd, R: Real> Lanes for OverEpisodes<S, R> {
    type Real = R;
    type Simd = S;

    #[inline(always)]
    fn simd(self) -> S {
        self.0
    }

    #[inline(always)]
    fn activity(self, values: &[R], j: usize) -> Pair<S, R> {
        self.load(&values[j * R::pair_width::<S>()..])
    }

    #[inline(always)]
    fn parameter(self, values: &[R], index: usize) -> Pair<S, R> {
        self.constant(values[index])
    }

    #[inline(always)]
    fn add_column(self, value: Pair<S, R>, sum: &mut [R]) {
        (self.load(sum) + value).store(sum);
    }
}

/// What is done with blocks, for whatever lies along their lanes and every rule.
pub(super) trait Work<R: Real>: Sized {
    fn run<L: Lanes<Real = R>, P: SynapseRule>(self, lanes: L, rule: P);
}

/// The same where no rule is concerned.
pub(super) trait PlainWork<R: Real>: Sized {
    fn run<L: Lanes<Real = R>>(self, lanes: L);
}

/// Runs `work` with the widest vectors that the processor has.
pub(super) fn run<R: Real>(over_rows: bool, rule: &Rule, work: impl Work<R>) {
    match over_rows {
        true => vectorise(WithRule::<_, R, true>(rule, work, PhantomData)),
        false => vectorise(WithRule::<_, R, false>(rule, work, PhantomData)),
    }
}

/// The same where no rule is concerned.
pub(super) fn run_plain<R: Real>(over_rows: bool, work: impl PlainWork<R>) {
    match over_rows {
        true => vectorise(Plain::<_, R, true>(work, PhantomData)),
        false => vectorise(Plain::<_, R, false>(work, PhantomData)),
    }
}

struct WithRule<'a, K, R, const ROWS: bool>(&'a Rule, K, PhantomData<R>);

impl<R: Real, K: Work<R>, const ROWS: bool> Kernel for WithRule<'_, K, R, ROWS> {
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        match ROWS {
            true => with_rule(self.0, self.1, OverRows(simd, PhantomData)),
            false => with_rule(self.0, self.1, OverEpisodes(simd, PhantomData)),
        }
    }
}

struct Plain<K, R, const ROWS: bool>(K, PhantomData<R>);

impl<R: Real, K: PlainWork<R>, const ROWS: bool> Kernel for Plain<K, R, ROWS> {
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        match ROWS {
            true => self.0.run(OverRows(simd, PhantomData)),
            false => self.0.run(OverEpisodes(simd, PhantomData)),
        }
    }
}

/// Each form of a rule is a type of its own, so that the formulas of named rules are compiled in.
#[inline(always)]
fn with_rule<L: Lanes>(rule: &Rule, work: impl Work<L::Real>, lanes: L) {
    match rule.synapse() {
        CompiledSynapse::Hebb(rule) => work.run(lanes, rule),
        CompiledSynapse::Oja(rule) => work.run(lanes, rule),
        CompiledSynapse::Additive(rule) => work.run(lanes, rule),
        CompiledSynapse::Retroactive(rule) => work.run(lanes, rule),
        CompiledSynapse::Interpreted(rule) => work.run(lanes, rule),
    }
}
