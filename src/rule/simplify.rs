//! Simplification: the constructors of expressions, each of which looks at its operands only.
//!
//! Equal terms of a sum are collected, so that what cancels is seen to be zero; a sum in which nothing cancels keeps its
//! order, a product too, so that rounding is as in the text.

use super::expression::{Binary, Expressions, Id, Node, Unary, Variable};
use std::collections::HashMap;

impl Expressions {
    /// `root` simplified, with `values` in the place of variables; and what became of every node that it needs.
    pub fn simplified(&mut self, root: Id, values: &[(Variable, f64)]) -> (Id, HashMap<Id, Id>) {
        let mut became = HashMap::new();
        for id in self.needed(root) {
            let of = |operand: &Id| became[operand];
            let simple = match self.node(id) {
                Node::Number(_) => id,
                Node::Variable(variable) => {
                    match values.iter().find(|(given, _)| *given == variable) {
                        Some((_, value)) => self.number(*value),
                        None => id,
                    }
                }
                Node::Unary(function, a) => self.unary(function, of(&a)),
                Node::Binary(function, a, b) => self.binary(function, of(&a), of(&b)),
                Node::Power(a, exponent) => self.power(of(&a), exponent),
                Node::WhereLess(four) => self.where_less(four.map(|operand| of(&operand))),
            };
            became.insert(id, simple);
        }
        (became[&root], became)
    }

    pub fn unary(&mut self, function: Unary, a: Id) -> Id {
        if let Some(value) = self.value(a) {
            let value = match function {
                Unary::Negative => -value,
                Unary::Tanh => value.tanh(),
                Unary::Exp => value.exp(),
                Unary::Log => value.ln(),
                Unary::Sqrt => value.sqrt(),
                Unary::Abs => value.abs(),
            };
            if value.is_finite() {
                return self.number(value);
            }
        }
        match (function, self.node(a)) {
            (Unary::Negative, Node::Unary(Unary::Negative, inner)) => inner,
            (Unary::Negative, Node::Binary(Binary::Difference, a, b)) => self.difference(b, a),
            (Unary::Negative, Node::Binary(Binary::Product, c, b)) if self.value(c).is_some() => {
                let c = self.unary(Unary::Negative, c);
                self.product(c, b)
            }
            _ => self.push(Node::Unary(function, a)),
        }
    }

    pub fn negative(&mut self, a: Id) -> Id {
        self.unary(Unary::Negative, a)
    }

    pub fn binary(&mut self, function: Binary, a: Id, b: Id) -> Id {
        match function {
            Binary::Sum => self.sum(a, b),
            Binary::Difference => self.difference(a, b),
            Binary::Product => self.product(a, b),
            Binary::Quotient => self.quotient(a, b),
            Binary::Min | Binary::Max if a == b => a,
            Binary::Min | Binary::Max => match (self.value(a), self.value(b)) {
                (Some(first), Some(second)) => {
                    let takes_second = match function {
                        Binary::Min => second < first,
                        _ => first < second,
                    };
                    if takes_second { b } else { a }
                }
                _ => self.push(Node::Binary(function, a, b)),
            },
        }
    }

    pub fn sum(&mut self, a: Id, b: Id) -> Id {
        self.sum_of(a, b, Binary::Sum)
    }

    pub fn difference(&mut self, a: Id, b: Id) -> Id {
        self.sum_of(a, b, Binary::Difference)
    }

    /// `a + b` or `a - b`.
    fn sum_of(&mut self, a: Id, b: Id, function: Binary) -> Id {
        let sign = if function == Binary::Sum { 1.0 } else { -1.0 };
        if let (Some(first), Some(second)) = (self.value(a), self.value(b))
            && (first + sign * second).is_finite()
        {
            return self.number(first + sign * second);
        }
        if self.value(b) == Some(0.0) {
            return a;
        }
        if self.value(a) == Some(0.0) {
            return if sign > 0.0 { b } else { self.negative(b) };
        }
        let mut terms = Vec::new();
        self.add_terms(a, 1.0, &mut terms);
        self.add_terms(b, sign, &mut terms);
        if let Some(collected) = collected(&terms) {
            return self.sum_of_terms(collected);
        }
        // What is subtracted or added has no sign of its own.
        let opposite = match function {
            Binary::Sum => Binary::Difference,
            _ => Binary::Sum,
        };
        if let Some(positive) = self.without_sign(b) {
            return self.push_sum(opposite, a, positive);
        }
        if let (Some(positive), Binary::Sum) = (self.without_sign(a), function) {
            return self.push_sum(Binary::Difference, b, positive);
        }
        self.push_sum(function, a, b)
    }

    /// The two in one order, where their order is indifferent.
    fn push_sum(&mut self, function: Binary, a: Id, b: Id) -> Id {
        let (a, b) = match function {
            Binary::Difference => (a, b),
            _ => (a.min(b), a.max(b)),
        };
        self.push(Node::Binary(function, a, b))
    }

    /// What an expression that is visibly negative is the negative of.
    fn without_sign(&mut self, id: Id) -> Option<Id> {
        match self.node(id) {
            Node::Unary(Unary::Negative, positive) => Some(positive),
            Node::Number(bits) if f64::from_bits(bits) < 0.0 => {
                Some(self.number(-f64::from_bits(bits)))
            }
            Node::Binary(Binary::Product, c, _) if self.value(c).is_some_and(|c| c < 0.0) => {
                Some(self.negative(id))
            }
            _ => None,
        }
    }

    /// The terms of a sum with their factors; a number is a multiple of 1.
    fn add_terms(&mut self, root: Id, factor: f64, terms: &mut Vec<(Id, f64)>) {
        let mut open = vec![(root, factor)];
        while let Some((id, factor)) = open.pop() {
            match self.node(id) {
                Node::Number(bits) => {
                    terms.push((self.number(1.0), factor * f64::from_bits(bits)));
                }
                Node::Unary(Unary::Negative, a) => open.push((a, -factor)),
                Node::Binary(Binary::Sum, a, b) => open.extend([(b, factor), (a, factor)]),
                Node::Binary(Binary::Difference, a, b) => open.extend([(b, -factor), (a, factor)]),
                Node::Binary(Binary::Product, c, a) => match self.value(c) {
                    Some(c) => open.push((a, factor * c)),
                    None => terms.push((id, factor)),
                },
                _ => terms.push((id, factor)),
            }
        }
    }

    fn sum_of_terms(&mut self, terms: Vec<(Id, f64)>) -> Id {
        let mut total = self.number(0.0);
        for (term, factor) in terms {
            let size = self.number(factor.abs());
            let term = self.product(size, term);
            let function = match factor {
                _ if factor < 0.0 => Binary::Difference,
                _ => Binary::Sum,
            };
            // The terms differ, so nothing needs to be looked for again.
            total = match (self.value(total), function) {
                (Some(0.0), Binary::Sum) => term,
                (Some(0.0), _) => self.negative(term),
                _ => self.push_sum(function, total, term),
            };
        }
        total
    }

    pub fn product(&mut self, a: Id, b: Id) -> Id {
        match (self.value(a), self.value(b)) {
            (Some(0.0), _) | (_, Some(0.0)) => return self.number(0.0),
            (Some(1.0), _) => return b,
            (_, Some(1.0)) => return a,
            (Some(-1.0), _) => return self.negative(b),
            (_, Some(-1.0)) => return self.negative(a),
            (Some(first), Some(second)) if (first * second).is_finite() => {
                return self.number(first * second);
            }
            // A number comes first.
            (None, Some(_)) => return self.product(b, a),
            _ => {}
        }
        for (one, other) in [(a, b), (b, a)] {
            match self.node(one) {
                Node::Unary(Unary::Negative, positive) => {
                    let product = self.product(positive, other);
                    return self.negative(product);
                }
                Node::Binary(Binary::Product, c, rest) => {
                    let factor = match (self.value(c), self.value(other)) {
                        (Some(c), None) => Some((c, self.product(rest, other))),
                        (Some(c), Some(value)) if (c * value).is_finite() => {
                            Some((c * value, rest))
                        }
                        _ => None,
                    };
                    if let Some((factor, rest)) = factor {
                        let factor = self.number(factor);
                        return self.product(factor, rest);
                    }
                }
                _ => {}
            }
        }
        let (a, b) = if self.value(a).is_some() {
            (a, b)
        } else {
            (a.min(b), a.max(b))
        };
        self.push(Node::Binary(Binary::Product, a, b))
    }

    pub fn quotient(&mut self, a: Id, b: Id) -> Id {
        match (self.value(a), self.value(b)) {
            (Some(first), Some(second)) if (first / second).is_finite() => {
                return self.number(first / second);
            }
            (_, Some(1.0)) => return a,
            (_, Some(-1.0)) => return self.negative(a),
            (Some(0.0), None) => return a,
            _ => {}
        }
        for (one, is_above) in [(a, true), (b, false)] {
            if let Node::Unary(Unary::Negative, positive) = self.node(one) {
                let quotient = match is_above {
                    true => self.quotient(positive, b),
                    false => self.quotient(a, positive),
                };
                return self.negative(quotient);
            }
        }
        self.push(Node::Binary(Binary::Quotient, a, b))
    }

    pub fn power(&mut self, a: Id, exponent: i32) -> Id {
        if exponent == 0 {
            return self.number(1.0);
        }
        if exponent == 1 {
            return a;
        }
        if let Some(value) = self.value(a)
            && value.powi(exponent).is_finite()
        {
            return self.number(value.powi(exponent));
        }
        if let Node::Unary(Unary::Negative, positive) = self.node(a) {
            let power = self.power(positive, exponent);
            return match exponent % 2 {
                0 => power,
                _ => self.negative(power),
            };
        }
        self.push(Node::Power(a, exponent))
    }

    pub fn where_less(&mut self, [a, b, then, otherwise]: [Id; 4]) -> Id {
        if then == otherwise {
            return then;
        }
        if let (Some(first), Some(second)) = (self.value(a), self.value(b)) {
            return if first < second { then } else { otherwise };
        }
        self.push(Node::WhereLess([a, b, then, otherwise]))
    }

    /// `root` with products in the place of powers.
    pub fn without_powers(&mut self, root: Id) -> Id {
        let mut became: HashMap<Id, Id> = HashMap::new();
        for id in self.needed(root) {
            let of = |operand: &Id| became[operand];
            let node = match self.node(id) {
                Node::Power(a, exponent) => {
                    let power = self.power_by_products(of(&a), exponent);
                    became.insert(id, power);
                    continue;
                }
                node @ (Node::Number(_) | Node::Variable(_)) => node,
                Node::Unary(function, a) => Node::Unary(function, of(&a)),
                Node::Binary(function, a, b) => Node::Binary(function, of(&a), of(&b)),
                Node::WhereLess(four) => Node::WhereLess(four.map(|operand| of(&operand))),
            };
            let id_now = self.push(node);
            became.insert(id, id_now);
        }
        became[&root]
    }

    /// By squares: `a^5 = a (a²)²`.
    fn power_by_products(&mut self, a: Id, exponent: i32) -> Id {
        let mut left = exponent.unsigned_abs();
        let (mut square, mut total) = (a, None);
        loop {
            if left % 2 == 1 {
                total = Some(match total {
                    Some(total) => self.push(Node::Binary(Binary::Product, total, square)),
                    None => square,
                });
            }
            left /= 2;
            if left == 0 {
                break;
            }
            square = self.push(Node::Binary(Binary::Product, square, square));
        }
        let one = self.number(1.0);
        let power = total.unwrap_or(one);
        if exponent < 0 {
            return self.push(Node::Binary(Binary::Quotient, one, power));
        }
        power
    }
}

/// The terms without those that cancel, if some are equal; in the order in which they first occur.
fn collected(terms: &[(Id, f64)]) -> Option<Vec<(Id, f64)>> {
    let mut places = HashMap::new();
    let mut collected: Vec<(Id, f64)> = Vec::new();
    for &(term, factor) in terms {
        let place = *places.entry(term).or_insert(collected.len());
        match collected.get_mut(place) {
            Some((_, total)) => *total += factor,
            None => collected.push((term, factor)),
        }
    }
    let is_shorter = collected.len() < terms.len();
    let are_finite = collected.iter().all(|(_, factor)| factor.is_finite());
    collected.retain(|(_, factor)| *factor != 0.0);
    (is_shorter && are_finite).then_some(collected)
}
