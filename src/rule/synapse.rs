//! Any rule, synapse by synapse: what the traces become, and what the gradients on those become.

use super::expression::{Expressions, Id, Variable};
use super::names::MOST_COEFFICIENTS;
use super::program::Program;
use super::values::{Synapse, Values};
#[cfg(feature = "gpu")]
use super::wgsl;
use crate::number::EngineNumber;

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

/// How many of them are of any rule.
const OF_ANY_RULE: usize = 6;

/// How many they are.
const PULLS: usize = OF_ANY_RULE + MOST_COEFFICIENTS;

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

/// What of it a synapse has by itself.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Own<N> {
    pub trace: N,
    pub eligibility: N,
    pub coefficients: [N; MOST_COEFFICIENTS],
}

impl<N: EngineNumber> Own<N> {
    /// Of a rule with neither an eligibility trace nor coefficients.
    #[inline(always)]
    fn of_trace(trace: N) -> Self {
        let zero = trace.constant(0.0);
        Self {
            trace,
            eligibility: zero,
            coefficients: [zero; MOST_COEFFICIENTS],
        }
    }
}

/// What of it is summed over synapses.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sums<N> {
    /// Over a column, which has one presynaptic neuron: `[x]`.
    pub presynaptic: N,
    /// Over a row: what [`SynapseRule::of_row`] makes `[y]`, `[m]` and `[rate]` of.
    pub row: [N; 3],
}

/// A rule as formulas over numbers or vectors, for one synapse each.
pub(crate) trait SynapseRule: Copy {
    /// Whether it may have coefficients of its own.
    const HAS_COEFFICIENTS: bool = false;

    /// Whether it has an eligibility trace.
    fn has_eligibility(self) -> bool;

    /// The new trace before its bound, and the new eligibility trace: the first again where there is none.
    fn update<N: EngineNumber>(self, synapse: Synapse<'_, N>) -> [N; 2];

    /// What the gradients on those two become; the second is of no effect where there is no eligibility trace. Adds to `sums`. Zero
    /// where [`Rule::pulls`](super::Rule::pulls) has a `false`.
    fn pull<N: EngineNumber>(
        self,
        synapse: Synapse<'_, N>,
        adjoint: [N; 2],
        sums: &mut Sums<N>,
    ) -> Own<N>;

    /// The sums over a row's synapses of what its output, its modulator and its rate have, from [`Sums::row`]. Of `synapse` it
    /// takes these three alone, which are the same along a row.
    fn of_row<N: EngineNumber>(self, synapse: Synapse<'_, N>, sums: [N; 3]) -> [N; 3];
}

/// The rule `hebb`, compiled.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct HebbSynapse;

// What is the same along a row of synapses is multiplied first, here and below: it is done once for the row.
impl SynapseRule for HebbSynapse {
    #[inline(always)]
    fn has_eligibility(self) -> bool {
        false
    }

    #[inline(always)]
    fn update<N: EngineNumber>(self, synapse: Synapse<'_, N>) -> [N; 2] {
        let [h, _, x, y, m, rate] = synapse.variables();
        let one = rate.constant(1.0);
        [x.product_plus(rate * m * y, (one - rate) * h); 2]
    }

    #[inline(always)]
    fn pull<N: EngineNumber>(
        self,
        synapse: Synapse<'_, N>,
        [on_trace, _]: [N; 2],
        sums: &mut Sums<N>,
    ) -> Own<N> {
        let [h, _, x, y, m, rate] = synapse.variables();
        let [by_x, by_h, none] = sums.row;
        *sums = Sums {
            presynaptic: on_trace.product_plus(rate * m * y, sums.presynaptic),
            row: [
                on_trace.product_plus(x, by_x),
                on_trace.product_plus(h, by_h),
                none,
            ],
        };
        let one = rate.constant(1.0);
        Own::of_trace((one - rate) * on_trace)
    }

    #[inline(always)]
    fn of_row<N: EngineNumber>(self, synapse: Synapse<'_, N>, [by_x, by_h, _]: [N; 3]) -> [N; 3] {
        let [_, _, _, y, m, rate] = synapse.variables();
        [rate * m * by_x, rate * y * by_x, m * y * by_x - by_h]
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
    fn update<N: EngineNumber>(self, synapse: Synapse<'_, N>) -> [N; 2] {
        let [h, _, x, y, m, rate] = synapse.variables();
        let left = h.product_plus(-y, x);
        [left.product_plus(rate * m * y, h); 2]
    }

    #[inline(always)]
    fn pull<N: EngineNumber>(
        self,
        synapse: Synapse<'_, N>,
        [on_trace, _]: [N; 2],
        sums: &mut Sums<N>,
    ) -> Own<N> {
        let [h, _, x, y, m, rate] = synapse.variables();
        let left = h.product_plus(-y, x);
        let [by_left, by_h, none] = sums.row;
        *sums = Sums {
            presynaptic: on_trace.product_plus(rate * m * y, sums.presynaptic),
            row: [
                on_trace.product_plus(left, by_left),
                on_trace.product_plus(h, by_h),
                none,
            ],
        };
        let one = rate.constant(1.0);
        Own::of_trace((one - rate * m * y * y) * on_trace)
    }

    #[inline(always)]
    fn of_row<N: EngineNumber>(
        self,
        synapse: Synapse<'_, N>,
        [by_left, by_h, _]: [N; 3],
    ) -> [N; 3] {
        let [_, _, _, y, m, rate] = synapse.variables();
        [
            rate * m * (by_left - y * by_h),
            rate * y * by_left,
            m * y * by_left,
        ]
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
    fn update<N: EngineNumber>(self, synapse: Synapse<'_, N>) -> [N; 2] {
        let [h, _, x, y, m, rate] = synapse.variables();
        [x.product_plus(rate * m * y, h); 2]
    }

    #[inline(always)]
    fn pull<N: EngineNumber>(
        self,
        synapse: Synapse<'_, N>,
        [on_trace, _]: [N; 2],
        sums: &mut Sums<N>,
    ) -> Own<N> {
        let [_, _, x, y, m, rate] = synapse.variables();
        let [by_x, none, neither] = sums.row;
        *sums = Sums {
            presynaptic: on_trace.product_plus(rate * m * y, sums.presynaptic),
            row: [on_trace.product_plus(x, by_x), none, neither],
        };
        Own::of_trace(on_trace)
    }

    #[inline(always)]
    fn of_row<N: EngineNumber>(self, synapse: Synapse<'_, N>, [by_x, _, _]: [N; 3]) -> [N; 3] {
        let [_, _, _, y, m, rate] = synapse.variables();
        [rate * m * by_x, rate * y * by_x, m * y * by_x]
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
    fn update<N: EngineNumber>(self, synapse: Synapse<'_, N>) -> [N; 2] {
        let [h, e, x, y, m, rate] = synapse.variables();
        let one = rate.constant(1.0);
        [
            e.product_plus(m, h),
            x.product_plus(rate * y, (one - rate) * e),
        ]
    }

    #[inline(always)]
    fn pull<N: EngineNumber>(
        self,
        synapse: Synapse<'_, N>,
        [on_trace, on_eligibility]: [N; 2],
        sums: &mut Sums<N>,
    ) -> Own<N> {
        let [_, e, x, y, m, rate] = synapse.variables();
        let [by_x, by_e, by_m] = sums.row;
        *sums = Sums {
            presynaptic: on_eligibility.product_plus(rate * y, sums.presynaptic),
            row: [
                on_eligibility.product_plus(x, by_x),
                on_eligibility.product_plus(e, by_e),
                on_trace.product_plus(e, by_m),
            ],
        };
        let one = rate.constant(1.0);
        Own {
            eligibility: on_trace.product_plus(m, (one - rate) * on_eligibility),
            ..Own::of_trace(on_trace)
        }
    }

    #[inline(always)]
    fn of_row<N: EngineNumber>(
        self,
        synapse: Synapse<'_, N>,
        [by_x, by_e, by_m]: [N; 3],
    ) -> [N; 3] {
        let [_, _, _, y, _, rate] = synapse.variables();
        [rate * by_x, by_m, y * by_x - by_e]
    }
}

/// Any rule, interpreted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct InterpretedSynapse<'a>(&'a General);

impl SynapseRule for InterpretedSynapse<'_> {
    const HAS_COEFFICIENTS: bool = true;

    #[inline(always)]
    fn has_eligibility(self) -> bool {
        self.0.has_eligibility
    }

    #[inline(always)]
    fn update<N: EngineNumber>(self, synapse: Synapse<'_, N>) -> [N; 2] {
        let adjoint = [synapse.rate; 2];
        self.0.update.run(Values { synapse, adjoint })
    }

    #[inline(always)]
    fn pull<N: EngineNumber>(
        self,
        synapse: Synapse<'_, N>,
        adjoint: [N; 2],
        sums: &mut Sums<N>,
    ) -> Own<N> {
        let all: [N; PULLS] = self.0.pull.run(Values { synapse, adjoint });
        let pulled: Pulled<N> = all.into();
        let [by_y, by_m, by_rate] = sums.row;
        *sums = Sums {
            presynaptic: sums.presynaptic + pulled.presynaptic,
            row: [
                by_y + pulled.postsynaptic,
                by_m + pulled.modulator,
                by_rate + pulled.rate,
            ],
        };
        Own {
            trace: pulled.trace,
            eligibility: pulled.eligibility,
            coefficients: pulled.coefficients,
        }
    }

    #[inline(always)]
    fn of_row<N: EngineNumber>(self, _: Synapse<'_, N>, sums: [N; 3]) -> [N; 3] {
        sums
    }
}

/// A rule in the form in which any can be computed.
#[derive(Clone, Debug)]
pub(super) struct General {
    has_eligibility: bool,
    update: Program,
    pull: Program,
    pulls: Pulled<bool>,
    #[cfg(feature = "gpu")]
    source: Source,
}

/// What the programs are made of.
#[cfg(feature = "gpu")]
#[derive(Clone, Debug)]
struct Source {
    expressions: Expressions,
    update: [Id; 2],
    /// In the order of [`variables`].
    pull: Vec<Id>,
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
            #[cfg(feature = "gpu")]
            source: Source {
                expressions: expressions.clone(),
                update: next,
                pull: pulled,
            },
        }
    }

    /// The rule as WGSL: `struct Synapse`; `new_traces`, which are two numbers; `pull_row`, what comes of the gradients on those
    /// for what a row has, `vec3` of postsynaptic activity, modulator and rate; and `pull`, a `struct Pulled`, for everything
    /// else. And whether they call `hyperbolic_tangent_rule`.
    #[cfg(feature = "gpu")]
    pub fn wgsl(&self) -> (String, bool) {
        let Source {
            expressions,
            update,
            pull,
        } = &self.source;
        let coefficients = pull.len() - OF_ANY_RULE;
        let [trace, eligibility, presynaptic, row @ ..] = &pull[..OF_ANY_RULE] else {
            unreachable!("there are as many");
        };
        let of_synapse = [*trace, *eligibility, *presynaptic];
        let of_synapse = [&of_synapse[..], &pull[OF_ANY_RULE..]].concat();
        let members = ["trace", "eligibility", "presynaptic"].map(str::to_owned);
        let members = members
            .into_iter()
            .chain((0..coefficients).map(|index| format!("k{index}")));
        let function = |roots: &[Id], name, kind, adjoint| {
            wgsl::of_synapse(expressions, roots, name, kind, adjoint)
        };
        let texts = [
            wgsl::synapse(coefficients),
            wgsl::structure("Pulled", members),
            function(update, "new_traces", "vec2<f32>", false),
            function(row, "pull_row", "vec3<f32>", true),
            function(&of_synapse, "pull", "Pulled", true),
        ];
        let roots = [update, &pull[..]].concat();
        let takes_tangents = wgsl::takes_tangents(expressions, &roots);
        (texts.concat(), takes_tangents)
    }

    pub fn interpreted(&self) -> InterpretedSynapse<'_> {
        InterpretedSynapse(self)
    }

    pub fn pulls(&self) -> Pulled<bool> {
        self.pulls
    }
}
