//! Plasticity rules: what a synapse's trace becomes after each step, as a line of text.
//!
//! [`Rule`] describes the language, and has the rules with a name. [`Rule::parse`] reads one of the caller's own; it is
//! differentiated symbolically and runs on every engine.

// A text is parsed into an arena of expressions. Symbolic derivatives find its retention and gain, which the engines compute
// as formulas over a number (`RowRule`) or as WGSL.

mod derivative;
mod expression;
mod parse;
mod print;
mod program;
mod row;
mod simplify;
#[cfg(test)]
mod tests;
mod text;
#[cfg(feature = "gpu")]
mod wgsl;

pub(crate) use row::RowRule;

use crate::error::Result;
use crate::number::Number;
use program::{Program, Values};
use row::{Hebb, Interpreted, Oja, Row};
use std::sync::{Arc, LazyLock};

/// How a trace follows activity.
///
/// It says what a synapse's trace becomes after each step, in one line:
///
/// | rule | text | source |
/// |---|---|---|
/// | `hebb` | `(1 - rate) * h + rate * m * y * x` | Miconi 2016, eq. 1 |
/// | `oja` | `h + rate * m * y * (x - y * h)` | Miconi, Stanley and Clune 2018, eq. 3 |
///
/// The language:
///
/// | | |
/// |---|---|
/// | `h` | the trace of the synapse so far |
/// | `x` | activity of the presynaptic neuron |
/// | `y` | activity of the postsynaptic neuron |
/// | `rate` | the plasticity rate `η` |
/// | `m` | the modulator, which is 1 |
/// | `0.5`, `1e-3` | numbers, in the range of `f32` |
/// | `a + b`, `a - b`, `a * b`, `a / b`, `-a`, `( )` | arithmetic, by the usual precedence |
/// | `a^2`, `a^-1` | whole powers; `-a^2` is `-(a^2)` |
/// | `tanh(a)`, `exp(a)`, `log(a)`, `sqrt(a)`, `abs(a)` | functions; `log` is the natural one |
/// | `min(a, b)`, `max(a, b)`, `clamp(a, low, high)` | the lesser, the greater, what `low` and `high` leave of `a` |
/// | `where_less(a, b, c, d)` | `c` where `a < b`, else `d` |
///
/// The engines take rules that are **row-affine**: `d * h + g * x`, where the *retention* `d` and the *gain* `g` depend on `y`,
/// `m` and `rate` alone. That is found symbolically, and so are the derivatives. Other rules are refused.
///
/// Two rules are equal if their texts are, but for spaces and superfluous parentheses. Clones share everything.
///
/// ```
/// use metaplastic::Rule;
///
/// let rule = Rule::parse("0.9 * h + rate * tanh(y) * x")?;
/// assert_eq!(rule.to_string(), "0.9 * h + rate * tanh(y) * x");
/// assert_eq!(Rule::parse("h+rate*m*y*(x-y*h)")?, Rule::oja());
/// # Ok::<(), metaplastic::Error>(())
/// ```
#[derive(Clone)]
pub struct Rule(Arc<Inner>);

struct Inner {
    /// As it is printed.
    trace: String,
    program: Program,
    row: Row,
    /// The compiled form, where there is one.
    compiled: Option<CompiledForm>,
}

#[derive(Clone, Copy)]
enum CompiledForm {
    Hebb,
    Oja,
}

/// A rule in the form in which the CPU engine computes it.
#[derive(Clone, Copy)]
pub(crate) enum Compiled<'a> {
    Hebb(Hebb),
    Oja(Oja),
    Interpreted(Interpreted<'a>),
}

/// The named rules.
const NAMED: [(&str, &str, CompiledForm); 2] = [
    (
        "hebb",
        "(1 - rate) * h + rate * m * y * x",
        CompiledForm::Hebb,
    ),
    ("oja", "h + rate * m * y * (x - y * h)", CompiledForm::Oja),
];

static RULES: LazyLock<[Rule; 2]> = LazyLock::new(|| {
    NAMED.map(|(_, text, compiled)| {
        Rule::new(text, Some(compiled)).expect("the named rules are row-affine")
    })
});

impl Rule {
    /// Decaying Hebb, the default: `(1 - rate) * h + rate * m * y * x` (Miconi 2016, eq. 1).
    pub fn hebb() -> Self {
        RULES[0].clone()
    }

    /// Oja: `h + rate * m * y * (x - y * h)` (Miconi, Stanley and Clune 2018, eq. 3).
    pub fn oja() -> Self {
        RULES[1].clone()
    }

    /// Every rule that has a name.
    pub fn named() -> [Self; 2] {
        RULES.clone()
    }

    /// The rule of this name: `hebb` or `oja`.
    pub fn find(name: &str) -> Option<Self> {
        let index = NAMED.iter().position(|(known, ..)| *known == name)?;
        Some(RULES[index].clone())
    }

    /// The rule by which the trace becomes the value of this text (see [`Rule`] for the language).
    ///
    /// # Errors
    /// [`Error::Rule`](crate::error::Error::Rule) with a column of the text, if it is not in the language, or not row-affine.
    pub fn parse(text: &str) -> Result<Self> {
        let rule = Self::new(text, None)?;
        let named = RULES.iter().find(|named| **named == rule);
        Ok(named.cloned().unwrap_or(rule))
    }

    fn new(text: &str, compiled: Option<CompiledForm>) -> Result<Self> {
        let mut parsed = parse::parse(text)?;
        let trace = parsed.expressions.print(parsed.root);
        let without_powers = parsed.expressions.without_powers(parsed.root);
        let program = Program::new(&parsed.expressions, without_powers);
        let row = Row::of(text, parsed)?;
        Ok(Self(Arc::new(Inner {
            trace,
            program,
            row,
            compiled,
        })))
    }

    /// The name, if it has one.
    pub fn name(&self) -> Option<&'static str> {
        let index = RULES.iter().position(|named| named == self)?;
        Some(NAMED[index].0)
    }

    /// The text that the trace follows.
    pub fn trace(&self) -> &str {
        &self.0.trace
    }

    /// What a trace of `h` becomes.
    pub fn evaluate<N: Number>(&self, h: N, x: N, y: N, rate: N) -> N {
        self.0.program.run(Values {
            trace: h,
            presynaptic: x,
            postsynaptic: y,
            rate,
        })
    }

    /// The retention as a text.
    pub fn retention(&self) -> String {
        self.0.row.print(row::Function::Retention)
    }

    /// The gain as a text.
    pub fn gain(&self) -> String {
        self.0.row.print(row::Function::Gain)
    }

    /// Whether the retention depends on the neuron's output, so that its gradient acts on the output.
    pub(crate) fn retention_depends_on_output(&self) -> bool {
        self.0.row.retention_depends_on_output()
    }

    /// The rule as the CPU engine computes it.
    pub(crate) fn compiled(&self) -> Compiled<'_> {
        match self.0.compiled {
            Some(CompiledForm::Hebb) => Compiled::Hebb(Hebb),
            Some(CompiledForm::Oja) => Compiled::Oja(Oja),
            None => Compiled::Interpreted(self.0.row.interpreted()),
        }
    }

    /// The retention, the gain and their derivatives as WGSL functions of `y` and `rate`, whose names `of` ends; and whether
    /// they call `hyperbolic_tangent_rule`.
    #[cfg(feature = "gpu")]
    pub(crate) fn wgsl(&self, of: &str) -> (String, bool) {
        self.0.row.wgsl(of)
    }
}

impl Default for Rule {
    fn default() -> Self {
        Self::hebb()
    }
}

impl PartialEq for Rule {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || self.0.trace == other.0.trace
    }
}

impl Eq for Rule {}

impl std::hash::Hash for Rule {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.0.trace.hash(state);
    }
}
