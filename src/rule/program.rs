//! Expressions as programs: one operation after the other, over any [`Number`].

use super::Synapse;
use super::expression::{Binary, Expressions, Id, Node, Unary, Variable};
use crate::number::{Apart, Number};
use std::collections::HashMap;

/// Values that a program may keep without allocating: few are quickly set up, many have room for several results.
const FEW: usize = 12;
const SOME: usize = 32;
const MANY: usize = 96;

/// Several expressions as one list of operations on numbered values. What they share is computed once.
#[derive(Clone, Debug)]
pub(super) struct Program {
    steps: Vec<Step>,
    /// How many values are kept at once.
    kept: usize,
    /// Where each result is; nowhere if it is zero.
    results: Vec<Option<u32>>,
}

#[derive(Clone, Copy, Debug)]
struct Step {
    operation: Operation,
    to: u32,
}

#[derive(Clone, Copy, Debug)]
enum Operation {
    Number(f64),
    Variable(Variable),
    Unary(Unary, u32),
    Binary(Binary, u32, u32),
    WhereLess([u32; 4]),
}

/// What the variables stand for.
#[derive(Clone, Copy)]
pub(super) struct Values<'a, N> {
    pub synapse: Synapse<'a, N>,
    /// The gradients on the new trace and on the new eligibility trace.
    pub adjoint: [N; 2],
}

impl Program {
    /// The program for expressions without powers.
    pub fn new(expressions: &Expressions, roots: &[Id]) -> Self {
        let is_zero = |root: Id| expressions.value(root).map(f64::to_bits) == Some(0);
        let computed: Vec<_> = roots.iter().copied().filter(|it| !is_zero(*it)).collect();
        let order = expressions.needed_for(&computed);
        let mut last_use = HashMap::new();
        for &id in &order {
            let operands = expressions.node(id).operands();
            last_use.extend(operands.map(|operand| (operand, id)));
        }
        for root in &computed {
            last_use.remove(root);
        }
        let mut places: HashMap<Id, u32> = HashMap::new();
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
                u32::try_from(kept - 1).expect("texts are short")
            });
            places.insert(id, to);
            steps.push(Step { operation, to });
        }
        Self {
            steps,
            kept,
            results: roots.iter().map(|it| places.get(it).copied()).collect(),
        }
    }

    /// The values of the expressions, then zeros.
    #[inline(always)]
    pub fn run<N: Number, const K: usize>(&self, values: Values<'_, N>) -> [N; K] {
        let program = self;
        values.synapse.rate.apart(Run { program, values })
    }
}

/// A program and what it is a function of.
struct Run<'a, N, const K: usize> {
    program: &'a Program,
    values: Values<'a, N>,
}

impl<N: Number, const K: usize> Apart<N> for Run<'_, N, K> {
    type Result = [N; K];

    #[inline(always)]
    fn compute(self) -> [N; K] {
        let Self { program, values } = self;
        let Values { synapse, adjoint } = values;
        let any = synapse.rate;
        let (mut few, mut some, mut many, mut more);
        let kept: &mut [N] = if program.kept <= FEW {
            few = [any; FEW];
            &mut few
        } else if program.kept <= SOME {
            some = [any; SOME];
            &mut some
        } else if program.kept <= MANY {
            many = [any; MANY];
            &mut many
        } else {
            more = vec![any; program.kept];
            &mut more
        };
        for step in &program.steps {
            let value = match step.operation {
                Operation::Number(value) => any.constant(value),
                Operation::Variable(variable) => match variable {
                    Variable::Trace => synapse.trace,
                    Variable::Eligibility => synapse.eligibility,
                    Variable::Presynaptic => synapse.presynaptic,
                    Variable::Postsynaptic => synapse.postsynaptic,
                    Variable::Modulator => synapse.modulator,
                    Variable::Rate => synapse.rate,
                    Variable::Coefficient(index) => synapse.coefficients[usize::from(index)],
                    Variable::TraceAdjoint => adjoint[0],
                    Variable::EligibilityAdjoint => adjoint[1],
                },
                Operation::Unary(function, a) => {
                    let a = kept[a as usize];
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
                    let (a, b) = (kept[a as usize], kept[b as usize]);
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
                    let (then, otherwise) = (kept[then as usize], kept[otherwise as usize]);
                    kept[a as usize].where_less(kept[b as usize], then, otherwise)
                }
            };
            kept[step.to as usize] = value;
        }
        let mut results = [any.constant(0.0); K];
        for (result, place) in results.iter_mut().zip(&program.results) {
            if let Some(place) = place {
                *result = kept[*place as usize];
            }
        }
        results
    }
}
