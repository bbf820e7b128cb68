//! Plasticity rules: what a synapse's trace becomes after each step, as a line of text.
//!
//! [`Rule`] describes the language, and has the rules with a name. [`Rule::parse`] reads one of the caller's own; it is
//! differentiated symbolically and runs on every engine.

// Texts are parsed into an arena of expressions. Symbolic derivatives find the retention and the gain of a row-affine rule,
// which the engines compute as formulas over a number (`RowRule`) or as WGSL; and what any rule makes of a gradient
// (`SynapseRule`).

mod constants;
mod derivative;
mod expression;
mod named;
mod names;
mod parse;
mod print;
mod program;
mod row;
mod simplify;
mod synapse;
#[cfg(test)]
mod tests;
mod text;
mod values;
#[cfg(feature = "gpu")]
mod wgsl;

pub(crate) use names::MOST_COEFFICIENTS;
pub(crate) use row::{Compiled, Interpreted, Neuron, Row, RowRule};
pub(crate) use synapse::Pulled;
pub(crate) use synapse::{InterpretedSynapse, Sums, SynapseRule};
pub(crate) use text::RuleText;
pub use values::Synapse;

use crate::error::{Error, Result};
use crate::number::Number;
use expression::Expressions;
use named::Named;
use names::Names;
use parse::error_at;
use program::Program;
use std::sync::{Arc, LazyLock};
use synapse::{AdditiveSynapse, General, HebbSynapse, OjaSynapse, RetroactiveSynapse};
use values::Values;

/// How a trace follows activity.
///
/// It says what a synapse's trace becomes after each step, in one line; and in a second one, what its eligibility trace
/// becomes, if it has one:
///
/// | rule | trace | eligibility trace | source |
/// |---|---|---|---|
/// | `hebb` | `(1 - rate) * h + rate * m * y * x` | | Miconi 2016, eq. 1 |
/// | `oja` | `h + rate * m * y * (x - y * h)` | | Miconi, Stanley and Clune 2018, eq. 3 |
/// | `additive` | `h + rate * m * y * x` | | Miconi et al. 2019 |
/// | `retroactive` | `h + m * e` | `(1 - rate) * e + rate * y * x` | Miconi et al. 2019 |
///
/// The language:
///
/// | | |
/// |---|---|
/// | `h` | the trace of the synapse so far |
/// | `e` | its eligibility trace so far, where the rule has one |
/// | `x` | activity of the presynaptic neuron |
/// | `y` | activity of the postsynaptic neuron |
/// | `m` | the modulator, which is 1 where there is none |
/// | `rate` | the plasticity rate `η` |
/// | other names | the rule's own coefficients |
/// | `0.5`, `1e-3` | numbers, in the range of `f32` |
/// | `a + b`, `a - b`, `a * b`, `a / b`, `-a`, `( )` | arithmetic, by the usual precedence |
/// | `a^2`, `a^-1` | whole powers; `-a^2` is `-(a^2)` |
/// | `tanh(a)`, `exp(a)`, `log(a)`, `sqrt(a)`, `abs(a)` | functions; `log` is the natural one |
/// | `min(a, b)`, `max(a, b)`, `clamp(a, low, high)` | the lesser, the greater, what `low` and `high` leave of `a` |
/// | `where_less(a, b, c, d)` | `c` where `a < b`, else `d` |
///
/// Derivatives are found symbolically. So are the rules that are **row-affine**: `d * h + g * x`, where the *retention* `d` and
/// the *gain* `g` depend on `y`, `m` and `rate` alone. The engines compute those fastest, a row of synapses at a time.
///
/// Two rules are equal if their texts are, but for spaces and superfluous parentheses, and if their coefficients have the same
/// names in the same order. Clones share everything.
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
    /// As it is printed.
    eligibility: Option<String>,
    coefficients: Vec<String>,
    /// The texts as they are written.
    program: Program,
    /// With a modulator of 1.
    row: Option<Row>,
    modulated_row: Option<Row>,
    general: General,
    name: Option<Named>,
}

/// A rule in the form in which the CPU engine computes it synapse by synapse.
#[derive(Clone, Copy)]
pub(crate) enum CompiledSynapse<'a> {
    Hebb(HebbSynapse),
    Oja(OjaSynapse),
    Additive(AdditiveSynapse),
    Retroactive(RetroactiveSynapse),
    Interpreted(InterpretedSynapse<'a>),
}

static RULES: LazyLock<[Rule; 4]> = LazyLock::new(|| {
    Named::ALL.map(|name| {
        let (trace, eligibility) = name.texts();
        Rule::new(trace, eligibility, &[], Some(name)).expect("the named rules are rules")
    })
});

impl Rule {
    /// Decaying Hebb, the default: `(1 - rate) * h + rate * m * y * x` (Miconi 2016, eq. 1).
    pub fn hebb() -> Self {
        Self::of(Named::Hebb)
    }

    /// Oja: `h + rate * m * y * (x - y * h)` (Miconi, Stanley and Clune 2018, eq. 3).
    pub fn oja() -> Self {
        Self::of(Named::Oja)
    }

    /// Hebb without decay, usually with a bound: `h + rate * m * y * x` (Miconi et al. 2019, simple neuromodulation).
    pub fn additive() -> Self {
        Self::of(Named::Additive)
    }

    /// `h + m * e`, where an eligibility trace remembers recent activity: `(1 - rate) * e + rate * y * x` (Miconi et al. 2019,
    /// retroactive neuromodulation).
    pub fn retroactive() -> Self {
        Self::of(Named::Retroactive)
    }

    fn of(name: Named) -> Self {
        RULES[name as usize].clone()
    }

    /// Every rule that has a name.
    pub fn named() -> [Self; 4] {
        RULES.clone()
    }

    /// The rule of this name: `hebb`, `oja`, `additive` or `retroactive`.
    pub fn find(name: &str) -> Option<Self> {
        let mut all = Named::ALL.into_iter();
        all.find(|known| known.as_str() == name).map(Self::of)
    }

    /// The rule by which the trace becomes the value of this text (see [`Rule`] for the language), without an eligibility
    /// trace and coefficients of its own.
    ///
    /// # Errors
    /// [`Error::Rule`] with a column of the text, if it is not in the language.
    pub fn parse(trace: &str) -> Result<Self> {
        Self::parse_with(trace, None, &[])
    }

    /// The rule by which the trace becomes the value of the first text and the eligibility trace, if there is a second text,
    /// the value of that. Both may mention `e`, which the trace need not, and coefficients of these names.
    ///
    /// ```
    /// use metaplastic::Rule;
    ///
    /// let rule = Rule::parse_with("h + m * e", Some("decay * e + rate * y * x"), &["decay"])?;
    /// assert_eq!(rule.coefficients(), ["decay"]);
    /// # Ok::<(), metaplastic::Error>(())
    /// ```
    ///
    /// # Errors
    /// - [`Error::Rule`] with a column of a text that is not in the language;
    /// - [`Error::Coefficient`] for a coefficient that neither text mentions, that has the name of something else or no name,
    ///   or that is one of more than eight.
    pub fn parse_with(
        trace: &str,
        eligibility: Option<&str>,
        coefficients: &[&str],
    ) -> Result<Self> {
        let rule = Self::new(trace, eligibility, coefficients, None)?;
        let named = RULES.iter().find(|named| **named == rule);
        Ok(named.cloned().unwrap_or(rule))
    }

    fn new(
        trace: &str,
        eligibility: Option<&str>,
        coefficients: &[&str],
        name: Option<Named>,
    ) -> Result<Self> {
        let names = Names::new(eligibility.is_some(), coefficients)?;
        let mut expressions = Expressions::with_coefficients(coefficients);
        let texts: Vec<&str> = [trace].into_iter().chain(eligibility).collect();
        let parsed = texts
            .iter()
            .map(|text| parse::parse(text, &names, &mut expressions));
        let parsed = parsed.collect::<Result<Vec<_>>>()?;
        let roots: Vec<_> = parsed.iter().map(|parsed| parsed.root).collect();
        if let Some(unused) = expressions.unused_coefficient(&roots) {
            return Err(Error::Coefficient {
                name: unused.to_owned(),
                reason: "the rule does not use it".to_owned(),
            });
        }
        let printed = |index: usize| roots.get(index).map(|root| expressions.print(*root));
        let (trace, eligibility) = (printed(0).expect("there is a trace"), printed(1));
        let written: Vec<_> = roots
            .iter()
            .map(|it| expressions.without_powers(*it))
            .collect();
        let program = Program::new(&expressions, &written);
        let is_of_rows = eligibility.is_none() && coefficients.is_empty();
        let [row, modulated_row] = [false, true].map(|is_modulated| {
            let of_rows = || Row::of(expressions.clone(), roots[0], name, is_modulated);
            is_of_rows.then(of_rows).flatten()
        });
        let mut simple = Vec::new();
        for (parsed, text) in parsed.iter().zip(&texts) {
            let (root, became) = expressions.simplified(parsed.root, &[]);
            let checked = expressions.check_constants(parsed.root, &became);
            checked.map_err(|(at, reason)| {
                error_at(text, parsed.columns.get(&at).copied().unwrap_or(1), reason)
            })?;
            simple.push(root);
        }
        let general = General::of(&mut expressions, simple[0], simple.get(1).copied());
        Ok(Self(Arc::new(Inner {
            trace,
            eligibility,
            coefficients: expressions.coefficients().to_vec(),
            program,
            row,
            modulated_row,
            general,
            name,
        })))
    }

    /// The name, if it has one.
    pub fn name(&self) -> Option<&'static str> {
        self.0.name.map(Named::as_str)
    }

    /// The text that the trace follows.
    pub fn trace(&self) -> &str {
        &self.0.trace
    }

    /// The text that the eligibility trace follows, if there is one.
    pub fn eligibility(&self) -> Option<&str> {
        self.0.eligibility.as_deref()
    }

    /// The names of the rule's own coefficients, in the order in which they were given.
    pub fn coefficients(&self) -> &[String] {
        &self.0.coefficients
    }

    /// What the trace becomes, before any bound; and what the eligibility trace becomes, if the rule has one.
    ///
    /// # Panics
    /// If the synapse has fewer coefficients than the rule.
    pub fn evaluate<N: Number>(&self, synapse: Synapse<'_, N>) -> (N, Option<N>) {
        let adjoint = [synapse.rate; 2];
        let [trace, eligibility] = self.0.program.run(Values { synapse, adjoint });
        (trace, self.0.eligibility.as_ref().map(|_| eligibility))
    }

    /// The retention as a text, with a modulator of 1, if the rule is row-affine.
    pub fn retention(&self) -> Option<String> {
        let row = self.row()?;
        Some(row.print(row::Function::Retention))
    }

    /// The gain as a text, with a modulator of 1, if the rule is row-affine.
    pub fn gain(&self) -> Option<String> {
        let row = self.row()?;
        Some(row.print(row::Function::Gain))
    }

    /// The rule as formulas for a row of synapses, with a modulator of 1, if it is row-affine.
    pub(crate) fn row(&self) -> Option<&Row> {
        self.0.row.as_ref()
    }

    /// The same with a modulator, if the rule is row-affine whatever that is.
    pub(crate) fn modulated_row(&self) -> Option<&Row> {
        self.0.modulated_row.as_ref()
    }

    /// The rule as formulas for a synapse.
    pub(crate) fn synapse(&self) -> CompiledSynapse<'_> {
        match self.0.name {
            Some(Named::Hebb) => CompiledSynapse::Hebb(HebbSynapse),
            Some(Named::Oja) => CompiledSynapse::Oja(OjaSynapse),
            Some(Named::Additive) => CompiledSynapse::Additive(AdditiveSynapse),
            Some(Named::Retroactive) => CompiledSynapse::Retroactive(RetroactiveSynapse),
            None => CompiledSynapse::Interpreted(self.interpreted_synapse()),
        }
    }

    /// The same as programs, which every rule is.
    pub(crate) fn interpreted_synapse(&self) -> InterpretedSynapse<'_> {
        self.0.general.interpreted()
    }

    /// Which of the gradients that [`SynapseRule::pull`] gives can be other than zero.
    pub(crate) fn pulls(&self) -> Pulled<bool> {
        self.0.general.pulls()
    }

    /// The rule synapse by synapse as WGSL, and whether that calls `hyperbolic_tangent_rule`.
    #[cfg(feature = "gpu")]
    pub(crate) fn synapse_wgsl(&self) -> (String, bool) {
        self.0.general.wgsl()
    }

    /// What makes it equal to others.
    fn texts(&self) -> (&str, Option<&str>, &[String]) {
        (self.trace(), self.eligibility(), self.coefficients())
    }
}

impl Default for Rule {
    fn default() -> Self {
        Self::hebb()
    }
}

impl PartialEq for Rule {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || self.texts() == other.texts()
    }
}

impl Eq for Rule {}

impl std::hash::Hash for Rule {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.texts().hash(state);
    }
}
