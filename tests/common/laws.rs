//! The rules of the tests: each as a text, and written out by hand, which the oracle follows.

use metaplastic::Rule;
use metaplastic::number::Number;
use metaplastic::rule::Synapse;
use std::sync::LazyLock;

static RULES: LazyLock<Vec<Rule>> = LazyLock::new(|| {
    let own = [
        "0.9 * h + rate * y * x",
        "h + rate * m * y * x",
        "(1 - rate * y^2) * h + rate * tanh(y) * x",
        "rate * (y * x - 0.5 * h) - 0.4 * h",
        "rate * exp(-y^2) * x",
        "h / (1.5 + rate * sqrt(1 + y^2)) - x * log(2 + tanh(rate + y)) / 4",
    ];
    let own = own.map(|text| Rule::parse(text).expect("a rule"));
    [Rule::hebb(), Rule::oja()].into_iter().chain(own).collect()
});

/// Hebb, Oja, and rules of one's own.
pub fn rules() -> Vec<Rule> {
    RULES.clone()
}

/// What the text of a rule says that the trace `h` becomes, with a modulator of 1.
pub fn evaluate<N: Number>(rule: &Rule, h: N, x: N, y: N, eta: N) -> N {
    let synapse = Synapse {
        trace: h,
        eligibility: h.constant(0.0),
        presynaptic: x,
        postsynaptic: y,
        modulator: h.constant(1.0),
        rate: eta,
        coefficients: &[],
    };
    rule.evaluate(synapse).0
}

/// A rule as the oracle follows it.
#[derive(Clone, Copy)]
pub struct Law<'a> {
    rule: &'a Rule,
    /// Its place among [`rules`], if it is one of them.
    known: Option<usize>,
}

impl<'a> Law<'a> {
    pub fn of(rule: &'a Rule) -> Self {
        let known = RULES.iter().position(|known| known == rule);
        Self { rule, known }
    }

    /// What the trace `h` becomes.
    pub fn follow<N: Number>(self, h: N, x: N, y: N, eta: N) -> N {
        let c = |value| h.constant(value);
        let one = c(1.0);
        match self.known {
            Some(0) => (one - eta) * h + eta * y * x,
            Some(1) => h + eta * y * (x - y * h),
            Some(2) => c(0.9) * h + eta * y * x,
            Some(3) => h + eta * y * x,
            Some(4) => (one - eta * y * y) * h + eta * y.hyperbolic_tangent() * x,
            Some(5) => eta * (y * x - c(0.5) * h) - c(0.4) * h,
            Some(6) => eta * (-(y * y)).exponential() * x,
            Some(7) => {
                let log = (c(2.0) + (eta + y).hyperbolic_tangent()).logarithm();
                h / (c(1.5) + eta * (one + y * y).square_root()) - x * log / c(4.0)
            }
            _ => evaluate(self.rule, h, x, y, eta),
        }
    }
}
