//! Sums that keep what rounding takes away.

use super::lanes::BLOCK;
use crate::Real;
use crate::cpu::simd::Pair;
use pulp::Simd;

/// A sum in twice the precision of `R`, in each lane: the sum as it was rounded, and what it lacks.
#[derive(Clone, Copy)]
pub(super) struct Compensated<S: Simd, R: Real> {
    pub high: Pair<S, R>,
    pub low: Pair<S, R>,
}

impl<S: Simd, R: Real> Compensated<S, R> {
    pub fn from_f64(simd: S, values: &[f64; BLOCK]) -> Self {
        let high = values.map(R::from_f64);
        let mut low = [R::zero(); BLOCK];
        for ((low, value), high) in low.iter_mut().zip(values).zip(high) {
            *low = R::from_f64(value - high.as_f64());
        }
        Self {
            high: Pair::load(simd, &high),
            low: Pair::load(simd, &low),
        }
    }

    pub fn to_f64(self) -> [f64; BLOCK] {
        let (mut high, mut low) = ([R::zero(); BLOCK], [R::zero(); BLOCK]);
        self.high.store(&mut high);
        self.low.store(&mut low);
        std::array::from_fn(|k| high[k].as_f64() + low[k].as_f64())
    }

    /// The sum and `a · b`: the errors of the product and of the sum are exact numbers (Dekker; Knuth), of which a second
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

    /// The sum over `divisor`: a quotient by the reciprocal, and a correction by what it leaves.
    #[inline(always)]
    pub fn over(self, divisor: Pair<S, R>) -> Pair<S, R> {
        let reciprocal = divisor.splat(R::one()) / divisor;
        let quotient = (self.high + self.low) * reciprocal;
        let rest = (-quotient).fused_multiply_add(divisor, self.high) + self.low;
        rest.multiply_add(reciprocal, quotient)
    }
}
