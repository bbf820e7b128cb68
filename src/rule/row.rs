//! Row-affine rules: `h ← d h + g x` with a **retention** `d` and a **gain** `g` that are the same along a row of synapses.
//!
//! Both are functions of the postsynaptic activity `y`, the modulator `m` and the rate, and the engines need them with their six
//! partial derivatives, once per row and step. Where a layer has no modulator, `m` is 1 and simplified away.

use super::expression::{Binary, Expressions, Id, Node, Unary, Variable};
use super::named::Named;
use super::program::Program;
use super::values::{Synapse, Values};
use crate::number::Number;

/// What the functions of a row depend on at a step.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Neuron<N> {
    /// `y`.
    pub output: N,
    /// `m`; of no effect in a rule that is not modulated.
    pub modulator: N,
    /// `η`.
    pub rate: N,
}

/// A row-affine rule as formulas over numbers or vectors.
pub(crate) trait RowRule: Copy {
    /// Whether the functions depend on the modulator.
    const IS_MODULATED: bool;

    /// `d(y, m, η)`.
    fn retention<N: Number>(self, at: Neuron<N>) -> N;

    /// `g(y, m, η)`.
    fn gain<N: Number>(self, at: Neuron<N>) -> N;

    /// `∂d/∂y`.
    fn retention_by_output<N: Number>(self, at: Neuron<N>) -> N;

    /// `∂g/∂y`.
    fn gain_by_output<N: Number>(self, at: Neuron<N>) -> N;

    /// `∂d/∂η`.
    fn retention_by_rate<N: Number>(self, at: Neuron<N>) -> N;

    /// `∂g/∂η`.
    fn gain_by_rate<N: Number>(self, at: Neuron<N>) -> N;

    /// `∂d/∂m`.
    #[inline(always)]
    fn retention_by_modulator<N: Number>(self, at: Neuron<N>) -> N {
        at.rate.constant(0.0)
    }

    /// `∂g/∂m`.
    #[inline(always)]
    fn gain_by_modulator<N: Number>(self, at: Neuron<N>) -> N {
        at.rate.constant(0.0)
    }

    /// Whether the retention depends on the neuron's output, so that its gradient acts on the output.
    fn retention_depends_on_output(self) -> bool;
}

/// The rule `hebb` without a modulator, compiled.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Hebb;

impl RowRule for Hebb {
    const IS_MODULATED: bool = false;

    #[inline(always)]
    fn retention<N: Number>(self, Neuron { rate, .. }: Neuron<N>) -> N {
        rate.constant(1.0) - rate
    }

    #[inline(always)]
    fn gain<N: Number>(self, Neuron { output, rate, .. }: Neuron<N>) -> N {
        rate * output
    }

    #[inline(always)]
    fn retention_by_output<N: Number>(self, Neuron { rate, .. }: Neuron<N>) -> N {
        rate.constant(0.0)
    }

    #[inline(always)]
    fn gain_by_output<N: Number>(self, Neuron { rate, .. }: Neuron<N>) -> N {
        rate
    }

    #[inline(always)]
    fn retention_by_rate<N: Number>(self, Neuron { output, .. }: Neuron<N>) -> N {
        output.constant(-1.0)
    }

    #[inline(always)]
    fn gain_by_rate<N: Number>(self, Neuron { output, .. }: Neuron<N>) -> N {
        output
    }

    #[inline(always)]
    fn retention_depends_on_output(self) -> bool {
        false
    }
}

/// The rule `oja` without a modulator, compiled.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Oja;

impl RowRule for Oja {
    const IS_MODULATED: bool = false;

    #[inline(always)]
    fn retention<N: Number>(self, Neuron { output, rate, .. }: Neuron<N>) -> N {
        rate.constant(1.0) - rate * output * output
    }

    #[inline(always)]
    fn gain<N: Number>(self, Neuron { output, rate, .. }: Neuron<N>) -> N {
        rate * output
    }

    #[inline(always)]
    fn retention_by_output<N: Number>(self, Neuron { output, rate, .. }: Neuron<N>) -> N {
        -(rate * output + rate * output)
    }

    #[inline(always)]
    fn gain_by_output<N: Number>(self, Neuron { rate, .. }: Neuron<N>) -> N {
        rate
    }

    #[inline(always)]
    fn retention_by_rate<N: Number>(self, Neuron { output, .. }: Neuron<N>) -> N {
        -(output * output)
    }

    #[inline(always)]
    fn gain_by_rate<N: Number>(self, Neuron { output, .. }: Neuron<N>) -> N {
        output
    }

    #[inline(always)]
    fn retention_depends_on_output(self) -> bool {
        true
    }
}

/// Any rule, interpreted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Interpreted<'a>(&'a Row);

impl Interpreted<'_> {
    #[inline(always)]
    fn run<N: Number>(self, function: Function, at: Neuron<N>) -> N {
        let synapse = Synapse {
            postsynaptic: at.output,
            modulator: at.modulator,
            rate: at.rate,
            // Not mentioned.
            trace: at.output,
            eligibility: at.output,
            presynaptic: at.output,
            coefficients: &[],
        };
        let adjoint = [at.output; 2];
        let [value] = self.0.programs[function as usize].run(Values { synapse, adjoint });
        value
    }
}

impl RowRule for Interpreted<'_> {
    const IS_MODULATED: bool = false;

    #[inline(always)]
    fn retention<N: Number>(self, at: Neuron<N>) -> N {
        self.run(Function::Retention, at)
    }

    #[inline(always)]
    fn gain<N: Number>(self, at: Neuron<N>) -> N {
        self.run(Function::Gain, at)
    }

    #[inline(always)]
    fn retention_by_output<N: Number>(self, at: Neuron<N>) -> N {
        self.run(Function::RetentionByOutput, at)
    }

    #[inline(always)]
    fn gain_by_output<N: Number>(self, at: Neuron<N>) -> N {
        self.run(Function::GainByOutput, at)
    }

    #[inline(always)]
    fn retention_by_rate<N: Number>(self, at: Neuron<N>) -> N {
        self.run(Function::RetentionByRate, at)
    }

    #[inline(always)]
    fn gain_by_rate<N: Number>(self, at: Neuron<N>) -> N {
        self.run(Function::GainByRate, at)
    }

    #[inline(always)]
    fn retention_by_modulator<N: Number>(self, at: Neuron<N>) -> N {
        self.run(Function::RetentionByModulator, at)
    }

    #[inline(always)]
    fn gain_by_modulator<N: Number>(self, at: Neuron<N>) -> N {
        self.run(Function::GainByModulator, at)
    }

    #[inline(always)]
    fn retention_depends_on_output(self) -> bool {
        self.0.retention_depends_on_output()
    }
}

/// A rule with a modulator: named ones compiled. It is one type for all of them, so that the kernels are compiled once more and
/// not four times; which it is, is asked once for each function of a row and step.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Modulated<'a> {
    Hebb,
    Oja,
    Additive,
    Other(Interpreted<'a>),
}

impl RowRule for Modulated<'_> {
    const IS_MODULATED: bool = true;

    #[inline(always)]
    fn retention<N: Number>(self, at: Neuron<N>) -> N {
        let Neuron {
            output,
            modulator,
            rate,
        } = at;
        match self {
            Self::Hebb => rate.constant(1.0) - rate,
            Self::Oja => rate.constant(1.0) - rate * modulator * output * output,
            Self::Additive => rate.constant(1.0),
            Self::Other(rule) => rule.retention(at),
        }
    }

    #[inline(always)]
    fn gain<N: Number>(self, at: Neuron<N>) -> N {
        match self {
            Self::Other(rule) => rule.gain(at),
            _ => at.rate * at.modulator * at.output,
        }
    }

    #[inline(always)]
    fn retention_by_output<N: Number>(self, at: Neuron<N>) -> N {
        match self {
            Self::Hebb | Self::Additive => at.rate.constant(0.0),
            Self::Oja => {
                let half = at.rate * at.modulator * at.output;
                -(half + half)
            }
            Self::Other(rule) => rule.retention_by_output(at),
        }
    }

    #[inline(always)]
    fn gain_by_output<N: Number>(self, at: Neuron<N>) -> N {
        match self {
            Self::Other(rule) => rule.gain_by_output(at),
            _ => at.rate * at.modulator,
        }
    }

    #[inline(always)]
    fn retention_by_rate<N: Number>(self, at: Neuron<N>) -> N {
        match self {
            Self::Hebb => at.rate.constant(-1.0),
            Self::Oja => -(at.modulator * at.output * at.output),
            Self::Additive => at.rate.constant(0.0),
            Self::Other(rule) => rule.retention_by_rate(at),
        }
    }

    #[inline(always)]
    fn gain_by_rate<N: Number>(self, at: Neuron<N>) -> N {
        match self {
            Self::Other(rule) => rule.gain_by_rate(at),
            _ => at.modulator * at.output,
        }
    }

    #[inline(always)]
    fn retention_by_modulator<N: Number>(self, at: Neuron<N>) -> N {
        match self {
            Self::Hebb | Self::Additive => at.rate.constant(0.0),
            Self::Oja => -(at.rate * at.output * at.output),
            Self::Other(rule) => rule.retention_by_modulator(at),
        }
    }

    #[inline(always)]
    fn gain_by_modulator<N: Number>(self, at: Neuron<N>) -> N {
        match self {
            Self::Other(rule) => rule.gain_by_modulator(at),
            _ => at.rate * at.output,
        }
    }

    #[inline(always)]
    fn retention_depends_on_output(self) -> bool {
        match self {
            Self::Hebb | Self::Additive => false,
            Self::Oja => true,
            Self::Other(rule) => rule.retention_depends_on_output(),
        }
    }
}

/// The functions of a row.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Function {
    Retention,
    Gain,
    RetentionByOutput,
    GainByOutput,
    RetentionByRate,
    GainByRate,
    RetentionByModulator,
    GainByModulator,
}

/// How many functions there are.
const FUNCTIONS: usize = 8;

impl Function {
    #[cfg(any(test, feature = "gpu"))]
    pub const ALL: [Self; FUNCTIONS] = [
        Self::Retention,
        Self::Gain,
        Self::RetentionByOutput,
        Self::GainByOutput,
        Self::RetentionByRate,
        Self::GainByRate,
        Self::RetentionByModulator,
        Self::GainByModulator,
    ];

    /// The name in shaders.
    #[cfg(feature = "gpu")]
    pub fn name(self) -> &'static str {
        match self {
            Self::Retention => "retention",
            Self::Gain => "gain",
            Self::RetentionByOutput => "retention_by_output",
            Self::GainByOutput => "gain_by_output",
            Self::RetentionByRate => "retention_by_rate",
            Self::GainByRate => "gain_by_rate",
            Self::RetentionByModulator => "retention_by_modulator",
            Self::GainByModulator => "gain_by_modulator",
        }
    }
}

/// A rule in the form in which the CPU engine computes it along a row of synapses.
#[derive(Clone, Copy)]
pub(crate) enum Compiled<'a> {
    Hebb(Hebb),
    Oja(Oja),
    Interpreted(Interpreted<'a>),
    Modulated(Modulated<'a>),
}

/// A row-affine rule, found in the expression of its trace.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    expressions: Expressions,
    /// In the order of [`Function::ALL`], without powers.
    functions: [Id; FUNCTIONS],
    programs: [Program; FUNCTIONS],
    name: Option<Named>,
    is_modulated: bool,
}

impl Row {
    /// The rule whose trace follows `root`, with a modulator or with one of 1, if it is row-affine.
    pub(super) fn of(
        mut expressions: Expressions,
        root: Id,
        name: Option<Named>,
        is_modulated: bool,
    ) -> Option<Self> {
        let Affine { retention, gain } = Affine::of(&mut expressions, root, is_modulated)?;
        let mut by = |function, variable| {
            let derivative = expressions.derivative(function, variable);
            expressions.without_powers(derivative)
        };
        let [d_y, d_rate, d_m] = VARIED.map(|variable| by(retention, variable));
        let [g_y, g_rate, g_m] = VARIED.map(|variable| by(gain, variable));
        let [retention, gain] = [retention, gain].map(|it| expressions.without_powers(it));
        let functions = [retention, gain, d_y, g_y, d_rate, g_rate, d_m, g_m];
        let programs = functions.map(|root| Program::new(&expressions, &[root]));
        Some(Self {
            expressions,
            functions,
            programs,
            name,
            is_modulated,
        })
    }

    /// The rule as the CPU engine computes it.
    pub fn compiled(&self) -> Compiled<'_> {
        if self.is_modulated {
            return Compiled::Modulated(match self.name {
                Some(Named::Hebb) => Modulated::Hebb,
                Some(Named::Oja) => Modulated::Oja,
                Some(Named::Additive) => Modulated::Additive,
                _ => Modulated::Other(self.interpreted()),
            });
        }
        match self.name {
            Some(Named::Hebb) => Compiled::Hebb(Hebb),
            Some(Named::Oja) => Compiled::Oja(Oja),
            _ => Compiled::Interpreted(self.interpreted()),
        }
    }

    fn function(&self, function: Function) -> Id {
        self.functions[function as usize]
    }

    /// The rule as formulas that are interpreted.
    pub fn interpreted(&self) -> Interpreted<'_> {
        Interpreted(self)
    }

    /// Whether the retention depends on the neuron's output, so that its gradient acts on the output.
    pub fn retention_depends_on_output(&self) -> bool {
        self.is_not_zero(Function::RetentionByOutput)
    }

    /// Whether the retention depends on the modulator, so that its gradient is part of the modulator's.
    pub fn retention_depends_on_modulator(&self) -> bool {
        self.is_not_zero(Function::RetentionByModulator)
    }

    /// The text of a function.
    pub(super) fn print(&self, function: Function) -> String {
        self.expressions.print(self.function(function))
    }

    /// The retention, the gain and their derivatives as WGSL functions of `y`, `m` and `rate`, whose names `of` ends; and whether
    /// they call `hyperbolic_tangent_rule`.
    #[cfg(feature = "gpu")]
    pub fn wgsl(&self, of: &str) -> (String, bool) {
        let texts = Function::ALL.map(|function| {
            let name = format!("{}{of}", function.name());
            super::wgsl::function(&self.expressions, self.function(function), &name, of)
        });
        let takes_tangents = super::wgsl::takes_tangents(&self.expressions, &self.functions);
        (texts.concat(), takes_tangents)
    }

    fn is_not_zero(&self, function: Function) -> bool {
        self.expressions.value(self.function(function)) != Some(0.0)
    }
}

/// What a row's functions depend on.
const VARIED: [Variable; 3] = [Variable::Postsynaptic, Variable::Rate, Variable::Modulator];

/// What they must not depend on.
const OF_A_SYNAPSE: [Variable; 2] = [Variable::Trace, Variable::Presynaptic];

/// The two factors of `h` and of `x`.
struct Affine {
    retention: Id,
    gain: Id,
}

impl Affine {
    /// The factors, if the expression is affine in `h` and `x` along a row, and 0 where both are.
    fn of(expressions: &mut Expressions, root: Id, is_modulated: bool) -> Option<Self> {
        let known: &[_] = match is_modulated {
            true => &[],
            false => &[(Variable::Modulator, 1.0)],
        };
        let (simple, became) = expressions.simplified(root, known);
        expressions.check_constants(root, &became).ok()?;
        let needed = expressions.needed(simple);
        if needed
            .iter()
            .any(|id| branches_on_synapse(expressions, *id))
        {
            return None;
        }
        let factors = OF_A_SYNAPSE.map(|variable| expressions.derivative(simple, variable));
        let nothing = OF_A_SYNAPSE.map(|variable| (variable, 0.0));
        let rest = expressions.simplified(simple, &nothing).0;
        let is_affine = factors
            .iter()
            .all(|factor| !expressions.mentions(*factor, &OF_A_SYNAPSE))
            && expressions.value(rest) == Some(0.0);
        let [retention, gain] = factors;
        is_affine.then_some(Self { retention, gain })
    }
}

/// Whether the branch that `id` takes depends on the trace or the presynaptic activity.
fn branches_on_synapse(expressions: &Expressions, id: Id) -> bool {
    let compared = match expressions.node(id) {
        Node::Unary(Unary::Abs, a) => vec![a],
        Node::Binary(Binary::Min | Binary::Max, a, b) => vec![a, b],
        Node::WhereLess([a, b, ..]) => vec![a, b],
        _ => vec![],
    };
    let mut compared = compared.into_iter();
    compared.any(|operand| expressions.mentions(operand, &OF_A_SYNAPSE))
}
