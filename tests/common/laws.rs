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

static CELL_RULES: LazyLock<Vec<Rule>> = LazyLock::new(|| {
    let own: [(&str, Option<&str>, &[&str]); 8] = [
        // Row-affine but for its coefficient.
        ("a * h + rate * m * tanh(y) * x", None, &["a"]),
        ("0.8 * h + m * e", Some("a * e + rate * y * x"), &["a"]),
        // All that there is, and products of coefficients.
        (
            "(1 - rate) * h + 0.5 * a * m * e + b * (y - h) * x / (1 + x^2)",
            Some("a * b * e + rate * tanh(y * x + h)"),
            &["a", "b"],
        ),
        // Not affine in `h` and `x`, with bounds of its own.
        (
            "clamp(h + rate * m * x * (y - x * h), -0.8, 0.8)",
            None,
            &[],
        ),
        (
            "max(min(0.95 * h + rate * m * y * x^3, 0.7), -0.6) + 0.1 * abs(x) * a",
            None,
            &["a"],
        ),
        (
            "h * exp(-rate * x^2) + b * sqrt(1 + y^2) * x * m / 4",
            Some("tanh(e) / (1.2 + y^2) + a * log(2 + tanh(x * y)) * c"),
            &["a", "b", "c"],
        ),
        (
            "where_less(x * y, a, (1 - rate) * h, 0.7 * h + rate * m * y * x)",
            None,
            &["a"],
        ),
        // An eligibility trace that hears the trace, and a trace that forgets itself.
        ("tanh(m * e - h^2)", Some("e / 2 + rate * x * (y - h)"), &[]),
    ];
    let own = own.map(|(trace, eligibility, names)| {
        Rule::parse_with(trace, eligibility, names).expect("a rule")
    });
    let named = [Rule::additive(), Rule::retroactive()];
    named.into_iter().chain(own).collect()
});

static MODULATED_RULES: LazyLock<Vec<Rule>> = LazyLock::new(|| {
    let own = [
        // A retention that the modulator makes small, or negative, and the output does not.
        "(1 - rate) * m * h + rate * m^2 * y * x",
        // All three together, and a gain without an output.
        "(0.9 - rate * tanh(m * y)) * h + (rate * y - m / 4) * x",
        "h / (1.5 + rate * sqrt(1 + m^2)) + rate * exp(-m * y) * x / 2",
    ];
    let own = own.map(|text| Rule::parse(text).expect("a rule"));
    own.into_iter().collect()
});

/// Rules that rows of synapses can follow by themselves, which have a modulator in every place.
pub fn modulated_rules() -> Vec<Rule> {
    let others = RULES[..5].iter().chain(MODULATED_RULES.iter());
    others.cloned().collect()
}

/// Hebb, Oja, and rules of one's own: what rows of synapses can follow by themselves.
pub fn rules() -> Vec<Rule> {
    RULES.clone()
}

/// The other rules that have a name, and rules of one's own with eligibility traces, coefficients and other forms.
pub fn cell_rules() -> Vec<Rule> {
    CELL_RULES.clone()
}

/// What the texts of a rule say that the trace and the eligibility trace become; of the latter nothing where there is none.
pub fn evaluate<N: Number>(rule: &Rule, synapse: Synapse<'_, N>) -> [N; 2] {
    let (trace, eligibility) = rule.evaluate(synapse);
    [trace, eligibility.unwrap_or(trace.constant(0.0))]
}

/// A rule as the oracle follows it.
#[derive(Clone, Copy)]
pub struct Law<'a> {
    rule: &'a Rule,
    /// Its place among [`rules`], then [`cell_rules`], then [`modulated_rules`] of their own, if it is one of them.
    known: Option<usize>,
}

impl<'a> Law<'a> {
    pub fn of(rule: &'a Rule) -> Self {
        let all = RULES.iter().chain(CELL_RULES.iter());
        let mut all = all.chain(MODULATED_RULES.iter());
        let known = all.position(|known| known == rule);
        Self { rule, known }
    }

    /// What the trace and the eligibility trace become.
    #[inline]
    pub fn follow<N: Number>(self, synapse: Synapse<'_, N>) -> [N; 2] {
        let Synapse {
            trace: h,
            eligibility: e,
            presynaptic: x,
            postsynaptic: y,
            modulator: m,
            rate: eta,
            coefficients: k,
        } = synapse;
        let c = |value| h.constant(value);
        let (zero, one) = (c(0.0), c(1.0));
        let min = |a: N, b: N| a.where_less(b, a, b);
        let max = |a: N, b: N| b.where_less(a, a, b);
        match self.known {
            Some(0) => [(one - eta) * h + eta * m * y * x, zero],
            Some(1) => [h + eta * m * y * (x - y * h), zero],
            Some(2) => [c(0.9) * h + eta * y * x, zero],
            Some(3) => [h + eta * m * y * x, zero],
            Some(4) => [
                (one - eta * y * y) * h + eta * y.hyperbolic_tangent() * x,
                zero,
            ],
            Some(5) => [eta * (y * x - c(0.5) * h) - c(0.4) * h, zero],
            Some(6) => [eta * (-(y * y)).exponential() * x, zero],
            Some(7) => {
                let log = (c(2.0) + (eta + y).hyperbolic_tangent()).logarithm();
                let h = h / (c(1.5) + eta * (one + y * y).square_root()) - x * log / c(4.0);
                [h, zero]
            }
            // Eight is `additive`, which is the same as three.
            Some(9) => [h + m * e, (one - eta) * e + eta * y * x],
            Some(10) => [k[0] * h + eta * m * y.hyperbolic_tangent() * x, zero],
            Some(11) => [c(0.8) * h + m * e, k[0] * e + eta * y * x],
            Some(12) => {
                let learned = k[1] * (y - h) * x / (one + x * x);
                let trace = (one - eta) * h + c(0.5) * k[0] * m * e + learned;
                [
                    trace,
                    k[0] * k[1] * e + eta * (y * x + h).hyperbolic_tangent(),
                ]
            }
            Some(13) => {
                let next = h + eta * m * x * (y - x * h);
                [min(max(next, c(-0.8)), c(0.8)), zero]
            }
            Some(14) => {
                let next = c(0.95) * h + eta * m * y * x * x * x;
                let size = max(x, -x);
                [max(min(next, c(0.7)), c(-0.6)) + c(0.1) * size * k[0], zero]
            }
            Some(15) => {
                let kept = h * (-(eta * x * x)).exponential();
                let trace = kept + k[1] * (one + y * y).square_root() * x * m / c(4.0);
                let log = (c(2.0) + (x * y).hyperbolic_tangent()).logarithm();
                let eligibility = e.hyperbolic_tangent() / (c(1.2) + y * y) + k[0] * log * k[2];
                [trace, eligibility]
            }
            Some(16) => {
                let (decays, grows) = ((one - eta) * h, c(0.7) * h + eta * m * y * x);
                [(x * y).where_less(k[0], decays, grows), zero]
            }
            Some(17) => [
                (m * e - h * h).hyperbolic_tangent(),
                e / c(2.0) + eta * x * (y - h),
            ],
            Some(18) => [(one - eta) * m * h + eta * m * m * y * x, zero],
            Some(19) => [
                (c(0.9) - eta * (m * y).hyperbolic_tangent()) * h + (eta * y - m / c(4.0)) * x,
                zero,
            ],
            Some(20) => {
                let gain = eta * (-(m * y)).exponential() / c(2.0);
                [
                    h / (c(1.5) + eta * (one + m * m).square_root()) + gain * x,
                    zero,
                ]
            }
            _ => evaluate(self.rule, synapse),
        }
    }
}
