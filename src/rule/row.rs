//! Row-affine rules: `h ← d h + g x` with a **retention** `d` and a **gain** `g` that are the same along a row of synapses.
//!
//! Both are functions of the postsynaptic activity `y` and the rate, and the engines need them with their four partial
//! derivatives, once per row and step.

use super::expression::{Binary, Expressions, Id, Node, Unary, Variable};
use super::named::Named;
use super::program::Program;
use super::values::{Synapse, Values};
use crate::number::Number;

/// A row-affine rule as formulas over numbers or vectors.
pub(crate) trait RowRule: Copy {
    /// `d(y, η)`.
    fn retention<N: Number>(self, y: N, rate: N) -> N;

    /// `g(y, η)`.
    fn gain<N: Number>(self, y: N, rate: N) -> N;

    /// `∂d/∂y`.
    fn retention_by_output<N: Number>(self, y: N, rate: N) -> N;

    /// `∂g/∂y`.
    fn gain_by_output<N: Number>(self, y: N, rate: N) -> N;

    /// `∂d/∂η`.
    fn retention_by_rate<N: Number>(self, y: N, rate: N) -> N;

    /// `∂g/∂η`.
    fn gain_by_rate<N: Number>(self, y: N, rate: N) -> N;

    /// Whether the retention depends on the neuron's output, so that its gradient acts on the output.
    fn retention_depends_on_output(self) -> bool;
}

/// The rule `hebb`, compiled.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Hebb;

impl RowRule for Hebb {
    #[inline(always)]
    fn retention<N: Number>(self, _y: N, rate: N) -> N {
        rate.constant(1.0) - rate
    }

    #[inline(always)]
    fn gain<N: Number>(self, y: N, rate: N) -> N {
        rate * y
    }

    #[inline(always)]
    fn retention_by_output<N: Number>(self, _y: N, rate: N) -> N {
        rate.constant(0.0)
    }

    #[inline(always)]
    fn gain_by_output<N: Number>(self, _y: N, rate: N) -> N {
        rate
    }

    #[inline(always)]
    fn retention_by_rate<N: Number>(self, y: N, _rate: N) -> N {
        y.constant(-1.0)
    }

    #[inline(always)]
    fn gain_by_rate<N: Number>(self, y: N, _rate: N) -> N {
        y
    }

    #[inline(always)]
    fn retention_depends_on_output(self) -> bool {
        false
    }
}

/// The rule `oja`, compiled.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Oja;

impl RowRule for Oja {
    #[inline(always)]
    fn retention<N: Number>(self, y: N, rate: N) -> N {
        rate.constant(1.0) - rate * y * y
    }

    #[inline(always)]
    fn gain<N: Number>(self, y: N, rate: N) -> N {
        rate * y
    }

    #[inline(always)]
    fn retention_by_output<N: Number>(self, y: N, rate: N) -> N {
        -(rate * y + rate * y)
    }

    #[inline(always)]
    fn gain_by_output<N: Number>(self, _y: N, rate: N) -> N {
        rate
    }

    #[inline(always)]
    fn retention_by_rate<N: Number>(self, y: N, _rate: N) -> N {
        -(y * y)
    }

    #[inline(always)]
    fn gain_by_rate<N: Number>(self, y: N, _rate: N) -> N {
        y
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
    fn run<N: Number>(self, function: Function, y: N, rate: N) -> N {
        let synapse = Synapse {
            postsynaptic: y,
            rate,
            // Not mentioned.
            trace: y,
            eligibility: y,
            presynaptic: y,
            modulator: y,
            coefficients: &[],
        };
        let adjoint = [y; 2];
        let [value] = self.0.programs[function as usize].run(Values { synapse, adjoint });
        value
    }
}

impl RowRule for Interpreted<'_> {
    #[inline(always)]
    fn retention<N: Number>(self, y: N, rate: N) -> N {
        self.run(Function::Retention, y, rate)
    }

    #[inline(always)]
    fn gain<N: Number>(self, y: N, rate: N) -> N {
        self.run(Function::Gain, y, rate)
    }

    #[inline(always)]
    fn retention_by_output<N: Number>(self, y: N, rate: N) -> N {
        self.run(Function::RetentionByOutput, y, rate)
    }

    #[inline(always)]
    fn gain_by_output<N: Number>(self, y: N, rate: N) -> N {
        self.run(Function::GainByOutput, y, rate)
    }

    #[inline(always)]
    fn retention_by_rate<N: Number>(self, y: N, rate: N) -> N {
        self.run(Function::RetentionByRate, y, rate)
    }

    #[inline(always)]
    fn gain_by_rate<N: Number>(self, y: N, rate: N) -> N {
        self.run(Function::GainByRate, y, rate)
    }

    #[inline(always)]
    fn retention_depends_on_output(self) -> bool {
        self.0.retention_depends_on_output()
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
}

impl Function {
    #[cfg(any(test, feature = "gpu"))]
    pub const ALL: [Self; 6] = [
        Self::Retention,
        Self::Gain,
        Self::RetentionByOutput,
        Self::GainByOutput,
        Self::RetentionByRate,
        Self::GainByRate,
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
        }
    }
}

/// A rule in the form in which the CPU engine computes it along a row of synapses.
#[derive(Clone, Copy)]
pub(crate) enum Compiled<'a> {
    Hebb(Hebb),
    Oja(Oja),
    Interpreted(Interpreted<'a>),
}

/// A row-affine rule, found in the expression of its trace.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    expressions: Expressions,
    /// In the order of [`Function::ALL`], without powers.
    functions: [Id; 6],
    programs: [Program; 6],
    name: Option<Named>,
}

impl Row {
    /// The rule whose trace follows `root`, with a modulator of 1, if it is row-affine.
    pub(super) fn of(mut expressions: Expressions, root: Id, name: Option<Named>) -> Option<Self> {
        let Affine { retention, gain } = Affine::of(&mut expressions, root)?;
        let mut by = |function, variable| {
            let derivative = expressions.derivative(function, variable);
            expressions.without_powers(derivative)
        };
        let [d_y, d_rate] = VARIED.map(|variable| by(retention, variable));
        let [g_y, g_rate] = VARIED.map(|variable| by(gain, variable));
        let [retention, gain] = [retention, gain].map(|it| expressions.without_powers(it));
        let functions = [retention, gain, d_y, g_y, d_rate, g_rate];
        let programs = functions.map(|root| Program::new(&expressions, &[root]));
        Some(Self {
            expressions,
            functions,
            programs,
            name,
        })
    }

    /// The rule as the CPU engine computes it.
    pub fn compiled(&self) -> Compiled<'_> {
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

    /// The text of a function.
    pub(super) fn print(&self, function: Function) -> String {
        self.expressions.print(self.function(function))
    }

    /// The retention, the gain and their derivatives as WGSL functions of `y` and `rate`, whose names `of` ends; and whether
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
const VARIED: [Variable; 2] = [Variable::Postsynaptic, Variable::Rate];

/// What they must not depend on.
const OF_A_SYNAPSE: [Variable; 2] = [Variable::Trace, Variable::Presynaptic];

/// The two factors of `h` and of `x`.
struct Affine {
    retention: Id,
    gain: Id,
}

impl Affine {
    /// The factors, if the expression is affine in `h` and `x` along a row, and 0 where both are.
    fn of(expressions: &mut Expressions, root: Id) -> Option<Self> {
        let (simple, became) = expressions.simplified(root, &[(Variable::Modulator, 1.0)]);
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
