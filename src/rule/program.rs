//! Expressions as programs: one operation after the other, over any [`Number`].

use super::expression::{Binary, Expressions, Id, Node, Unary, Variable};
use crate::number::{Apart, Number};
use std::collections::HashMap;

/// Values that a program may keep without allocating.
const FEW: usize = 12;

/// An expression as a list of operations on numbered values.
#[derive(Clone, Debug)]
pub(super) struct Program {
    steps: Vec<Step>,
    /// How many values are kept at once.
    kept: usize,
    /// Where the result is.
    result: u16,
}

#[derive(Clone, Copy, Debug)]
struct Step {
    operation: Operation,
    to: u16,
}

#[derive(Clone, Copy, Debug)]
enum Operation {
    Number(f64),
    Variable(Variable),
    Unary(Unary, u16),
    Binary(Binary, u16, u16),
    WhereLess([u16; 4]),
}

/// What the variables stand for; the modulator is 1.
#[derive(Clone, Copy)]
pub(super) struct Values<N> {
    pub trace: N,
    pub presynaptic: N,
    pub postsynaptic: N,
    pub rate: N,
}

impl Program {
    /// The program for an expression without powers.
    pub fn new(expressions: &Expressions, root: Id) -> Self {
        let order = expressions.needed(root);
        let mut last_use = HashMap::new();
        for &id in &order {
            let operands = expressions.node(id).operands();
            last_use.extend(operands.map(|operand| (operand, id)));
        }
        let mut places: HashMap<Id, u16> = HashMap::new();
        let (mut free, mut kept) = (Vec::new(), 0);
        let mut steps = Vec::new();
        for &id in &order {
            let at = |operand: Id| places[&operand];
            let operation = match expressions.node(id) {
                Node::Number(bits) => Operation::Number(f64::from_bits(bits)),
                Node::Variable(variable) => Operation::Variable(variable),
                Node::Unary(function, a) => Operation::Unary(function, at(a)),
                Node::Binary(function, a, b) => Operation::Binary(function, at(a), at(b)),
                Node::WhereLess(four) => Operation::WhereLess(four.map(at)),
                Node::Power(..) => unreachable!("powers are products by now"),
            };
            for operand in expressions.node(id).operands() {
                // Once, also where an operand is there twice.
                if last_use.get(&operand) == Some(&id) {
                    last_use.remove(&operand);
                    free.push(places[&operand]);
                }
            }
            let to = free.pop().unwrap_or_else(|| {
                kept += 1;
                u16::try_from(kept - 1).expect("texts are short")
            });
            places.insert(id, to);
            steps.push(Step { operation, to });
        }
        Self {
            steps,
            kept,
            result: places[&root],
        }
    }

    /// The value of the expression.
    #[inline(always)]
    pub fn run<N: Number>(&self, values: Values<N>) -> N {
        let program = self;
        values.rate.apart(Run { program, values })
    }
}

/// A program and what it is a function of.
struct Run<'a, N> {
    program: &'a Program,
    values: Values<N>,
}

impl<N: Number> Apart<N> for Run<'_, N> {
    #[inline(always)]
    fn compute(self) -> N {
        let Self { program, values } = self;
        let (mut few, mut many);
        let kept: &mut [N] = if program.kept <= FEW {
            few = [values.rate; FEW];
            &mut few
        } else {
            many = vec![values.rate; program.kept];
            &mut many
        };
        for step in &program.steps {
            let value = match step.operation {
                Operation::Number(value) => values.rate.constant(value),
                Operation::Variable(variable) => match variable {
                    Variable::Trace => values.trace,
                    Variable::Presynaptic => values.presynaptic,
                    Variable::Postsynaptic => values.postsynaptic,
                    Variable::Rate => values.rate,
                    Variable::Modulator => values.rate.constant(1.0),
                },
                Operation::Unary(function, a) => {
                    let a = kept[usize::from(a)];
                    match function {
                        Unary::Negative => -a,
                        Unary::Tanh => a.hyperbolic_tangent(),
                        Unary::Exp => a.exponential(),
                        Unary::Log => a.logarithm(),
                        Unary::Sqrt => a.square_root(),
                        Unary::Abs => a.where_less(a.constant(0.0), -a, a),
                    }
                }
                Operation::Binary(function, a, b) => {
                    let (a, b) = (kept[usize::from(a)], kept[usize::from(b)]);
                    match function {
                        Binary::Sum => a + b,
                        Binary::Difference => a - b,
                        Binary::Product => a * b,
                        Binary::Quotient => a / b,
                        Binary::Min => b.where_less(a, b, a),
                        Binary::Max => a.where_less(b, b, a),
                    }
                }
                Operation::WhereLess([a, b, then, otherwise]) => {
                    let (then, otherwise) = (kept[usize::from(then)], kept[usize::from(otherwise)]);
                    kept[usize::from(a)].where_less(kept[usize::from(b)], then, otherwise)
                }
            };
            kept[usize::from(step.to)] = value;
        }
        kept[usize::from(program.result)]
    }
}
