//! Sums over a row's trace that the gradient of a retention is made of (`ARCHITECTURE.md`, "The reverse sweep").

use super::compensated::Compensated;
use super::neurons::Neurons;
use super::parts::part;
use super::way::{Vectors, Way, pairs};
use crate::cpu::shape::Shape;
use crate::number::{EngineNumber, Number, Real};
use crate::rule::RowRule;

/// The gradient on one row's trace, `G_ij = α_ij M_ij + e_i Ḡ_ij`.
#[derive(Clone, Copy)]
pub(super) struct TraceGradient<'a, W: Way> {
    pub way: W,
    pub plasticity: &'a [W::Coefficient],
    /// `M`, `[C, W]`.
    pub adjoint: &'a [W::Real],
    /// `Ḡ`, `[C, W]`, unless it is zero.
    pub upstream: Option<&'a [W::Real]>,
    /// `e_i`.
    pub decay: W::Value,
}

impl<W: Way> TraceGradient<'_, W> {
    /// `Σ_j G_ij H_ij` in each lane, with a trace `[C, W]`.
    #[inline(always)]
    pub fn with_trace(&self, trace: &[W::Real]) -> Compensated<W::Value> {
        self.with(pairs::<W>(trace), W::trace)
    }

    /// `Σ_j G_ij x_j` in each lane.
    #[inline(always)]
    fn with_activities(&self, activities: &[W::Activity]) -> Compensated<W::Value> {
        self.with(activities, W::activity)
    }

    /// `Σ_j G_ij v_j` in each lane, where `vectors` says what a value is.
    #[inline(always)]
    fn with<V: Copy>(
        &self,
        values: &[V],
        vectors: impl Fn(W, V) -> Vectors<W>,
    ) -> Compensated<W::Value> {
        let way = self.way;
        let decay = way.pair(way.spread(self.decay));
        let synapses = values
            .iter()
            .zip(pairs::<W>(self.adjoint))
            .zip(self.plasticity);
        let mut sum = Compensated::zero(decay);
        for (j, ((&value, &adjoint), &plasticity)) in synapses.enumerate() {
            let plasticity = way.pair(way.coefficient(plasticity));
            let mut gradient = way.pair(adjoint) * plasticity;
            if let Some(upstream) = self.upstream {
                let upstream = way.pair(pairs::<W>(upstream)[j]);
                gradient = decay.multiply_add(upstream, gradient);
            }
            sum = sum.add_product(gradient, way.pair(vectors(way, value)));
        }
        way.gather_precisely(sum)
    }
}

/// The gradient of a retention from its definition, `q_i(t) = Σ_j H_ij(t) ∂L/∂H_ij(t+1)`, with `H(t)` written out over
/// the earlier steps:
/// `q_i(t) = Σ_{u<t} g_i(u) (Π_{u<s<t} d_i(s)) Σ_j G_ij x_j(u) + (Π_{s<t} d_i(s)) Σ_j G_ij H_ij(0)`, `G = ∂L/∂H(t+1)`.
pub(super) struct Lookback<'a, W: Way, P> {
    pub rule: P,
    pub neurons: Neurons<'a, W>,
    pub shape: &'a Shape,
    /// `[T, N, E]`.
    pub input: &'a [W::Real],
    /// `[T, W]`.
    pub output: &'a [W::Real],
    /// `[C, W]`, unless it is zero.
    pub initial: Option<&'a [W::Real]>,
    pub gradient: TraceGradient<'a, W>,
}

impl<W: Way, P: RowRule> Lookback<'_, W, P> {
    /// In each lane; one whose product of retentions has vanished adds no more.
    #[inline(always)]
    pub fn sum(&self, t: usize) -> W::Value {
        let way = self.gradient.way;
        let epsilon = <W::Real as num_traits::Float>::epsilon();
        let (rule, neurons) = (self.rule, &self.neurons);
        let zero = neurons.constant(0.0);
        let vanished = neurons.constant(epsilon.as_f64().powi(4));
        let mut product = neurons.constant(1.0);
        let mut total = Compensated::zero(zero);
        for u in (0..t).rev() {
            let y = way.load(part(self.output, u, W::width()));
            let activities = W::activities(self.input, u, self.shape);
            let sum = self.gradient.with_activities(activities);
            let at = neurons.at(rule, u, y);
            total = total.add_multiple(product * rule.gain(at), sum);
            product = product * rule.retention(at);
            product = (product * product).where_less(vanished, zero, product);
            if !zero.is_somewhere_less(product * product) {
                return total.high + total.low;
            }
        }
        if let Some(initial) = self.initial {
            total = total.add_multiple(product, self.gradient.with_trace(initial));
        }
        total.high + total.low
    }
}
