//! Sums that keep what rounding takes away.

use crate::number::Pair;
use crate::number::Real;
use pulp::Simd;

/// A sum in twice the precision of `R`, in each lane: the sum as it was rounded, and what it lacks.
#[derive(Clone, Copy)]
pub(super) struct Compensated<S: Simd, R: Real> {
    pub high: Pair<S, R>,
    pub low: Pair<S, R>,
}

impl<S: Simd, R: Real> Compensated<S, R> {
    /// Nothing, in as many lanes as `like` has.
    #[inline(always)]
    pub fn zero(like: Pair<S, R>) -> Self {
        let zero = like.splat(R::zero());
        Self {
            high: zero,
            low: zero,
        }
    }

    /// `a · b`.
    #[inline(always)]
    pub fn product(a: Pair<S, R>, b: Pair<S, R>) -> Self {
        let high = a * b;
        Self {
            high,
            low: a.fused_multiply_add(b, -high),
        }
    }

    /// The sum and `a · b`: the errors of the product and of the sum are exact numbers (Dekker 1971; Knuth 1969), of which a second
    /// sum is kept (Ogita, Rump and Oishi 2005, "Dot2").
    #[inline(always)]
    pub fn add_product(self, a: Pair<S, R>, b: Pair<S, R>) -> Self {
        let product = a * b;
        let of_product = a.fused_multiply_add(b, -product);
        let high = self.high + product;
        let part = high - self.high;
        let of_sum = (self.high - (high - part)) + (product - part);
        Self {
            high,
            low: self.low + (of_sum + of_product),
        }
    }

    /// The sum and `factor · other`.
    #[inline(always)]
    pub fn add_multiple(self, factor: Pair<S, R>, other: Self) -> Self {
        let sum = self.add_product(factor, other.high);
        Self {
            low: factor.multiply_add(other.low, sum.low),
            ..sum
        }
    }

    /// The sum over `divisor`: a quotient by the reciprocal, and a correction by what it leaves.
    #[inline(always)]
    pub fn over(self, divisor: Pair<S, R>) -> Pair<S, R> {
        let reciprocal = divisor.splat(R::one()) / divisor;
        let quotient = (self.high + self.low) * reciprocal;
        let rest = (-quotient).fused_multiply_add(divisor, self.high) + self.low;
        rest.multiply_add(reciprocal, quotient)
    }
}
