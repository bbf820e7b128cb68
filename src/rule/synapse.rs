//! Any rule, synapse by synapse: what the traces become, and what the gradients on those become.

use super::expression::{Expressions, Id, Variable};
use super::names::MOST_COEFFICIENTS;
use super::program::Program;
use super::values::{Synapse, Values};
use crate::number::Number;

/// What a rule makes of the gradients `λ` on the new trace and `ε` on the new eligibility trace: `λ ∂F/∂z + ε ∂E/∂z` for
/// everything `z` that a synapse has.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Pulled<N> {
    pub trace: N,
    pub eligibility: N,
    pub presynaptic: N,
    pub postsynaptic: N,
    pub modulator: N,
    pub rate: N,
    pub coefficients: [N; MOST_COEFFICIENTS],
}

/// How many they are.
const PULLS: usize = 6 + MOST_COEFFICIENTS;

impl<N: Copy> From<[N; PULLS]> for Pulled<N> {
    #[inline(always)]
    fn from(all: [N; PULLS]) -> Self {
        let [
            trace,
            eligibility,
            presynaptic,
            postsynaptic,
            modulator,
            rate,
            coefficients @ ..,
        ] = all;
        Self {
            trace,
            eligibility,
            presynaptic,
            postsynaptic,
            modulator,
            rate,
            coefficients,
        }
    }
}

/// In that order.
fn variables(coefficients: usize) -> impl Iterator<Item = Variable> {
    let first = [
        Variable::Trace,
        Variable::Eligibility,
        Variable::Presynaptic,
        Variable::Postsynaptic,
        Variable::Modulator,
        Variable::Rate,
    ];
    // At most 8.
    let coefficients = (0..coefficients).map(|index| Variable::Coefficient(index as u8));
    first.into_iter().chain(coefficients)
}

/// A rule as formulas over numbers or vectors, for one synapse each.
pub(crate) trait SynapseRule: Copy {
    /// Whether it has an eligibility trace.
    fn has_eligibility(self) -> bool;

    /// The new trace before its bound, and the new eligibility trace: the first again where there is none.
    fn update<N: Number>(self, synapse: Synapse<'_, N>) -> [N; 2];

    /// What the gradients on those two become; the second is of no effect where there is no eligibility trace. Zero where
    /// [`Rule::pulls`](super::Rule::pulls) has a `false`.
    fn pull<N: Number>(self, synapse: Synapse<'_, N>, adjoint: [N; 2]) -> Pulled<N>;
}

/// The rule `hebb`, compiled.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct HebbSynapse;

impl SynapseRule for HebbSynapse {
    #[inline(always)]
    fn has_eligibility(self) -> bool {
        false
    }

    #[inline(always)]
    fn update<N: Number>(self, synapse: Synapse<'_, N>) -> [N; 2] {
        let [h, _, x, y, m, rate] = synapse.variables();
        let one = rate.constant(1.0);
        [(one - rate) * h + rate * m * y * x; 2]
    }

    // What is the same along a row of synapses is multiplied first, here and below.
    #[inline(always)]
    fn pull<N: Number>(self, synapse: Synapse<'_, N>, [on_trace, _]: [N; 2]) -> Pulled<N> {
        let [h, _, x, y, m, rate] = synapse.variables();
        let (zero, one) = (rate.constant(0.0), rate.constant(1.0));
        let along = on_trace * x;
        Pulled {
            trace: (one - rate) * on_trace,
            eligibility: zero,
            presynaptic: rate * m * y * on_trace,
            postsynaptic: rate * m * along,
            modulator: rate * y * along,
            rate: m * y * along - on_trace * h,
            coefficients: [zero; MOST_COEFFICIENTS],
        }
    }
}

/// The rule `oja`, compiled.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct OjaSynapse;

impl SynapseRule for OjaSynapse {
    #[inline(always)]
    fn has_eligibility(self) -> bool {
        false
    }

    #[inline(always)]
    fn update<N: Number>(self, synapse: Synapse<'_, N>) -> [N; 2] {
        let [h, _, x, y, m, rate] = synapse.variables();
        [h + rate * m * y * (x - y * h); 2]
    }

    #[inline(always)]
    fn pull<N: Number>(self, synapse: Synapse<'_, N>, [on_trace, _]: [N; 2]) -> Pulled<N> {
        let [h, _, x, y, m, rate] = synapse.variables();
        let (zero, one) = (rate.constant(0.0), rate.constant(1.0));
        let left = x - y * h;
        let along = on_trace * left;
        Pulled {
            trace: (one - rate * m * y * y) * on_trace,
            eligibility: zero,
            presynaptic: rate * m * y * on_trace,
            postsynaptic: rate * m * (on_trace * (left - y * h)),
            modulator: rate * y * along,
            rate: m * y * along,
            coefficients: [zero; MOST_COEFFICIENTS],
        }
    }
}

/// The rule `additive`, compiled.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct AdditiveSynapse;

impl SynapseRule for AdditiveSynapse {
    #[inline(always)]
    fn has_eligibility(self) -> bool {
        false
    }

    #[inline(always)]
    fn update<N: Number>(self, synapse: Synapse<'_, N>) -> [N; 2] {
        let [h, _, x, y, m, rate] = synapse.variables();
        [h + rate * m * y * x; 2]
    }

    #[inline(always)]
    fn pull<N: Number>(self, synapse: Synapse<'_, N>, [on_trace, _]: [N; 2]) -> Pulled<N> {
        let [_, _, x, y, m, rate] = synapse.variables();
        let zero = rate.constant(0.0);
        let along = on_trace * x;
        Pulled {
            trace: on_trace,
            eligibility: zero,
            presynaptic: rate * m * y * on_trace,
            postsynaptic: rate * m * along,
            modulator: rate * y * along,
            rate: m * y * along,
            coefficients: [zero; MOST_COEFFICIENTS],
        }
    }
}

/// The rule `retroactive`, compiled.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct RetroactiveSynapse;

impl SynapseRule for RetroactiveSynapse {
    #[inline(always)]
    fn has_eligibility(self) -> bool {
        true
    }

    #[inline(always)]
    fn update<N: Number>(self, synapse: Synapse<'_, N>) -> [N; 2] {
        let [h, e, x, y, m, rate] = synapse.variables();
        let one = rate.constant(1.0);
        [h + m * e, (one - rate) * e + rate * y * x]
    }

    #[inline(always)]
    fn pull<N: Number>(
        self,
        synapse: Synapse<'_, N>,
        [on_trace, on_eligibility]: [N; 2],
    ) -> Pulled<N> {
        let [_, e, x, y, m, rate] = synapse.variables();
        let (zero, one) = (rate.constant(0.0), rate.constant(1.0));
        let along = on_eligibility * x;
        Pulled {
            trace: on_trace,
            eligibility: m * on_trace + (one - rate) * on_eligibility,
            presynaptic: rate * y * on_eligibility,
            postsynaptic: rate * along,
            modulator: on_trace * e,
            rate: y * along - on_eligibility * e,
            coefficients: [zero; MOST_COEFFICIENTS],
        }
    }
}

/// Any rule, interpreted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct InterpretedSynapse<'a>(&'a General);

impl SynapseRule for InterpretedSynapse<'_> {
    #[inline(always)]
    fn has_eligibility(self) -> bool {
        self.0.has_eligibility
    }

    #[inline(always)]
    fn update<N: Number>(self, synapse: Synapse<'_, N>) -> [N; 2] {
        let adjoint = [synapse.rate; 2];
        self.0.update.run(Values { synapse, adjoint })
    }

    #[inline(always)]
    fn pull<N: Number>(self, synapse: Synapse<'_, N>, adjoint: [N; 2]) -> Pulled<N> {
        let all: [N; PULLS] = self.0.pull.run(Values { synapse, adjoint });
        all.into()
    }
}

/// A rule in the form in which any can be computed.
#[derive(Clone, Debug)]
pub(super) struct General {
    has_eligibility: bool,
    update: Program,
    pull: Program,
    pulls: Pulled<bool>,
}

impl General {
    /// The rule whose traces follow these simplified expressions.
    pub fn of(expressions: &mut Expressions, trace: Id, eligibility: Option<Id>) -> Self {
        let next = [Some(trace), eligibility];
        let adjoints = [Variable::TraceAdjoint, Variable::EligibilityAdjoint];
        let mut pulled = Vec::new();
        for variable in variables(expressions.coefficients().len()) {
            let mut total = expressions.number(0.0);
            for (root, adjoint) in next.into_iter().zip(adjoints) {
                let Some(root) = root else { continue };
                let derivative = expressions.derivative(root, variable);
                let adjoint = expressions.variable(adjoint);
                let pulled = expressions.product(adjoint, derivative);
                total = expressions.sum(total, pulled);
            }
            pulled.push(expressions.without_powers(total));
        }
        let mut pulls = [false; PULLS];
        for (pulls, root) in pulls.iter_mut().zip(&pulled) {
            *pulls = expressions.value(*root) != Some(0.0);
        }
        let next = [trace, eligibility.unwrap_or(trace)].map(|it| expressions.without_powers(it));
        Self {
            has_eligibility: eligibility.is_some(),
            update: Program::new(expressions, &next),
            pull: Program::new(expressions, &pulled),
            pulls: pulls.into(),
        }
    }

    pub fn interpreted(&self) -> InterpretedSynapse<'_> {
        InterpretedSynapse(self)
    }

    pub fn pulls(&self) -> Pulled<bool> {
        self.pulls
    }
}
