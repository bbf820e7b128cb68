//! Rules of random texts and of known ones: parsed, simplified, differentiated, printed.

use super::expression::{Expressions, Id, Node, Variable};
use super::names::Names;
use super::parse;
use super::program::Program;
use super::row::{Function, Hebb, Interpreted, Modulated, Oja};
use super::values::Values;
use super::{
    Compiled, CompiledSynapse, Neuron, Pulled, Row, RowRule, Rule, RuleText, Sums, Synapse,
    SynapseRule,
};
use crate::error::{Error, Result};
use crate::number::{EngineNumber, Number};
use num_complex::Complex64;
use proptest::prelude::*;
use std::collections::HashMap;

/// What has no real value, and what is decided by it, is not a number.
impl Number for Complex64 {
    fn constant(self, value: f64) -> Self {
        value.into()
    }

    fn hyperbolic_tangent(self) -> Self {
        self.tanh()
    }

    fn exponential(self) -> Self {
        self.exp()
    }

    fn logarithm(self) -> Self {
        if self.re < 0.0 {
            f64::NAN.into()
        } else {
            self.ln()
        }
    }

    fn square_root(self) -> Self {
        if self.re < 0.0 {
            f64::NAN.into()
        } else {
            self.sqrt()
        }
    }

    fn where_less(self, bound: Self, then: Self, otherwise: Self) -> Self {
        match self.is_finite() && bound.is_finite() {
            true if self.re < bound.re => then,
            true => otherwise,
            false => f64::NAN.into(),
        }
    }
}

/// A number that knows how near to its bound the nearest choice was that it came by.
#[derive(Clone, Copy)]
struct Chosen {
    value: f64,
    gap: f64,
}

impl Chosen {
    fn new(value: f64) -> Self {
        Self {
            value,
            gap: f64::INFINITY,
        }
    }

    fn of(self, value: f64) -> Self {
        Self { value, ..self }
    }

    fn and(self, other: Self, value: f64) -> Self {
        let gap = self.gap.min(other.gap);
        Self { value, gap }
    }

    /// Whether rounding decides nothing: no choice is on the edge.
    fn is_settled(self) -> bool {
        self.gap > 1e-9
    }
}

impl std::ops::Add for Chosen {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        self.and(other, self.value + other.value)
    }
}

impl std::ops::Sub for Chosen {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        self.and(other, self.value - other.value)
    }
}

impl std::ops::Mul for Chosen {
    type Output = Self;
    fn mul(self, other: Self) -> Self {
        self.and(other, self.value * other.value)
    }
}

impl std::ops::Div for Chosen {
    type Output = Self;
    fn div(self, other: Self) -> Self {
        self.and(other, self.value / other.value)
    }
}

impl std::ops::Neg for Chosen {
    type Output = Self;
    fn neg(self) -> Self {
        self.of(-self.value)
    }
}

impl Number for Chosen {
    fn constant(self, value: f64) -> Self {
        Self::new(value)
    }

    fn hyperbolic_tangent(self) -> Self {
        self.of(self.value.tanh())
    }

    fn exponential(self) -> Self {
        self.of(self.value.exp())
    }

    fn logarithm(self) -> Self {
        self.of(self.value.ln())
    }

    fn square_root(self) -> Self {
        self.of(self.value.sqrt())
    }

    fn where_less(self, bound: Self, then: Self, otherwise: Self) -> Self {
        let (a, b) = (self.value, bound.value);
        // What has no finite value may have been simplified away.
        let gap = match a.is_finite() && b.is_finite() {
            true => (a - b).abs() / 1f64.max(a.abs()).max(b.abs()),
            false => 0.0,
        };
        let chosen = then.and(otherwise, if a < b { then.value } else { otherwise.value });
        let edge = self.and(bound, 0.0).gap.min(gap);
        Self {
            gap: chosen.gap.min(edge),
            ..chosen
        }
    }
}

/// A text by itself.
struct Read {
    expressions: Expressions,
    root: Id,
}

fn parse(text: &str) -> Result<Read> {
    let names = Names::new(true, COEFFICIENTS)?;
    let mut expressions = Expressions::with_coefficients(COEFFICIENTS);
    let root = parse::parse(text, &names, &mut expressions)?.root;
    Ok(Read { expressions, root })
}

/// The coefficients of the tests' rules.
const COEFFICIENTS: &[&str] = &["a", "decay"];

/// All that a text may mention.
const ANY: &[&str] = &["h", "e", "x", "y", "m", "rate", "a", "decay"];

/// A rule of such texts, if it is one, and which coefficients it has.
fn rule_of(trace: &str, eligibility: Option<&str>) -> Option<(Rule, Vec<usize>)> {
    let texts = [Some(trace), eligibility].into_iter().flatten();
    let read: Vec<_> = texts.map(|text| parse(text).unwrap()).collect();
    let is_used = |index: &usize| {
        let variable = Variable::Coefficient(*index as u8);
        let mut texts = read.iter();
        texts.any(|text| text.expressions.mentions(text.root, &[variable]))
    };
    let used: Vec<_> = (0..COEFFICIENTS.len()).filter(is_used).collect();
    let names: Vec<_> = used.iter().map(|index| COEFFICIENTS[*index]).collect();
    match Rule::parse_with(trace, eligibility, &names) {
        Ok(rule) => Some((rule, used)),
        Err(Error::Rule { reason, .. })
            if ["no finite value", "beyond"]
                .iter()
                .any(|it| reason.contains(it)) =>
        {
            None
        }
        Err(error) => panic!("{error}"),
    }
}

/// A synapse with a modulator of 1 and no coefficients.
fn plain<'a, N: Number>(h: N, x: N, y: N, rate: N) -> Synapse<'a, N> {
    Synapse {
        trace: h,
        eligibility: h,
        presynaptic: x,
        postsynaptic: y,
        modulator: h.constant(1.0),
        rate,
        coefficients: &[],
    }
}

/// The row form of a rule, interpreted.
fn row(rule: &Rule) -> Interpreted<'_> {
    rule.row().expect("a row-affine rule").interpreted()
}

/// The same with a modulator.
fn modulated(rule: &Rule) -> Interpreted<'_> {
    rule.modulated_row()
        .expect("a row-affine rule")
        .interpreted()
}

/// Where a row's functions are asked for.
fn neuron<N>(output: N, modulator: N, rate: N) -> Neuron<N> {
    Neuron {
        output,
        modulator,
        rate,
    }
}

/// Texts in these variables.
fn texts(variables: &'static [&'static str]) -> impl Strategy<Value = String> {
    let number = prop_oneof![
        Just("0".to_owned()),
        Just("1".to_owned()),
        Just("2".to_owned()),
        (1..400u32).prop_map(|n| format!("{}", f64::from(n) / 100.0)),
    ];
    let variable = proptest::sample::select(variables).prop_map(str::to_owned);
    let leaf = prop_oneof![1 => number, 3 => variable];
    leaf.prop_recursive(5, 40, 4, |inner| {
        let two = (inner.clone(), inner.clone());
        let function = proptest::sample::select(&["tanh", "exp", "log", "sqrt", "abs", "-"][..]);
        let operator = proptest::sample::select(&["+", "-", "*", "/"][..]);
        let choice = proptest::sample::select(&["min", "max"][..]);
        prop_oneof![
            4 => (two.clone(), operator).prop_map(|((a, b), sign)| format!("({a}) {sign} ({b})")),
            2 => (two.clone()).prop_map(|(a, b)| format!("{a} + {b} * {a}")),
            2 => (inner.clone(), function).prop_map(|(a, name)| format!("{name}({a})")),
            1 => (two.clone(), choice).prop_map(|((a, b), name)| format!("{name}({a}, {b})")),
            1 => (two.clone(), inner.clone()).prop_map(|((a, b), c)| format!("clamp({a}, {b}, {c})")),
            1 => (two.clone(), two).prop_map(|((a, b), (c, d))| format!("where_less({a}, {b}, {c}, {d})")),
            1 => (inner, -3..5).prop_map(|(a, n)| format!("({a})^{n}")),
        ]
    })
}

/// The nodes in their order, each operand as its place in it.
fn structure(expressions: &Expressions, root: Id) -> Vec<(String, Vec<usize>)> {
    let order = expressions.needed(root);
    let places: HashMap<_, _> = order.iter().enumerate().map(|(at, id)| (*id, at)).collect();
    let describe = |id: &Id| {
        let node = expressions.node(*id);
        let kind = match node {
            Node::Number(_) | Node::Variable(_) => format!("{node:?}"),
            Node::Unary(function, _) => format!("{function:?}"),
            Node::Binary(function, ..) => format!("{function:?}"),
            Node::Power(_, exponent) => format!("power {exponent}"),
            Node::WhereLess(_) => "where_less".to_owned(),
        };
        (kind, node.operands().map(|it| places[&it]).collect())
    };
    order.iter().map(describe).collect()
}

fn assert_reads_back(expressions: &Expressions, root: Id) {
    let text = expressions.print(root);
    if text.len() > 4_000 {
        return;
    }
    let read = match parse(&text) {
        Ok(read) => read,
        // Derivatives are deeper than what they are of.
        Err(Error::Rule { reason, .. }) if reason.contains("nested") => return,
        Err(error) => panic!("{error}"),
    };
    let (again, before) = (
        structure(&read.expressions, read.root),
        structure(expressions, root),
    );
    assert_eq!(
        again,
        before,
        "{text}\n{}",
        read.expressions.print(read.root)
    );
}

/// The value of an expression, by its program.
fn value<N: Number>(expressions: &mut Expressions, root: Id, y: N, rate: N) -> N {
    let root = expressions.without_powers(root);
    let values = Values {
        synapse: Synapse {
            coefficients: &[rate, y],
            ..plain(y, rate, y, rate)
        },
        adjoint: [y, rate],
    };
    let [value] = Program::new(expressions, &[root]).run(values);
    value
}

/// Whether the two are the same but for rounding; where one is very large or not a number, nothing can be said.
fn assert_close(a: f64, b: f64, text: &str) {
    if a.abs() < 1e8 && b.abs() < 1e8 {
        assert!((a - b).abs() <= 1e-6 * (1.0 + a.abs()), "{a} {b} {text}");
    }
}

const STEP: f64 = 1e-40;

fn assert_steps_to(stepped: Complex64, derivative: f64, text: &str) {
    if stepped.is_finite() {
        assert_close(stepped.im / STEP, derivative, text);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn printed_expressions_read_back_as_they_were(text in texts(ANY)) {
        let mut parsed = parse(&text).unwrap();
        assert_reads_back(&parsed.expressions, parsed.root);
        let simple = parsed.expressions.simplified(parsed.root, &[]).0;
        assert_reads_back(&parsed.expressions, simple);
        let derivative = parsed.expressions.derivative(simple, Variable::Postsynaptic);
        assert_reads_back(&parsed.expressions, derivative);
    }

    #[test]
    fn simplification_keeps_the_value(
        text in texts(&["y", "rate"]), y in -2.0..2.0f64, rate in 0.1..2.0f64
    ) {
        let mut parsed = parse(&text).unwrap();
        let simple = parsed.expressions.simplified(parsed.root, &[]).0;
        let [y_chosen, rate_chosen] = [y, rate].map(Chosen::new);
        let before = value(&mut parsed.expressions, parsed.root, y_chosen, rate_chosen);
        if !before.is_settled() {
            return Ok(());
        }
        let after = value(&mut parsed.expressions, simple, y, rate);
        assert_close(before.value, after, &text);
    }

    /// Of the text as it is written, by a complex step.
    #[test]
    fn derivatives_are_those_of_complex_steps(
        text in texts(&["y", "rate"]), y in -2.0..2.0f64, rate in 0.1..2.0f64
    ) {
        let mut parsed = parse(&text).unwrap();
        let simple = parsed.expressions.simplified(parsed.root, &[]).0;
        let [y_chosen, rate_chosen] = [y, rate].map(Chosen::new);
        if !value(&mut parsed.expressions, parsed.root, y_chosen, rate_chosen).is_settled() {
            return Ok(());
        }
        for (variable, by_y) in [(Variable::Postsynaptic, 1.0), (Variable::Rate, 0.0)] {
            let derivative = parsed.expressions.derivative(simple, variable);
            let derivative = value(&mut parsed.expressions, derivative, y, rate);
            let y = Complex64::new(y, by_y * STEP);
            let rate = Complex64::new(rate, (1.0 - by_y) * STEP);
            let stepped = value(&mut parsed.expressions, parsed.root, y, rate);
            assert_steps_to(stepped, derivative, &text);
        }
    }

    /// `d` and `g` are given, so that what is found can be compared with it.
    #[test]
    fn retention_and_gain_are_found(
        d in texts(&["y", "rate", "m"]), g in texts(&["y", "m", "rate"]), way in 0..3,
        (y, m) in (-2.0..2.0f64, -2.0..2.0f64), rate in 0.1..2.0f64,
        (h, x) in (-2.0..2.0f64, -2.0..2.0f64),
    ) {
        let text = match way {
            0 => format!("({d}) * h + ({g}) * x"),
            1 => format!("h - (h - x * ({g})) + h * ({d})"),
            _ => format!("(h * ({d}) * 2 + ({g}) * (x + x)) / 2"),
        };
        let rule = match Rule::parse(&text) {
            Ok(rule) => rule,
            Err(Error::Rule { reason, .. })
                if ["nested", "no finite value", "beyond"].iter().any(|it| reason.contains(it)) =>
            {
                return Ok(());
            }
            Err(error) => panic!("{error}"),
        };
        // With a modulator, and with one of 1.
        for (row, m, known) in [
            (rule.modulated_row(), m, &[][..]),
            (rule.row(), 1.0, &[(Variable::Modulator, 1.0)]),
        ] {
            let [m_chosen, y_chosen, rate_chosen] = [m, y, rate].map(Chosen::new);
            let chosen = Synapse {
                modulator: m_chosen,
                ..plain(Chosen::new(h), Chosen::new(x), y_chosen, rate_chosen)
            };
            if !rule.evaluate(chosen).0.is_settled() {
                continue;
            }
            // With a modulator of 1 some constants have no value.
            let Some(row) = row else {
                let has_values = parse(&text).map(|mut it| {
                    let (_, became) = it.expressions.simplified(it.root, known);
                    it.expressions.check_constants(it.root, &became).is_ok()
                });
                prop_assert!(!has_values.unwrap(), "{}", text);
                continue;
            };
            let [retains_by_y, retains_by_m] = [
                row.retention_depends_on_output(), row.retention_depends_on_modulator(),
            ];
            let (row, at) = (row.interpreted(), neuron(y, m, rate));
            let evaluated = |h, x| rule.evaluate(Synapse { modulator: m, ..plain(h, x, y, rate) }).0;
            assert_close(evaluated(h, x), row.retention(at) * h + row.gain(at) * x, &text);
            assert_close(evaluated(1.0, 0.0), row.retention(at), &text);
            let stepped = |values: [f64; 3]| {
                let [y, m, rate] = values.map(|step| step * STEP);
                neuron(
                    Complex64::new(at.output, y),
                    Complex64::new(at.modulator, m),
                    Complex64::new(at.rate, rate),
                )
            };
            let (by_y, by_m, by_rate) =
                (stepped([1.0, 0.0, 0.0]), stepped([0.0, 1.0, 0.0]), stepped([0.0, 0.0, 1.0]));
            let mut derivatives = vec![
                (row.retention(by_y), row.retention_by_output(at)),
                (row.gain(by_y), row.gain_by_output(at)),
                (row.retention(by_rate), row.retention_by_rate(at)),
                (row.gain(by_rate), row.gain_by_rate(at)),
            ];
            if known.is_empty() {
                derivatives.extend([
                    (row.retention(by_m), row.retention_by_modulator(at)),
                    (row.gain(by_m), row.gain_by_modulator(at)),
                ]);
            }
            for (stepped, derivative) in derivatives {
                assert_steps_to(stepped, derivative, &text);
            }
            prop_assert!(retains_by_y || row.retention_by_output(at) == 0.0);
            prop_assert!(retains_by_m || row.retention_by_modulator(at) == 0.0);
        }
    }

    /// Of both texts as they are written, by a complex step; and zero where it is said to be.
    #[test]
    fn gradients_are_pulled_back_as_complex_steps_say(
        trace in texts(ANY), eligibility in texts(ANY), has_eligibility in 0..4,
        values in proptest::collection::vec(-2.0..2.0f64, 8), rate in 0.1..2.0f64,
        adjoint in (-2.0..2.0f64, -2.0..2.0f64),
    ) {
        let eligibility = (has_eligibility > 0).then_some(&eligibility[..]);
        let eligibility = eligibility.or(trace.contains('e').then_some("e"));
        let Some((rule, coefficients)) = rule_of(&trace, eligibility) else {
            return Ok(());
        };
        let mut values = values;
        values[5] = rate;
        // Those of its coefficients that it has.
        let given = values.split_off(6);
        values.extend(coefficients.iter().map(|index| given[*index]));
        let chosen: Vec<_> = values.iter().copied().map(Chosen::new).collect();
        let (settled, and_settled) = rule.evaluate(synapse(&chosen));
        if !settled.is_settled() || and_settled.is_some_and(|it| !it.is_settled()) {
            return Ok(());
        }
        let interpreted = rule.0.general.interpreted();
        let adjoint = [adjoint.0, adjoint.1];
        let (updated, pulled) = computed(interpreted, synapse(&values), adjoint);
        let (next, next_eligibility) = rule.evaluate(synapse(&values));
        assert_close(next, updated[0], &trace);
        assert_close(next_eligibility.unwrap_or(next), updated[1], &trace);
        let pulls = in_order(rule.pulls());
        for at in 0..14 {
            let mut stepped: Vec<_> = values.iter().copied().map(Complex64::from).collect();
            if let Some(stepped) = stepped.get_mut(at) {
                stepped.im = STEP;
            }
            let (next, next_eligibility) = rule.evaluate(synapse(&stepped));
            let zero = Complex64::from(0.0);
            let objective = next * adjoint[0] + next_eligibility.unwrap_or(zero) * adjoint[1];
            assert_steps_to(objective, pulled[at], &format!("{at} of {rule}"));
            prop_assert!(pulls[at] || pulled[at] == 0.0);
        }
    }

    #[test]
    fn any_text_is_a_rule_or_an_error(text in "[hxymrate0-9.+*/^(), -]{0,60}|\\PC{0,40}") {
        if let Err(error) = Rule::parse(&text) {
            let is_of_rules = matches!(error, Error::Rule { .. });
            prop_assert!(is_of_rules);
            prop_assert!(error.to_string().contains('^'));
        }
    }
}

#[test]
fn choices_on_the_edge_are_told_from_others() {
    let settled = |text: &str| {
        let mut parsed = parse(text).unwrap();
        let [y, rate] = [0.3, 0.7].map(Chosen::new);
        value(&mut parsed.expressions, parsed.root, y, rate).is_settled()
    };
    assert!(!settled("where_less(rate + m - (1) * rate, y / y, 2, 0)"));
    assert!(!settled("1 + max(y, y)"));
    assert!(!settled("where_less(y / 0 * 0, y, rate, 2)"));
    assert!(settled("where_less(rate, y, 2, 0) + max(y, rate) * abs(y)"));
    assert!(settled("exp(y) / rate"));
}

#[test]
fn named_rules_have_their_retention_and_gain() {
    for (rule, functions) in [
        (
            Rule::hebb(),
            ["1 - rate", "rate * y", "0", "rate", "-1", "y", "0", "0"],
        ),
        (
            Rule::oja(),
            [
                "1 - y * (rate * y)",
                "rate * y",
                "-2 * (rate * y)",
                "rate",
                "-(y * y)",
                "y",
                "0",
                "0",
            ],
        ),
    ] {
        let row = rule.row().unwrap();
        let found = Function::ALL.map(|function| row.print(function));
        assert_eq!(found, functions, "{rule}");
    }
    for (rule, functions) in [
        (
            Rule::hebb(),
            [
                "1 - rate",
                "rate * m * y",
                "0",
                "rate * m",
                "-1",
                "m * y",
                "0",
                "rate * y",
            ],
        ),
        (
            Rule::oja(),
            [
                "1 - y * (rate * m * y)",
                "rate * m * y",
                "-2 * (rate * m * y)",
                "rate * m",
                "-(y * (m * y))",
                "m * y",
                "-(y * (rate * y))",
                "rate * y",
            ],
        ),
        (
            Rule::additive(),
            [
                "1",
                "rate * m * y",
                "0",
                "rate * m",
                "0",
                "m * y",
                "0",
                "rate * y",
            ],
        ),
    ] {
        let row = rule.modulated_row().unwrap();
        let found = Function::ALL.map(|function| row.print(function));
        assert_eq!(found, functions, "{rule} with a modulator");
    }
    assert!(!row(&Rule::hebb()).retention_depends_on_output());
    assert!(row(&Rule::oja()).retention_depends_on_output());
}

/// The functions at one point.
fn functions(rule: impl RowRule, at: Neuron<f32>) -> [u32; 8] {
    let values = [
        rule.retention(at),
        rule.gain(at),
        rule.retention_by_output(at),
        rule.gain_by_output(at),
        rule.retention_by_rate(at),
        rule.gain_by_rate(at),
        rule.retention_by_modulator(at),
        rule.gain_by_modulator(at),
    ];
    // The signs of zeros do not matter.
    values.map(|value| (value + 0.0).to_bits())
}

#[test]
fn compiled_rules_give_the_bits_of_interpreted_ones() {
    let (hebb, oja, additive) = (Rule::hebb(), Rule::oja(), Rule::additive());
    for k in 0..10_000u32 {
        let [y, m, rate] = [0.7, 0.91, 0.37].map(|phase| (k as f32 * phase).sin());
        let at = neuron(y, m, rate);
        assert_eq!(functions(Hebb, at), functions(row(&hebb), at));
        assert_eq!(functions(Oja, at), functions(row(&oja), at));
        for (compiled, rule) in [
            (Modulated::Hebb, &hebb),
            (Modulated::Oja, &oja),
            (Modulated::Additive, &additive),
        ] {
            let interpreted = functions(modulated(rule), at);
            assert_eq!(
                functions(compiled, at),
                interpreted,
                "{rule} with a modulator"
            );
            let chosen = rule.modulated_row().map(Row::compiled);
            assert!(
                matches!(chosen, Some(Compiled::Modulated(it)) if std::mem::discriminant(&it) == std::mem::discriminant(&compiled))
            );
        }
    }
}

#[test]
fn what_is_written_otherwise_is_the_same_rule() {
    let oja = Rule::parse(" h+((rate*m))*y*(x-(y*h)) ").unwrap();
    assert_eq!((oja.name(), &oja), (Some("oja"), &Rule::oja()));
    let own = Rule::parse("h*(.9+1e-30)-x*-y^2*2E0").unwrap();
    assert_eq!(own.trace(), "h * (0.9 + 1e-30) - x * -y^2 * 2");
    assert_eq!(own.name(), None);
    assert_ne!(own, oja);
    assert_eq!(own.retention().unwrap(), "0.9");
    assert_eq!(own.gain().unwrap(), "2 * (y * y)");
}

#[test]
fn values_are_those_of_the_operators() {
    let parsed = |text: &str| {
        let mut parsed = parse(text).unwrap();
        value(&mut parsed.expressions, parsed.root, 3.0, 0.5)
    };
    for (text, expected) in [
        ("2 + 3 * y", 11.0),
        ("2 - 3 - y", -4.0),
        ("12 / 2 / y", 2.0),
        ("-y^2", -9.0),
        ("(-y)^2", 9.0),
        ("y^-1 * 3", 1.0),
        ("y^5", 243.0),
        ("y^0", 1.0),
        ("2 * -y", -6.0),
        ("--y", 3.0),
        ("min(y, rate)", 0.5),
        ("max(y, rate)", 3.0),
        ("abs(rate - y)", 2.5),
        ("clamp(y, 0, 1)", 1.0),
        ("clamp(-y, 0, 1)", 0.0),
        ("clamp(rate, 0, 1)", 0.5),
        ("where_less(rate, y, 1, 2)", 1.0),
        ("where_less(y, y, 1, 2)", 2.0),
        ("log(exp(y))", 3.0),
        ("sqrt(y * y)", 3.0),
        ("tanh(y - 3)", 0.0),
        ("m", 1.0),
    ] {
        assert_eq!(parsed(text), expected, "{text}");
    }
}

#[test]
fn mistakes_are_pointed_at() {
    for (text, column, reason) in [
        (
            "",
            1,
            "expected a number, a variable, a function or `(`, found the end",
        ),
        ("h +", 4, "found the end"),
        ("h + rate * * x", 12, "found `*`"),
        (
            "h + rate y",
            10,
            "expected an operator or the end, found `y`",
        ),
        ("(h + x", 7, "expected an operator or `)`, found the end"),
        ("h + x)", 6, "found `)`"),
        ("h + rate * speed * x", 12, "unknown name `speed`"),
        ("h + m * e", 9, "no eligibility trace `e`"),
        ("h + η * x", 5, "unexpected character `η`"),
        ("h + \u{1b} * x", 5, "unexpected character"),
        ("h + tanh * x", 10, "expected `(` after tanh, found `*`"),
        ("h + tanh(y, y) * x", 5, "tanh takes 1 argument, found 2"),
        ("h + min(y) * x", 5, "min takes 2 arguments, found 1"),
        ("h + clamp(y, 1) * x", 5, "clamp takes 3 arguments, found 2"),
        ("h + min() * x", 9, "found `)`"),
        (
            "h + y^0.5 * x",
            7,
            "expected a whole power, found the number 0.5",
        ),
        ("h + y^x", 7, "expected a whole power, found `x`"),
        ("h + y^2^2 * x", 8, "needs parentheses"),
        ("h + y^1001 * x", 7, "at most 1000"),
        ("h + 1.2.3 * x", 8, "found the number 0.3"),
        ("h + . * x", 5, "`.` is not a number"),
        ("h + 1e39 * x", 5, "beyond the range of f32"),
        ("h + 1e-60 * x", 5, "beyond the range of f32"),
        ("h + 1e999 * x", 5, "beyond the range of f64"),
        ("h * (1e30 * 1e30)", 11, "1e60, beyond the range of f32"),
        ("h * (y + 1e-30 * 1e-30)", 16, "beyond the range of f32"),
        ("h + log(0 - 1) * x", 5, "log(-1) has no finite value"),
        ("h * (1 / 0)", 8, "1 / 0 has no finite value"),
    ] {
        let error = Rule::parse(text).unwrap_err();
        let Error::Rule { column: at, .. } = &error else {
            panic!("{error}");
        };
        let message = error.to_string();
        assert_eq!(*at, column, "{message}");
        assert!(message.contains(reason), "{message}");
        let lines: Vec<_> = message.lines().collect();
        assert_eq!(lines.len(), 3, "{message}");
        assert_eq!(lines[2].chars().count(), column + 2, "{message}");
    }
}

#[test]
fn rules_that_are_not_row_affine_are_told_from_others() {
    for text in [
        "h + x / 0",
        "h + log(0 - m) * x",
        "h * h + x",
        "h + rate * tanh(x)",
        "h + x * (y - h)",
        "h + 1 / x",
        "h + y * x^2",
        "clamp(h + y * x, -1, 1)",
        "where_less(x, 0, h, x)",
        "h + abs(x)",
        "h + rate * y",
        "rate - h",
        "h + where_less(y, 0, x, rate)",
    ] {
        let rule = Rule::parse(text).unwrap();
        assert!(rule.row().is_none(), "{text}");
        assert_eq!((rule.retention(), rule.gain()), (None, None));
    }
    for text in ["h + rate * m * y * x", "x", "-h", "h + x - (x - h) * m"] {
        assert!(Rule::parse(text).unwrap().row().is_some(), "{text}");
    }
    assert_eq!(Rule::additive().gain().as_deref(), Some("rate * y"));
    assert!(Rule::retroactive().row().is_none());
    let with = |trace: &str, eligibility, coefficients: &[&str]| {
        Rule::parse_with(trace, eligibility, coefficients).unwrap()
    };
    // An eligibility trace is a state of its own, and a coefficient may be one of each synapse.
    assert!(with("h + x", Some("e + x"), &[]).row().is_none());
    assert!(with("h + a * x", None, &["a"]).row().is_none());
}

#[test]
fn of_a_long_text_the_place_of_the_mistake_is_shown() {
    let text = format!("h{} + ? * x{}", " + 0".repeat(100), " - 0".repeat(100));
    let message = Rule::parse(&text).unwrap_err().to_string();
    let lines: Vec<_> = message.lines().collect();
    assert!(lines[1].chars().count() < 90, "{message}");
    let caret = lines[2].chars().count() - 1;
    assert_eq!(lines[1].chars().nth(caret), Some('?'), "{message}");
}

#[test]
fn long_and_deep_texts_are_refused_or_computed() {
    let refused = |text: &str, part: &str| {
        let error = Rule::parse(text).unwrap_err().to_string();
        assert!(error.contains(part), "{error}");
    };
    for depth in [65, 1_000, 1_000_000] {
        refused(
            &("(".repeat(depth) + "h"),
            "at most 4096|64 levels"
                .split('|')
                .nth(usize::from(depth < 4_000))
                .unwrap(),
        );
    }
    refused(&("-".repeat(2_000) + "h"), "64 levels");
    refused(&("tanh(".repeat(800) + "h"), "64 levels");
    refused(&" ".repeat(5_000), "5000 characters, at most 4096");
    // As long as may be, and nothing overflows.
    let sum = "h".to_owned() + &"+x".repeat(2_047);
    assert_eq!(Rule::parse(&sum).unwrap().gain().unwrap(), "2047");
    let product = "h".to_owned() + &"*y".repeat(2_047);
    let rule = Rule::parse(&product).unwrap();
    assert_eq!(
        row(&rule).retention_by_output(neuron(1.0, 1.0, 0.0)),
        2047.0
    );
    let tangents = "tanh(y)*y+".repeat(200);
    let rule = Rule::parse(&format!("h*({tangents}1)")).unwrap();
    let retention = rule.retention().unwrap();
    assert!(retention.len() < 100, "{retention}");
    let different: String = (0..200).map(|k| format!("tanh(y*{k})*")).collect();
    let rule = Rule::parse(&format!("h*({different}1)")).unwrap();
    assert_eq!(row(&rule).retention_by_output(neuron(1.0, 1.0, 0.0)), 0.0);
    // A part that recurs is there once.
    let doubled = "min(max(abs(".repeat(20) + "y" + &"),0),9)".repeat(20);
    let rule = Rule::parse(&format!("h*{doubled}")).unwrap();
    assert_eq!(row(&rule).retention_by_output(neuron(-2.0, 1.0, 0.0)), -1.0);
}

#[test]
fn where_branches_meet_the_derivative_is_that_of_the_one_taken() {
    let by_output = |text: &str| {
        let rule = Rule::parse(&format!("{text} * h")).unwrap();
        row(&rule).retention_by_output(neuron(0.0, 1.0, 1.0))
    };
    assert_eq!(by_output("abs(y)"), 1.0);
    assert_eq!(by_output("min(y, 2 * y)"), 1.0);
    assert_eq!(by_output("max(y, 2 * y)"), 1.0);
    assert_eq!(by_output("where_less(y, 0, 3 * y, 4 * y)"), 4.0);
}

#[test]
fn what_has_no_value_is_not_a_number() {
    let rule = Rule::parse("log(y) * h + sqrt(y) * x").unwrap();
    assert!(row(&rule).retention(neuron(-1.0f32, 1.0, 0.0)).is_nan());
    assert!(row(&rule).gain(neuron(-1.0f32, 1.0, 0.0)).is_nan());
    let rule = Rule::parse("1e30 * h * 1e30").unwrap();
    assert_eq!(
        row(&rule).retention(neuron(0.0f32, 1.0, 0.0)),
        f32::INFINITY
    );
    assert_eq!(row(&rule).retention(neuron(0.0f64, 1.0, 0.0)), 1e30 * 1e30);
}

#[test]
fn files_hold_the_name_of_a_rule_or_its_text() {
    #[derive(serde::Serialize, serde::Deserialize, Debug, PartialEq)]
    struct Layer {
        rule: Rule,
    }
    let read = |text: &str| toml::from_str::<Layer>(text);
    for text in [
        "hebb",
        "oja",
        "additive",
        "retroactive",
        "h + rate*y*x",
        "-h",
        "x",
        "h + tanh(x)",
        "{ trace = \"h + e*e\", eligibility = \"e + x\" }",
    ] {
        let layer = Layer {
            rule: text.parse().unwrap(),
        };
        assert_eq!(read(&toml::to_string(&layer).unwrap()).unwrap(), layer);
        assert_eq!(layer.rule.to_string().parse::<Rule>().unwrap(), layer.rule);
        let json = serde_json::to_string(&layer).unwrap();
        assert_eq!(serde_json::from_str::<Layer>(&json).unwrap(), layer);
    }
    assert_eq!(
        toml::to_string(&read("rule = { trace = \"h+rate*y*x\" }").unwrap()).unwrap(),
        "[rule]\ntrace = \"h + rate * y * x\"\n"
    );
    for (text, part) in [
        (
            "rule = \"bcm\"",
            "expected \"hebb\", \"oja\", \"additive\", \"retroactive\", { trace",
        ),
        ("rule = 3", "expected \"hebb\", \"oja\", \"additive\", "),
        ("rule = {}", "missing field `trace`"),
        (
            "rule = { trace = \"h + ? * x\" }",
            "column 5: unexpected character `?`",
        ),
        (
            "rule = { trace = \"h\", eligibility = \"e + ?\" }",
            "column 5: unexpected character `?`",
        ),
        (
            "rule = { trace = \"h + q\", eligibility = \"e\" }",
            "and no coefficients",
        ),
        (
            "rule = { trace = \"h\", bound = 1.0 }",
            "rule.bound: a key of the layer: write `bound = 1.0` beside",
        ),
        (
            "rule = { trace = \"h\", coefficients = [] }",
            "rule.coefficients: a key of the layer",
        ),
        (
            "rule = { trace = \"h\", speed = 1 }",
            "unknown field `speed`",
        ),
    ] {
        let error = read(text).unwrap_err().to_string();
        assert!(error.contains(part), "{error}");
    }
}

/// Something that there is for whichever rule is compiled in.
macro_rules! with_synapse {
    ($rule:expr, |$form:ident| $work:expr) => {
        match $rule.synapse() {
            CompiledSynapse::Hebb($form) => $work,
            CompiledSynapse::Oja($form) => $work,
            CompiledSynapse::Additive($form) => $work,
            CompiledSynapse::Retroactive($form) => $work,
            CompiledSynapse::Interpreted($form) => $work,
        }
    };
}

/// All that a rule makes of a synapse and of gradients.
fn computed<N: EngineNumber>(
    rule: impl SynapseRule,
    synapse: Synapse<'_, N>,
    adjoint: [N; 2],
) -> ([N; 2], [N; 14]) {
    let zero = synapse.rate.constant(0.0);
    let mut sums = Sums {
        presynaptic: zero,
        row: [zero; 3],
    };
    let own = rule.pull(synapse, adjoint, &mut sums);
    let [postsynaptic, modulator, rate] = rule.of_row(synapse, sums.row);
    let pulled = Pulled {
        trace: own.trace,
        eligibility: own.eligibility,
        presynaptic: sums.presynaptic,
        postsynaptic,
        modulator,
        rate,
        coefficients: own.coefficients,
    };
    (rule.update(synapse), in_order(pulled))
}

fn in_order<N: Copy>(pulled: Pulled<N>) -> [N; 14] {
    let Pulled {
        trace,
        eligibility,
        presynaptic,
        postsynaptic,
        modulator,
        rate,
        coefficients: [a, b, c, d, e, f, g, h],
    } = pulled;
    [
        trace,
        eligibility,
        presynaptic,
        postsynaptic,
        modulator,
        rate,
        a,
        b,
        c,
        d,
        e,
        f,
        g,
        h,
    ]
}

/// A synapse of these values: trace, eligibility trace, presynaptic, postsynaptic, modulator, rate, coefficients.
fn synapse<N: Number>(values: &[N]) -> Synapse<'_, N> {
    Synapse {
        trace: values[0],
        eligibility: values[1],
        presynaptic: values[2],
        postsynaptic: values[3],
        modulator: values[4],
        rate: values[5],
        coefficients: &values[6..],
    }
}

#[test]
fn compiled_rules_compute_what_interpreted_ones_do() {
    for rule in Rule::named() {
        let interpreted = rule.0.general.interpreted();
        for k in 0..10_000u32 {
            let values: [f32; 6] = std::array::from_fn(|at| (k as f32 * (0.7 + at as f32)).sin());
            let adjoint = [(k as f32 * 0.3).cos(), (k as f32 * 0.9).cos()];
            let found = with_synapse!(rule, |form| {
                assert_eq!(form.has_eligibility(), rule.eligibility().is_some());
                computed(form, synapse(&values), adjoint)
            });
            let expected = computed(interpreted, synapse(&values), adjoint);
            assert_eq!(found.0, expected.0, "{rule} {values:?}");
            // All values are below 1, and some differences cancel.
            for (found, expected) in found.1.into_iter().zip(expected.1) {
                let error = (found - expected).abs();
                assert!(error <= 8.0 * f32::EPSILON, "{rule} {found} {expected}");
            }
        }
    }
}

#[test]
fn rules_of_any_length_are_computed() {
    for count in [1, 4, 12, 40, 150] {
        let terms: Vec<_> = (1..=count)
            .map(|k| format!("tanh(x * y * m / {k})"))
            .collect();
        let rule = Rule::parse(&terms.join(" + ")).unwrap();
        let values = [0.0, 0.0, 0.3, 0.7, 1.1, 0.0];
        let ([updated, _], pulled) = computed(
            rule.0.general.interpreted(),
            synapse(&values),
            [2.0, f64::NAN],
        );
        let tangents = (1..=count).map(|k| (f64::from(k), (0.3 * 0.7 * 1.1 / f64::from(k)).tanh()));
        let total: f64 = tangents.clone().map(|(_, tangent)| tangent).sum();
        let slope: f64 = tangents
            .map(|(k, tangent)| 2.0 * (1.0 - tangent * tangent) / k)
            .sum();
        let (x, y, m) = (0.3, 0.7, 1.1);
        assert_close(updated, total, "the sum");
        for (pulled, expected) in [
            (pulled[2], slope * y * m),
            (pulled[3], slope * x * m),
            (pulled[4], slope * x * y),
        ] {
            assert_close(pulled, expected, "its derivative");
        }
    }
}

/// Of a product of all coefficients there can be.
#[test]
fn each_coefficient_has_its_gradient() {
    let names = ["a", "b", "c", "d", "f", "g", "i", "j"];
    let rule = Rule::parse_with("h + x", Some(&names.join(" * ")), &names).unwrap();
    let values: Vec<_> = (0..14).map(f64::from).collect();
    let interpreted = rule.0.general.interpreted();
    let (_, pulled) = computed(interpreted, synapse(&values), [f64::INFINITY, 0.5]);
    let product: f64 = values[6..].iter().product();
    for (pulled, value) in pulled[6..].iter().zip(&values[6..]) {
        assert_eq!(*pulled, 0.5 * product / value);
    }
    assert_eq!(pulled[0], f64::INFINITY);
    assert_eq!(pulled[3..6], [0.0; 3]);
}

#[test]
fn the_gradients_that_are_zero_are_known() {
    let pulls = |rule: &Rule| in_order(rule.pulls()).map(u8::from);
    let none = [0; 8];
    let with = |first: [u8; 6], rest: [u8; 8]| -> [u8; 14] {
        std::array::from_fn(|at| if at < 6 { first[at] } else { rest[at - 6] })
    };
    let hebb = with([1, 0, 1, 1, 1, 1], none);
    assert_eq!(pulls(&Rule::hebb()), hebb);
    assert_eq!(pulls(&Rule::oja()), hebb);
    assert_eq!(pulls(&Rule::additive()), hebb);
    assert_eq!(pulls(&Rule::retroactive()), with([1, 1, 1, 1, 1, 1], none));
    let rule = Rule::parse_with("0 * h + x", Some("b * e + a"), &["a", "b"]).unwrap();
    assert_eq!(
        pulls(&rule),
        with([0, 1, 1, 0, 0, 0], [1, 1, 0, 0, 0, 0, 0, 0])
    );
}

#[test]
fn a_rule_has_an_eligibility_trace_and_coefficients() {
    let rule = Rule::parse_with("h+m*e*b", Some(" (1-a) * e+(y*x) "), &["b", "a"]).unwrap();
    assert_eq!(rule.trace(), "h + m * e * b");
    assert_eq!(rule.eligibility(), Some("(1 - a) * e + y * x"));
    assert_eq!(rule.coefficients(), ["b", "a"]);
    assert_eq!(rule.name(), None);
    let values = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0];
    assert_eq!(rule.evaluate(synapse(&values)), (71.0, Some(-2.0)));
    assert_eq!(Rule::hebb().evaluate(synapse(&values)).1, None);
    let other = |trace, eligibility, coefficients: &[&str]| {
        Rule::parse_with(trace, eligibility, coefficients).unwrap()
    };
    let eligibility = Some("(1 - a) * e + y * x");
    let same = other("h + m * e * b", eligibility, &["b", "a"]);
    assert_eq!(rule, same);
    let hash = |rule: &Rule| {
        let mut hasher = std::hash::DefaultHasher::new();
        std::hash::Hash::hash(rule, &mut hasher);
        std::hash::Hasher::finish(&hasher)
    };
    assert_eq!(hash(&rule), hash(&same));
    assert_ne!(rule, other("h + m * e * b", eligibility, &["a", "b"]));
    assert_ne!(rule, other("h + m * b", eligibility, &["b", "a"]));
    assert_ne!(rule, other("h + m * e * b", Some("e + a"), &["b", "a"]));
    let unread = other("h + x", Some("e + x"), &[]);
    assert_ne!(unread, other("h + x", None, &[]));
    let again = other("h+(m*e)", Some("(1 - rate)*e + rate*y*x"), &[]);
    assert_eq!(again.name(), Some("retroactive"));
    assert_eq!(again, Rule::retroactive());
}

#[test]
fn coefficients_that_cannot_be_are_named() {
    let nine = ["a", "b", "c", "d", "f", "g", "i", "j", "k"];
    for (coefficients, expected) in [
        (&["a", "q"][..], "coefficient `q`: the rule does not use it"),
        (&["a", "a"], "coefficient `a`: given twice"),
        (&["e"], "coefficient `e`: that is a variable"),
        (&["rate"], "coefficient `rate`: that is a variable"),
        (&["tanh"], "coefficient `tanh`: that is a function"),
        (&["2a"], "coefficient `2a`: a name is of letters"),
        (&[""], "coefficient ``: a name is of letters"),
        (&["a b"], "coefficient `a b`: a name is of letters"),
        (&["\u{1b}"], "coefficient `\\u{1b}`: a name is of letters"),
        (&nine, "coefficient `k`: one too many: a rule may have 8"),
    ] {
        let error = Rule::parse_with("h + a * x", None, coefficients).unwrap_err();
        assert!(matches!(error, Error::Coefficient { .. }));
        let message = error.to_string();
        assert!(message.starts_with(expected), "{message}");
    }
    let sum = nine[..8].join(" + ");
    assert!(Rule::parse_with(&sum, None, &nine[..8]).is_ok());
    for (trace, eligibility, text, column, reason) in [
        (
            "h + q",
            "e",
            "h + q",
            5,
            "unknown name `q`: the rule has the variables h, e, x, y, m, rate, the functions tanh, ",
        ),
        (
            "h + a",
            "e + qq",
            "e + qq",
            5,
            "where_less and the coefficients a",
        ),
        (
            "h + a",
            "e + 1e39",
            "e + 1e39",
            5,
            "beyond the range of f32",
        ),
        (
            "h + a",
            "e + 1 / 0",
            "e + 1 / 0",
            7,
            "1 / 0 has no finite value",
        ),
        ("h + a", "", "", 1, "found the end"),
    ] {
        let error = Rule::parse_with(trace, Some(eligibility), &["a"]).unwrap_err();
        let Error::Rule {
            text: of,
            column: at,
            reason: why,
        } = &error
        else {
            panic!("{error}");
        };
        assert_eq!((&of[..], *at), (text, column), "{error}");
        assert!(why.contains(reason), "{why}");
    }
    // Not the eligibility trace.
    let rule = Rule::parse_with("h + 1e-3 * x", Some("e + 1e2"), &[]).unwrap();
    assert_eq!(rule.trace(), "h + 0.001 * x");
}

#[test]
fn a_file_names_the_coefficients_beside_the_rule() {
    #[derive(serde::Deserialize)]
    struct Layer {
        rule: RuleText,
    }
    let read = |text: &str| toml::from_str::<Layer>(text).unwrap().rule;
    let text = "rule = { trace = \"h + a * e\", eligibility = \"e + x\" }";
    let rule = read(text).with_coefficients(&["a"]).unwrap();
    assert_eq!(
        rule,
        Rule::parse_with("h + a * e", Some("e + x"), &["a"]).unwrap()
    );
    assert_eq!(
        rule.to_string(),
        "{ trace = \"h + a * e\", eligibility = \"e + x\" }"
    );
    let retroactive = read("rule = \"retroactive\"")
        .with_coefficients(&[])
        .unwrap();
    assert_eq!(retroactive, Rule::retroactive());
    let error = read("rule = \"hebb\"")
        .with_coefficients(&["a"])
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "coefficient `a`: the rule does not use it"
    );
    for text in [
        "{ trace = \"h\", speed = 1 }",
        "{ trace = \"h\" }\nbound = 1",
    ] {
        assert!(
            matches!(text.parse::<Rule>(), Err(Error::Toml { .. })),
            "{text}"
        );
    }
}

#[cfg(feature = "gpu")]
mod shaders {
    use super::super::Rule;
    use super::*;

    const TANGENT: &str = "fn hyperbolic_tangent_rule_own(z: f32) -> f32 { return z; }\n\
        fn logarithm_rule_own(z: f32) -> f32 { return z; }\n\
        fn square_root_rule_own(z: f32) -> f32 { return z; }\n\
                           fn from_bits_own(bits: u32) -> f32 { return bitcast<f32>(bits); }\n\
                           @compute @workgroup_size(1) fn main() {\n\
                               _ = retention_own(0.0, 0.0, 0.0) + gain_own(0.0, 0.0, 0.0);\n\
                           }\n";

    fn validate(rule: &Rule) -> String {
        let (text, _) = rule.row().unwrap().wgsl("_own");
        let module = naga::front::wgsl::parse_str(&format!("{text}{TANGENT}"))
            .unwrap_or_else(|error| panic!("{rule}\n{text}\n{}", error.emit_to_string(&text)));
        naga::valid::Validator::new(
            naga::valid::ValidationFlags::all(),
            naga::valid::Capabilities::empty(),
        )
        .validate(&module)
        .unwrap_or_else(|error| panic!("{rule}\n{text}\n{error:?}"));
        text
    }

    /// Whether a line adds what another line multiplied, outside of `fma`.
    fn adds_products(text: &str) -> bool {
        let products: Vec<_> = text
            .lines()
            .filter(|line| line.contains(" * "))
            .map(|line| line.split_whitespace().nth(1).unwrap())
            .collect();
        let mut sums = text
            .lines()
            .filter(|line| line.contains(" + ") || line.contains(" - "));
        sums.any(|line| {
            let mut words = line.split([' ', ';', '-']);
            words.any(|word| products.contains(&word))
        })
    }

    #[test]
    fn the_named_rules_are_written_as_short_as_can_be() {
        let text = validate(&Rule::oja());
        assert!(
            text.contains("let v2 = rate * y;\n    let v4 = fma(-y, v2, 1.0f);"),
            "{text}"
        );
        assert!(!validate(&Rule::hebb()).contains("fma"));
    }

    #[test]
    fn numbers_out_of_range_are_left_to_the_device() {
        for text in [
            "h * 1e30 * 1e30",
            "1e30 * h * 1e30 + x * (y + 1e38 * 3) * 2",
            "h * 1e-30 * 1e-30 + x * (y / 0 - 1 / (y * 0 + 2))",
            "h * y^1000 * 1e38 * 10 + x * y^-3",
            "h * where_less(y, 0, 1, 2) * (y / 0)",
            "h * sqrt(y - y + 1) + x * log(y / 0)",
            "h * 3.4028235e38 + x * 1.1754944e-38 * 0.1",
        ] {
            validate(&Rule::parse(text).unwrap());
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, cases: 500, ..ProptestConfig::default() })]

        #[test]
        fn every_rule_is_valid_and_multiplies_and_adds_at_once(
            d in texts(&["y", "rate"]), g in texts(&["y", "rate"])
        ) {
            if let Ok(rule) = Rule::parse(&format!("({d}) * h + ({g}) * x"))
                && rule.row().is_some()
            {
                let text = validate(&rule);
                for function in text.split("fn ") {
                    prop_assert!(!adds_products(function), "{}", function);
                }
            }
        }
    }
}
