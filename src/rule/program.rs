//! Expressions as programs: one operation after the other, over any [`Number`].

use super::expression::{Binary, Expressions, Id, Node, Unary, Variable};
use super::values::Values;
use crate::number::{Apart, Number};
use std::collections::HashMap;

/// Values that a program may have without allocating: few are quickly set up, many have room for several results.
const FEW: usize = 16;
const SOME: usize = 32;
const MANY: usize = 96;

/// Several expressions as one list of operations on numbered values. What they share is computed once.
///
/// The first values are what the variables stand for, in the order of [`place_of`], then come the constants.
#[derive(Clone, Debug)]
pub(super) struct Program {
    coefficients: usize,
    constants: Vec<f64>,
    steps: Vec<Step>,
    /// How many values there are at once.
    values: usize,
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
    Negative(u32),
    Tanh(u32),
    Exp(u32),
    Log(u32),
    Sqrt(u32),
    Abs(u32),
    Sum(u32, u32),
    Difference(u32, u32),
    Product(u32, u32),
    Quotient(u32, u32),
    Min(u32, u32),
    Max(u32, u32),
    WhereLess([u32; 4]),
}

/// Variables beside the coefficients.
const VARIABLES: u32 = 8;

/// Where the value of a variable is.
fn place_of(variable: Variable) -> u32 {
    match variable {
        Variable::Trace => 0,
        Variable::Eligibility => 1,
        Variable::Presynaptic => 2,
        Variable::Postsynaptic => 3,
        Variable::Modulator => 4,
        Variable::Rate => 5,
        Variable::TraceAdjoint => 6,
        Variable::EligibilityAdjoint => 7,
        Variable::Coefficient(index) => VARIABLES + u32::from(index),
    }
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
        let coefficients = expressions.coefficients().len();
        let mut values = VARIABLES as usize + coefficients;
        let mut new_place = || {
            values += 1;
            u32::try_from(values - 1).expect("texts are short")
        };
        let mut places: HashMap<Id, u32> = HashMap::new();
        let mut constants = Vec::new();
        for &id in &order {
            if let Node::Variable(variable) = expressions.node(id) {
                places.insert(id, place_of(variable));
            }
            if let Some(value) = expressions.value(id) {
                places.insert(id, new_place());
                constants.push(value);
            }
        }
        let (mut free, mut steps) = (Vec::new(), Vec::new());
        for &id in &order {
            let Some(operation) = Operation::of(expressions.node(id), &places) else {
                continue;
            };
            for operand in expressions.node(id).operands() {
                // Once, also where an operand is there twice.
                if last_use.get(&operand) == Some(&id) {
                    last_use.remove(&operand);
                    if !expressions.is_leaf(operand) {
                        free.push(places[&operand]);
                    }
                }
            }
            let to = free.pop().unwrap_or_else(&mut new_place);
            places.insert(id, to);
            steps.push(Step { operation, to });
        }
        let result = |root: &Id| (!is_zero(*root)).then(|| places[root]);
        Self {
            coefficients,
            constants,
            steps,
            results: roots.iter().map(result).collect(),
            values,
        }
    }

    /// The values of the expressions, then zeros.
    #[inline(always)]
    pub fn run<N: Number, const K: usize>(&self, values: Values<'_, N>) -> [N; K] {
        let program = self;
        values.synapse.rate.apart(Run { program, values })
    }
}

impl Operation {
    /// That of a node without powers, on what its operands have become; none for a leaf.
    fn of(node: Node, places: &HashMap<Id, u32>) -> Option<Self> {
        let at = |operand: Id| places[&operand];
        Some(match node {
            Node::Number(_) | Node::Variable(_) => return None,
            Node::Unary(function, a) => match function {
                Unary::Negative => Self::Negative(at(a)),
                Unary::Tanh => Self::Tanh(at(a)),
                Unary::Exp => Self::Exp(at(a)),
                Unary::Log => Self::Log(at(a)),
                Unary::Sqrt => Self::Sqrt(at(a)),
                Unary::Abs => Self::Abs(at(a)),
            },
            Node::Binary(function, a, b) => match function {
                Binary::Sum => Self::Sum(at(a), at(b)),
                Binary::Difference => Self::Difference(at(a), at(b)),
                Binary::Product => Self::Product(at(a), at(b)),
                Binary::Quotient => Self::Quotient(at(a), at(b)),
                Binary::Min => Self::Min(at(a), at(b)),
                Binary::Max => Self::Max(at(a), at(b)),
            },
            Node::WhereLess(four) => Self::WhereLess(four.map(at)),
            Node::Power(..) => unreachable!("powers are products by now"),
        })
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
        let values: &mut [N] = if program.values <= FEW {
            few = [any; FEW];
            &mut few
        } else if program.values <= SOME {
            some = [any; SOME];
            &mut some
        } else if program.values <= MANY {
            many = [any; MANY];
            &mut many
        } else {
            more = vec![any; program.values];
            &mut more
        };
        let (variables, rest) = values.split_at_mut(VARIABLES as usize);
        variables.copy_from_slice(&[
            synapse.trace,
            synapse.eligibility,
            synapse.presynaptic,
            synapse.postsynaptic,
            synapse.modulator,
            synapse.rate,
            adjoint[0],
            adjoint[1],
        ]);
        let (coefficients, rest) = rest.split_at_mut(program.coefficients);
        coefficients.copy_from_slice(&synapse.coefficients[..program.coefficients]);
        for (to, constant) in rest.iter_mut().zip(&program.constants) {
            *to = any.constant(*constant);
        }
        for step in &program.steps {
            let at = |place: u32| values[place as usize];
            let value = match step.operation {
                Operation::Negative(a) => -at(a),
                Operation::Tanh(a) => at(a).hyperbolic_tangent(),
                Operation::Exp(a) => at(a).exponential(),
                Operation::Log(a) => at(a).logarithm(),
                Operation::Sqrt(a) => at(a).square_root(),
                Operation::Abs(a) => at(a).where_less(any.constant(0.0), -at(a), at(a)),
                Operation::Sum(a, b) => at(a) + at(b),
                Operation::Difference(a, b) => at(a) - at(b),
                Operation::Product(a, b) => at(a) * at(b),
                Operation::Quotient(a, b) => at(a) / at(b),
                Operation::Min(a, b) => at(b).where_less(at(a), at(b), at(a)),
                Operation::Max(a, b) => at(a).where_less(at(b), at(b), at(a)),
                Operation::WhereLess([a, b, then, otherwise]) => {
                    at(a).where_less(at(b), at(then), at(otherwise))
                }
            };
            values[step.to as usize] = value;
        }
        let mut results = [any.constant(0.0); K];
        for (result, place) in results.iter_mut().zip(&program.results) {
            if let Some(place) = place {
                *result = values[*place as usize];
            }
        }
        results
    }
}
