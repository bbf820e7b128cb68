//! Expressions as WGSL functions, of `y`, `m` and `rate` or of a synapse.
//!
//! Every product that feeds an addition is an explicit `fma`, so that no compiler has a choice. Numbers that no `f32`
//! literal can be, and operations that a compiler would refuse to do beforehand, are left to the device.

use super::expression::{Binary, Expressions, Id, Node, Unary, Variable};
use std::collections::HashMap;
use std::fmt::Write;

/// `fn name(y: f32, m: f32, rate: f32) -> f32` for an expression without powers. `of` ends the names of the functions that it calls:
/// `hyperbolic_tangent_rule`, `logarithm_rule`, `square_root_rule` and `from_bits`.
pub(super) fn function(expressions: &Expressions, root: Id, name: &str, of: &str) -> String {
    let (statements, values) = body(expressions, &[root], of, |variable| {
        expressions.name(variable).to_owned()
    });
    let value = &values[0];
    format!("fn {name}(y: f32, m: f32, rate: f32) -> f32 {{\n{statements}    return {value};\n}}")
}

/// `struct Synapse`, of which the functions of [`of_synapse`] are.
pub(super) fn synapse(coefficients: usize) -> String {
    let names = Variable::NAMED.map(|(name, _)| name.to_owned());
    let coefficients = (0..coefficients).map(|index| format!("k{index}"));
    structure("Synapse", names.into_iter().chain(coefficients))
}

/// `struct name`, of numbers.
pub(super) fn structure(name: &str, members: impl Iterator<Item = String>) -> String {
    let members: String = members
        .map(|member| format!("    {member}: f32,\n"))
        .collect();
    format!("struct {name} {{\n{members}}}\n")
}

/// `fn name(s: Synapse, …) -> kind`, which makes one of the values of some expressions without powers. `adjoint` says whether the
/// gradients on the new traces are `lambda` and `epsilon`, two more arguments.
pub(super) fn of_synapse(
    expressions: &Expressions,
    roots: &[Id],
    name: &str,
    kind: &str,
    adjoint: bool,
) -> String {
    let (statements, values) = body(expressions, roots, "", |variable| match variable {
        // Names of the user's own might be words of the language.
        Variable::Coefficient(index) => format!("s.k{index}"),
        Variable::TraceAdjoint => "lambda".to_owned(),
        Variable::EligibilityAdjoint => "epsilon".to_owned(),
        variable => format!("s.{}", expressions.name(variable)),
    });
    let more = if adjoint {
        ", lambda: f32, epsilon: f32"
    } else {
        ""
    };
    let values = values.join(", ");
    format!(
        "fn {name}(s: Synapse{more}) -> {kind} {{\n{statements}    return {kind}({values});\n}}\n"
    )
}

/// Statements that compute some expressions, and what then has their values.
fn body(
    expressions: &Expressions,
    roots: &[Id],
    of: &str,
    variable: impl Fn(Variable) -> String,
) -> (String, Vec<String>) {
    let mut text = String::new();
    let mut printer = Printer {
        expressions,
        of,
        names: HashMap::new(),
    };
    let operands = |id| printer.form(id).operands();
    for id in expressions.needed_by(roots, operands) {
        let form = printer.form(id);
        let name = match expressions.node(id) {
            Node::Number(_) => printer.print(form),
            Node::Variable(it) => variable(it),
            _ => {
                let name = format!("v{}", printer.names.len());
                let printed = printer.print(form);
                writeln!(text, "    let {name} = {printed};").expect("strings take everything");
                name
            }
        };
        printer.names.insert(id, name);
    }
    let values = roots.iter().map(|root| printer.names[root].clone());
    (text, values.collect())
}

/// Whether some of the functions call `hyperbolic_tangent_rule`.
pub(super) fn takes_tangents(expressions: &Expressions, roots: &[Id]) -> bool {
    let mut needed = roots.iter().flat_map(|root| expressions.needed(*root));
    needed.any(|id| matches!(expressions.node(id), Node::Unary(Unary::Tanh, _)))
}

/// How an operation is written.
enum Form {
    Plain(Node),
    /// `±a b ± c`.
    MultiplyAdd {
        product: (Id, Id),
        is_subtracted: bool,
        term: Id,
        term_is_subtracted: bool,
    },
}

impl Form {
    fn operands(&self) -> Vec<Id> {
        match self {
            Self::Plain(node) => node.operands().collect(),
            Self::MultiplyAdd { product, term, .. } => vec![product.0, product.1, *term],
        }
    }
}

struct Printer<'a> {
    expressions: &'a Expressions,
    of: &'a str,
    /// What was computed already, or a number or variable itself.
    names: HashMap<Id, String>,
}

impl Printer<'_> {
    fn form(&self, id: Id) -> Form {
        let node = self.expressions.node(id);
        let Node::Binary(function @ (Binary::Sum | Binary::Difference), a, b) = node else {
            return Form::Plain(node);
        };
        let product = |id| match self.expressions.node(id) {
            Node::Binary(Binary::Product, a, b) => Some((a, b)),
            _ => None,
        };
        let is_difference = function == Binary::Difference;
        match (product(a), product(b)) {
            (_, Some(product)) => Form::MultiplyAdd {
                product,
                is_subtracted: is_difference,
                term: a,
                term_is_subtracted: false,
            },
            (Some(product), None) => Form::MultiplyAdd {
                product,
                is_subtracted: false,
                term: b,
                term_is_subtracted: is_difference,
            },
            (None, None) => Form::Plain(node),
        }
    }

    fn print(&self, form: Form) -> String {
        let node = match form {
            Form::Plain(node) => node,
            Form::MultiplyAdd {
                product: (a, b),
                is_subtracted,
                term,
                term_is_subtracted,
            } => {
                let signed = |minus: bool, id| match minus {
                    true => format!("-{}", self.operand(id)),
                    false => self.operand(id),
                };
                let (a, term) = (signed(is_subtracted, a), signed(term_is_subtracted, term));
                return format!("fma({a}, {}, {term})", self.operand(b));
            }
        };
        // A compiler would do these beforehand, and refuse what is not finite.
        let is_constant = node
            .operands()
            .all(|id| self.expressions.value(id).is_some());
        let operand = |id| match self.expressions.value(id) {
            Some(value) if is_constant => self.left_to_device(value),
            _ => self.operand(id),
        };
        match node {
            Node::Number(bits) => self.number(f64::from_bits(bits)),
            Node::Variable(_) => unreachable!("they have names"),
            Node::Unary(function, a) => {
                let a = operand(a);
                match function {
                    Unary::Negative => format!("-{a}"),
                    Unary::Tanh => format!("hyperbolic_tangent_rule{}({a})", self.of),
                    Unary::Exp => format!("exp({a})"),
                    Unary::Log => format!("logarithm_rule{}({a})", self.of),
                    Unary::Sqrt => format!("square_root_rule{}({a})", self.of),
                    Unary::Abs => format!("abs({a})"),
                }
            }
            Node::Binary(function, a, b) => {
                let (a, b) = (operand(a), operand(b));
                match function {
                    Binary::Sum => format!("{a} + {b}"),
                    Binary::Difference => format!("{a} - {b}"),
                    Binary::Product => format!("{a} * {b}"),
                    Binary::Quotient => format!("{a} / {b}"),
                    // Not the built-ins, which choose otherwise where one of the two is NaN.
                    Binary::Min => format!("select({a}, {b}, {b} < {a})"),
                    Binary::Max => format!("select({a}, {b}, {a} < {b})"),
                }
            }
            Node::WhereLess(four) => {
                let [a, b, then, otherwise] = four.map(operand);
                format!("select({otherwise}, {then}, {a} < {b})")
            }
            Node::Power(..) => unreachable!("powers are products by now"),
        }
    }

    fn operand(&self, id: Id) -> String {
        self.names[&id].clone()
    }

    fn number(&self, value: f64) -> String {
        let single = value as f32;
        match single.is_finite() {
            true if single.is_sign_negative() => format!("({single:?}f)"),
            true => format!("{single:?}f"),
            false => self.left_to_device(value),
        }
    }

    fn left_to_device(&self, value: f64) -> String {
        format!("from_bits{}({}u)", self.of, (value as f32).to_bits())
    }
}
