//! Row-affine rules: `h ← d h + g x` with a **retention** `d` and a **gain** `g` that are the same along a row of synapses.
//!
//! Both are functions of the postsynaptic activity `y` and the rate, and the engines need them with their four partial
//! derivatives, once per row and step.

use super::expression::{Binary, Expressions, Id, Node, Unary, Variable};
use super::parse::{Parsed, error_at};
use super::program::{Program, Values};
use crate::error::Result;
use crate::number::{Number, beyond_range, require_in_range};
use std::collections::HashMap;

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
        self.0.programs[function as usize].run(Values {
            // Not mentioned.
            trace: y,
            presynaptic: y,
            postsynaptic: y,
            rate,
        })
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

/// A row-affine rule, found in the expression of its trace.
#[derive(Clone, Debug)]
pub(super) struct Row {
    pub expressions: Expressions,
    /// In the order of [`Function::ALL`], without powers.
    pub functions: [Id; 6],
    programs: [Program; 6],
}

impl Row {
    /// The row-affine rule whose trace follows `parsed`, with a modulator of 1.
    ///
    /// # Errors
    /// [`Error::Rule`](crate::error::Error::Rule) at the part that makes it another rule.
    pub fn of(text: &str, parsed: Parsed) -> Result<Self> {
        let Parsed {
            mut expressions,
            root,
            columns,
        } = parsed;
        let affine = Affine::of(&mut expressions, root).map_err(|(at, reason)| {
            let column = columns.get(&at).copied().unwrap_or(1);
            error_at(text, column, reason)
        })?;
        let Affine { retention, gain } = affine;
        let mut by = |function, variable| {
            let derivative = expressions.derivative(function, variable);
            expressions.without_powers(derivative)
        };
        let [d_y, d_rate] = VARIED.map(|variable| by(retention, variable));
        let [g_y, g_rate] = VARIED.map(|variable| by(gain, variable));
        let [retention, gain] = [retention, gain].map(|it| expressions.without_powers(it));
        let functions = [retention, gain, d_y, g_y, d_rate, g_rate];
        let programs = functions.map(|root| Program::new(&expressions, root));
        Ok(Self {
            expressions,
            functions,
            programs,
        })
    }

    pub fn function(&self, function: Function) -> Id {
        self.functions[function as usize]
    }

    /// The rule as formulas that are interpreted.
    pub fn interpreted(&self) -> Interpreted<'_> {
        Interpreted(self)
    }

    pub fn retention_depends_on_output(&self) -> bool {
        self.is_not_zero(Function::RetentionByOutput)
    }

    /// The text of a function.
    pub fn print(&self, function: Function) -> String {
        self.expressions.print(self.function(function))
    }

    /// Every function in WGSL, and whether some of them call `hyperbolic_tangent_rule`.
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
    /// The factors, or the part of the text that is not affine and why.
    fn of(expressions: &mut Expressions, root: Id) -> Result<Self, (Id, String)> {
        let (simple, became) = expressions.simplified(root, &[(Variable::Modulator, 1.0)]);
        Self::check_constants(expressions, root, &became)?;
        if expressions
            .needed(simple)
            .into_iter()
            .any(|id| branches_on_synapse(expressions, id))
        {
            let branches = |id: &Id| branches_on_synapse(expressions, became[id]);
            let at = expressions.needed(root).into_iter().find(branches);
            let reason = "not supported yet: what a branch depends on, here and in abs, min, max and clamp, may not be h or x";
            return Err((at.unwrap_or(root), reason.to_owned()));
        }
        let factors = OF_A_SYNAPSE.map(|variable| expressions.derivatives(simple, variable));
        let is_linear = |id: Id| {
            let mut factors = factors.iter().map(|factors| factors[&id]);
            factors.all(|factor| !expressions.mentions(factor, &OF_A_SYNAPSE))
        };
        if !is_linear(simple) {
            let mut parts = expressions.needed(root).into_iter();
            let at =
                parts.find(|id| factors[0].contains_key(&became[id]) && !is_linear(became[id]));
            let reason = "not supported yet: the new trace must be d * h + g * x, where d and g depend on y, m and rate alone";
            return Err((at.unwrap_or(root), reason.to_owned()));
        }
        let [retention, gain] = factors.map(|factors| factors[&simple]);
        Self::check_rest(expressions, root, simple, &became)?;
        Ok(Self { retention, gain })
    }

    /// Fails where a constant part of the text has no value that every engine has.
    fn check_constants(
        expressions: &Expressions,
        root: Id,
        became: &HashMap<Id, Id>,
    ) -> Result<(), (Id, String)> {
        for id in expressions.needed(root) {
            let node = expressions.node(became[&id]);
            let mut operands = node.operands().peekable();
            if let Node::Number(bits) = node {
                let value = f64::from_bits(bits);
                if require_in_range::<f32>("", value).is_err() {
                    return Err((id, beyond_range::<f32>(value)));
                }
            } else if operands.peek().is_some()
                && operands.all(|operand| expressions.value(operand).is_some())
            {
                let reason = format!("{} has no finite value", expressions.print(became[&id]));
                return Err((id, reason));
            }
        }
        Ok(())
    }

    /// Fails unless nothing is left of the expression where `h` and `x` are 0.
    fn check_rest(
        expressions: &mut Expressions,
        root: Id,
        simple: Id,
        became: &HashMap<Id, Id>,
    ) -> Result<(), (Id, String)> {
        let nothing = OF_A_SYNAPSE.map(|variable| (variable, 0.0));
        let rest = expressions.simplified(simple, &nothing).0;
        if expressions.value(rest) == Some(0.0) {
            return Ok(());
        }
        // The first term of the text that leaves something.
        let mut open = vec![root];
        let mut at = root;
        while let Some(id) = open.pop() {
            match expressions.node(id) {
                Node::Binary(Binary::Sum | Binary::Difference, a, b) => open.extend([b, a]),
                Node::Unary(Unary::Negative, a) => open.push(a),
                _ => {
                    let rest = expressions.simplified(became[&id], &nothing).0;
                    if expressions.value(rest) != Some(0.0) {
                        at = id;
                        break;
                    }
                }
            }
        }
        let rest = expressions.print(rest);
        let reason = format!(
            "not supported yet: where h and x are 0 the new trace must be 0, and is {rest}"
        );
        Err((at, reason))
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
