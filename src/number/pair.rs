//! Pairs of vectors. Two sums that go on by turns hide the latency of one.

use super::lanes::Lanes;
use num_traits::Float;
use pulp::Simd;
use std::iter::Sum;
use std::ops::{Add, Div, Mul, Neg, Sub};

/// A pair of vectors: one number for each episode of a group, say.
#[derive(Clone, Copy)]
pub struct Pair<S: Simd, R: Lanes> {
    simd: S,
    /// The two vectors.
    pub vectors: [R::Vector<S>; 2],
}

impl<S: Simd, R: Lanes> Pair<S, R> {
    #[inline(always)]
    pub(crate) fn new(simd: S, vectors: [R::Vector<S>; 2]) -> Self {
        Self { simd, vectors }
    }

    #[inline(always)]
    pub(crate) fn simd(self) -> S {
        self.simd
    }

    /// The first elements of `values`.
    #[inline(always)]
    pub(crate) fn load(simd: S, values: &[R]) -> Self {
        Self::new(simd, R::pairs::<S>(&values[..R::pair_width::<S>()])[0])
    }

    #[inline(always)]
    pub(crate) fn store(self, values: &mut [R]) {
        R::pairs_mut::<S>(&mut values[..R::pair_width::<S>()])[0] = self.vectors;
    }

    /// `value` in every lane.
    #[inline(always)]
    pub(crate) fn splat(self, value: R) -> Self {
        Self::new(self.simd, [R::splat(self.simd, value); 2])
    }

    /// `self · b + c`, rounded once where the processor does that in one instruction.
    #[inline(always)]
    pub(crate) fn multiply_add(self, b: Self, c: Self) -> Self {
        self.zip3(b, c, |a, b, c| R::multiply_add(self.simd, a, b, c))
    }

    /// `self · b + c`, always rounded once.
    #[inline(always)]
    pub(crate) fn fused_multiply_add(self, b: Self, c: Self) -> Self {
        self.zip3(b, c, |a, b, c| R::fused_multiply_add(self.simd, a, b, c))
    }

    /// `then` in the lanes where `self < bound`, `otherwise` in the others.
    #[inline(always)]
    pub(crate) fn choose_less(self, bound: Self, then: Self, otherwise: Self) -> Self {
        let ([a, b], [c, d]) = (self.vectors, bound.vectors);
        let ([e, f], [g, h]) = (then.vectors, otherwise.vectors);
        // No closure: called often, it would be left by itself and not get the instruction set.
        let first = R::choose_less(self.simd, a, c, e, g);
        let second = R::choose_less(self.simd, b, d, f, h);
        Self::new(self.simd, [first, second])
    }

    /// Whether `self < bound` in some lane; a lane that is NaN hides no other.
    #[inline(always)]
    pub(crate) fn is_somewhere_less(self, bound: Self) -> bool
    where
        R: Float,
    {
        let (zero, one) = (self.splat(R::zero()), self.splat(R::one()));
        let flags = self.choose_less(bound, zero, one).vectors;
        R::least(self.simd, flags[0], flags[1]) == R::zero()
    }

    /// The sum over the first `count` lanes.
    #[inline(always)]
    pub(crate) fn sum_of_first(mut self, count: usize) -> R
    where
        R: Float + Sum,
    {
        let lanes = R::elements_mut::<S>(&mut self.vectors);
        lanes[..count].iter().copied().sum()
    }

    /// `function` of each lane by itself.
    #[inline(always)]
    pub(crate) fn map(mut self, function: impl Fn(R) -> R) -> Self {
        for value in R::elements_mut::<S>(&mut self.vectors) {
            *value = function(*value);
        }
        self
    }

    #[inline(always)]
    fn zip3(
        self,
        b: Self,
        c: Self,
        operation: impl Fn(R::Vector<S>, R::Vector<S>, R::Vector<S>) -> R::Vector<S>,
    ) -> Self {
        let at = |k: usize| operation(self.vectors[k], b.vectors[k], c.vectors[k]);
        Self::new(self.simd, [at(0), at(1)])
    }
}

macro_rules! operator {
    ($trait:ident, $method:ident, $lanes:ident) => {
        impl<S: Simd, R: Lanes> $trait for Pair<S, R> {
            type Output = Self;

            #[inline(always)]
            fn $method(self, other: Self) -> Self {
                let at =
                    |k: usize| <R as Lanes>::$lanes(self.simd, self.vectors[k], other.vectors[k]);
                Self::new(self.simd, [at(0), at(1)])
            }
        }
    };
}

operator!(Add, add, add);
operator!(Sub, sub, subtract);
operator!(Mul, mul, multiply);
operator!(Div, div, divide);

impl<S: Simd, R: Lanes + Float> Neg for Pair<S, R> {
    type Output = Self;

    #[inline(always)]
    fn neg(self) -> Self {
        self.splat(-R::one()) * self
    }
}
