//! Sums that keep what rounding takes away.

use crate::number::EngineNumber;

/// A sum in twice the precision of its numbers: the sum as it was rounded, and what it lacks.
#[derive(Clone, Copy)]
pub(super) struct Compensated<N> {
    pub high: N,
    pub low: N,
}

impl<N: EngineNumber> Compensated<N> {
    /// Nothing, in as many lanes as `like` has.
    #[inline(always)]
    pub fn zero(like: N) -> Self {
        let zero = like.constant(0.0);
        Self {
            high: zero,
            low: zero,
        }
    }

    /// `a · b`.
    #[inline(always)]
    pub fn product(a: N, b: N) -> Self {
        let high = a * b;
        Self {
            high,
            low: a.fused_product_plus(b, -high),
        }
    }

    /// The sum and `a · b`: the errors of the product and of the sum are exact numbers (Dekker 1971; Knuth 1969), of which a second
    /// sum is kept (Ogita, Rump and Oishi 2005, "Dot2").
    #[inline(always)]
    pub fn add_product(self, a: N, b: N) -> Self {
        let product = a * b;
        let of_product = a.fused_product_plus(b, -product);
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
    pub fn add_multiple(self, factor: N, other: Self) -> Self {
        let sum = self.add_product(factor, other.high);
        Self {
            low: factor.product_plus(other.low, sum.low),
            ..sum
        }
    }

    /// The sum over `divisor`: a quotient by the reciprocal, and a correction by what it leaves.
    #[inline(always)]
    pub fn over(self, divisor: N) -> N {
        let reciprocal = divisor.constant(1.0) / divisor;
        let quotient = (self.high + self.low) * reciprocal;
        let rest = (-quotient).fused_product_plus(divisor, self.high) + self.low;
        rest.product_plus(reciprocal, quotient)
    }
}
