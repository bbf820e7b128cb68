//! From expression to text: what [`super::parse`] reads back as the same expression.

use super::expression::{Binary, Expressions, Id, Node, Unary};
use std::collections::HashMap;

/// How tightly an expression holds together.
#[derive(Clone, Copy, PartialEq, PartialOrd)]
enum Level {
    Sum,
    Product,
    Signed,
    Power,
    Primary,
}

impl Expressions {
    /// The text of an expression.
    pub fn print(&self, root: Id) -> String {
        let mut texts: HashMap<Id, (String, Level)> = HashMap::new();
        for id in self.needed(root) {
            let at_least = |operand: Id, level: Level| {
                let (text, its) = &texts[&operand];
                match *its >= level {
                    true => text.clone(),
                    false => format!("({text})"),
                }
            };
            let call = |name: &str, operands: &[Id]| {
                let operands: Vec<_> = operands
                    .iter()
                    .map(|it| at_least(*it, Level::Sum))
                    .collect();
                (format!("{name}({})", operands.join(", ")), Level::Primary)
            };
            let between = |a, first, symbol: &str, b, second| {
                let (a, b) = (at_least(a, first), at_least(b, second));
                (format!("{a} {symbol} {b}"), first)
            };
            let printed = match self.node(id) {
                Node::Number(bits) => number(f64::from_bits(bits)),
                Node::Variable(variable) => (self.name(variable).to_owned(), Level::Primary),
                Node::Unary(function, a) => match function {
                    Unary::Negative => (format!("-{}", at_least(a, Level::Signed)), Level::Signed),
                    Unary::Tanh => call("tanh", &[a]),
                    Unary::Exp => call("exp", &[a]),
                    Unary::Log => call("log", &[a]),
                    Unary::Sqrt => call("sqrt", &[a]),
                    Unary::Abs => call("abs", &[a]),
                },
                Node::Binary(function, a, b) => match function {
                    Binary::Sum => between(a, Level::Sum, "+", b, Level::Product),
                    Binary::Difference => between(a, Level::Sum, "-", b, Level::Product),
                    Binary::Product => between(a, Level::Product, "*", b, Level::Signed),
                    Binary::Quotient => between(a, Level::Product, "/", b, Level::Signed),
                    Binary::Min => call("min", &[a, b]),
                    Binary::Max => call("max", &[a, b]),
                },
                Node::Power(a, exponent) => {
                    let base = at_least(a, Level::Primary);
                    (format!("{base}^{exponent}"), Level::Power)
                }
                Node::WhereLess(four) => call("where_less", &four),
            };
            texts.insert(id, printed);
        }
        texts.remove(&root).expect("the root is printed").0
    }
}

fn number(value: f64) -> (String, Level) {
    let size = value.abs();
    let text = match size == 0.0 || (1e-5..1e15).contains(&size) {
        true => format!("{value}"),
        false => format!("{value:e}"),
    };
    let level = match value.is_sign_negative() {
        true => Level::Signed,
        false => Level::Primary,
    };
    (text, level)
}
