//! Symbolic derivatives.

use super::expression::{Binary, Expressions, Id, Node, Unary, Variable};
use std::collections::HashMap;

impl Expressions {
    /// `∂root/∂variable`, simplified. Where two branches of `abs`, `min`, `max` or `where_less` meet, it is that of the
    /// branch whose value is taken: `a` for `abs(a)` at 0.
    pub fn derivative(&mut self, root: Id, variable: Variable) -> Id {
        self.derivatives(root, variable)[&root]
    }

    /// The derivatives of `root` and of every node that it needs.
    pub fn derivatives(&mut self, root: Id, variable: Variable) -> HashMap<Id, Id> {
        let mut derivatives = HashMap::new();
        for id in self.needed(root) {
            let by = |operand: Id| derivatives[&operand];
            let zero = self.number(0.0);
            let mut operands = self.node(id).operands();
            let is_constant = operands.all(|operand| by(operand) == zero);
            let derivative = match self.node(id) {
                Node::Variable(it) if it == variable => self.number(1.0),
                // Of what has no value, too.
                _ if is_constant => zero,
                Node::Number(_) | Node::Variable(_) => unreachable!("they have no operands"),
                Node::Unary(function, a) => self.unary_derivative(function, id, a, by(a)),
                Node::Binary(function, a, b) => {
                    self.binary_derivative(function, id, (a, by(a)), (b, by(b)))
                }
                Node::Power(a, exponent) => {
                    let factor = self.number(f64::from(exponent));
                    let power = self.power(a, exponent - 1);
                    let slope = self.product(factor, power);
                    self.product(slope, by(a))
                }
                Node::WhereLess([a, b, then, otherwise]) => {
                    self.where_less([a, b, by(then), by(otherwise)])
                }
            };
            derivatives.insert(id, derivative);
        }
        derivatives
    }

    /// Of `function(a)`, which is `id`; `by` is the derivative of `a`.
    fn unary_derivative(&mut self, function: Unary, id: Id, a: Id, by: Id) -> Id {
        let (zero, one) = (self.number(0.0), self.number(1.0));
        match function {
            Unary::Negative => self.negative(by),
            Unary::Tanh => {
                // (1 - t)(1 + t) keeps its digits where 1 - t² would cancel.
                let (low, high) = (self.difference(one, id), self.sum(one, id));
                let slope = self.product(low, high);
                self.product(slope, by)
            }
            Unary::Exp => self.product(id, by),
            Unary::Log => self.quotient(by, a),
            Unary::Sqrt => {
                let two = self.number(2.0);
                let twice = self.product(two, id);
                self.quotient(by, twice)
            }
            Unary::Abs => {
                let minus = self.negative(by);
                self.where_less([a, zero, minus, by])
            }
        }
    }

    /// Of `function(a, b)`, which is `id`; each operand with its derivative.
    fn binary_derivative(
        &mut self,
        function: Binary,
        id: Id,
        (a, by_a): (Id, Id),
        (b, by_b): (Id, Id),
    ) -> Id {
        match function {
            Binary::Sum => self.sum(by_a, by_b),
            Binary::Difference => self.difference(by_a, by_b),
            Binary::Product => {
                let (first, second) = (self.product(by_a, b), self.product(a, by_b));
                self.sum(first, second)
            }
            Binary::Quotient => {
                let lost = self.product(id, by_b);
                let above = self.difference(by_a, lost);
                self.quotient(above, b)
            }
            Binary::Min => self.where_less([b, a, by_b, by_a]),
            Binary::Max => self.where_less([a, b, by_b, by_a]),
        }
    }
}
