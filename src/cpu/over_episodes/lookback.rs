//! Sums over a row's trace that the gradient of a retention is made of (`ARCHITECTURE.md`, "The reverse sweep").

use super::compensated::Compensated;
use super::lanes;
use crate::network::Rule;
use crate::number::Number;
use crate::number::Pair;
use crate::number::Real;
use pulp::Simd;

/// The gradient on one row's trace, `G_ij = α_ij M_ij + e_i Ḡ_ij`.
#[derive(Clone, Copy)]
pub(super) struct Towards<'a, S: Simd, R: Real> {
    /// `[I]`.
    pub plasticity: &'a [R],
    /// `[I, W]`, as the next.
    pub adjoint: &'a [R],
    pub upstream: Option<&'a [R]>,
    pub decay: Pair<S, R>,
}

impl<S: Simd, R: Real> Towards<'_, S, R> {
    /// `Σ_j G_ij v_j` in each episode, with `values` `[I, W]`.
    #[inline(always)]
    pub fn sum(&self, simd: S, values: &[R]) -> Compensated<S, R> {
        let synapses = R::pairs::<S>(values)
            .iter()
            .zip(R::pairs::<S>(self.adjoint))
            .zip(self.plasticity);
        let mut sum = Compensated::zero(self.decay);
        for (j, ((&value, &adjoint), &plasticity)) in synapses.enumerate() {
            let mut gradient = Pair::new(simd, adjoint) * self.decay.splat(plasticity);
            if let Some(upstream) = self.upstream {
                let upstream = Pair::new(simd, R::pairs::<S>(upstream)[j]);
                gradient = self.decay.multiply_add(upstream, gradient);
            }
            sum = sum.add_product(gradient, Pair::new(simd, value));
        }
        sum
    }
}

/// The gradient of a retention from its definition, `q_i(t) = Σ_j H_ij(t) ∂L/∂H_ij(t+1)`, with `H(t)` written out over
/// the earlier steps:
/// `q_i(t) = Σ_{u<t} g_i(u) (Π_{u<s<t} d_i(s)) Σ_j G_ij x_j(u) + (Π_{s<t} d_i(s)) Σ_j G_ij H_ij(0)`, `G = ∂L/∂H(t+1)`.
pub(super) struct Lookback<'a, S: Simd, R: Real> {
    pub rule: Rule,
    pub rate: Pair<S, R>,
    /// `[T, I, W]`.
    pub input: &'a [R],
    /// `[T, W]`.
    pub output: &'a [R],
    pub initial: Option<&'a [R]>,
    pub towards: Towards<'a, S, R>,
}

impl<S: Simd, R: Real> Lookback<'_, S, R> {
    /// In each episode; an episode whose product of retentions has vanished adds no more.
    #[inline(always)]
    pub fn sum(&self, simd: S, t: usize) -> Pair<S, R> {
        let width = R::pair_width::<S>();
        let row = self.towards.adjoint.len();
        let zero = self.rate.constant(0.0);
        let vanished = self.rate.splat(R::epsilon().powi(4));
        let mut product = self.rate.constant(1.0);
        let mut total = Compensated::zero(zero);
        for u in (0..t).rev() {
            let y = Pair::load(simd, lanes::of(self.output, u, width));
            let sum = self.towards.sum(simd, lanes::of(self.input, u, row));
            total = total.add_multiple(product * self.rule.gain(y, self.rate), sum);
            product = product * self.rule.retention(y, self.rate);
            product = (product * product).choose_less(vanished, zero, product);
            if !zero.is_somewhere_less(product * product) {
                return total.high + total.low;
            }
        }
        if let Some(initial) = self.initial {
            total = total.add_multiple(product, self.towards.sum(simd, initial));
        }
        total.high + total.low
    }
}
