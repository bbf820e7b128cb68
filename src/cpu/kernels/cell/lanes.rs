//! What lies along the lanes of a block, as a type: rows of one episode, or episodes.

use crate::number::{self, Kernel, Lanes as _, Pair, Real, has_vectors, vectorise};
use crate::rule::{CompiledSynapse, InterpretedSynapse, Rule, SynapseRule};
use pulp::Simd;
use std::marker::PhantomData;

/// A pair of vectors, as loops over synapses use it.
pub(super) type Vectors<L> = [<<L as Lanes>::Real as number::Lanes>::Vector<<L as Lanes>::Simd>; 2];

/// Vectors of a block, with what the lanes of a block have in common.
pub(super) trait Lanes: Copy {
    type Real: Real;
    type Simd: Simd;
    /// What is loaded of a parameter to fill a pair of vectors.
    type Parameter: Copy;
    /// What is loaded of presynaptic activity to do so.
    type Activity: Copy;

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
            [<Self::Real as number::Lanes>::splat(self.simd(), value); 2],
        )
    }

    #[inline(always)]
    fn zero(self) -> Pair<Self::Simd, Self::Real> {
        self.constant(num_traits::Zero::zero())
    }

    /// Vectors as a number in each lane.
    #[inline(always)]
    fn pair(self, vectors: Vectors<Self>) -> Pair<Self::Simd, Self::Real> {
        Pair::new(self.simd(), vectors)
    }

    /// The first `count` blocks of `values`.
    #[inline(always)]
    fn vectors(values: &[Self::Real], count: usize) -> &[Vectors<Self>] {
        let width = Self::Real::pair_width::<Self::Simd>();
        Self::Real::pairs::<Self::Simd>(&values[..count * width])
    }

    /// The same, to be changed.
    #[inline(always)]
    fn vectors_mut(values: &mut [Self::Real], count: usize) -> &mut [Vectors<Self>] {
        let width = Self::Real::pair_width::<Self::Simd>();
        Self::Real::pairs_mut::<Self::Simd>(&mut values[..count * width])
    }

    /// The first `count` elements of presynaptic activity, `[J, episodes]`.
    fn activities(values: &[Self::Real], count: usize) -> &[Self::Activity];

    fn activity(self, loaded: Self::Activity) -> Pair<Self::Simd, Self::Real>;

    /// `count` elements from number `first` on of parameters, `[…, rows]`.
    fn parameters(values: &[Self::Real], first: usize, count: usize) -> &[Self::Parameter];

    fn parameter(self, loaded: Self::Parameter) -> Pair<Self::Simd, Self::Real>;

    /// Element `index` of parameters, `[…, rows]`.
    #[inline(always)]
    fn parameter_at(self, values: &[Self::Real], index: usize) -> Pair<Self::Simd, Self::Real> {
        self.parameter(Self::parameters(values, index, 1)[0])
    }

    /// Adds what a column has in each lane to `sum`, one number for each episode.
    fn add_column(self, value: Pair<Self::Simd, Self::Real>, sum: &mut [Self::Real]);
}

/// Rows of one episode.
#[derive(Clone, Copy)]
pub(super) struct OverRows<S, R>(S, PhantomData<R>);

impl<S: Simd, R: Real> Lanes for OverRows<S, R> {
    type Real = R;
    type Simd = S;
    type Parameter = [R::Vector<S>; 2];
    type Activity = R;

    #[inline(always)]
    fn simd(self) -> S {
        self.0
    }

    #[inline(always)]
    fn activities(values: &[R], count: usize) -> &[R] {
        &values[..count]
    }

    #[inline(always)]
    fn activity(self, loaded: R) -> Pair<S, R> {
        self.constant(loaded)
    }

    #[inline(always)]
    fn parameters(values: &[R], first: usize, count: usize) -> &[[R::Vector<S>; 2]] {
        Self::vectors(&values[first * R::pair_width::<S>()..], count)
    }

    #[inline(always)]
    fn parameter(self, loaded: [R::Vector<S>; 2]) -> Pair<S, R> {
        self.pair(loaded)
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
    type Parameter = R;
    type Activity = [R::Vector<S>; 2];

    #[inline(always)]
    fn simd(self) -> S {
        self.0
    }

    #[inline(always)]
    fn activities(values: &[R], count: usize) -> &[[R::Vector<S>; 2]] {
        Self::vectors(values, count)
    }

    #[inline(always)]
    fn activity(self, loaded: [R::Vector<S>; 2]) -> Pair<S, R> {
        self.pair(loaded)
    }

    #[inline(always)]
    fn parameters(values: &[R], first: usize, count: usize) -> &[R] {
        &values[first..first + count]
    }

    #[inline(always)]
    fn parameter(self, loaded: R) -> Pair<S, R> {
        self.constant(loaded)
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

/// Runs `work` with the widest vectors that the processor has. Each form of a rule is a type and a function of its own.
pub(super) fn run<R: Real>(over_rows: bool, rule: &Rule, work: impl Work<R>) {
    let interpreted = rule.interpreted_synapse();
    match rule.synapse() {
        CompiledSynapse::Hebb(rule) => run_plain(over_rows, Named(work, rule, interpreted)),
        CompiledSynapse::Oja(rule) => run_plain(over_rows, Named(work, rule, interpreted)),
        CompiledSynapse::Additive(rule) => run_plain(over_rows, Named(work, rule, interpreted)),
        CompiledSynapse::Retroactive(rule) => run_plain(over_rows, Named(work, rule, interpreted)),
        CompiledSynapse::Interpreted(rule) => run_plain(over_rows, Interpreted(work, rule)),
    }
}

/// Work by a rule that has a name, which is interpreted where the processor has no vectors.
struct Named<'a, K, P>(K, P, InterpretedSynapse<'a>);

impl<R: Real, K: Work<R>, P: SynapseRule> PlainWork<R> for Named<'_, K, P> {
    #[inline(always)]
    fn run<L: Lanes<Real = R>>(self, lanes: L) {
        match const { has_vectors::<L::Simd>() } {
            true => self.0.run(lanes, self.1),
            false => without_vectors(self.0, lanes, self.2),
        }
    }
}

#[inline(never)]
fn without_vectors<L: Lanes>(work: impl Work<L::Real>, lanes: L, rule: InterpretedSynapse<'_>) {
    work.run(lanes, rule);
}

/// Work by any other rule.
struct Interpreted<'a, K>(K, InterpretedSynapse<'a>);

impl<R: Real, K: Work<R>> PlainWork<R> for Interpreted<'_, K> {
    #[inline(always)]
    fn run<L: Lanes<Real = R>>(self, lanes: L) {
        self.0.run(lanes, self.1);
    }
}

/// Runs work that no rule is concerned with.
pub(super) fn run_plain<R: Real>(over_rows: bool, work: impl PlainWork<R>) {
    match over_rows {
        true => vectorise(Plain::<_, R, true>(work, PhantomData)),
        false => vectorise(Plain::<_, R, false>(work, PhantomData)),
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
