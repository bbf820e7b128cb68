//! Checks what the other tests rely on: the oracle against derivatives taken without calculus, the comparison against
//! results known to be wrong, and the pairwise matrix against its definition.

use crate::common::cases::{Case, CellKind, Goal, MaskKind, PLASTICITIES, plastic, rules, stacks};
use crate::common::compare::{
    CPU_F32, CPU_F64, CPU_PRECISION, GPU, GPU_PRECISION, Tensors, Tolerance, compare,
    compare_precision,
};
use crate::common::laws::{Law, cell_rules, evaluate};
use crate::common::oracle::{Number, Variables, objective, solve};
use crate::common::pairwise::pairwise;
use crate::common::random::Random;
use metaplastic::network::{CoefficientPer, Modulation, RecurrentInput};
use metaplastic::rule::Synapse;
use metaplastic::{Activation, Layer, Loss, Rate};
use num_complex::Complex;

#[test]
fn rules_written_by_hand_compute_what_their_texts_say() {
    let mut random = Random::new(5);
    for rule in rules().into_iter().chain(cell_rules()) {
        for _ in 0..1_000 {
            let [trace, eligibility, presynaptic, postsynaptic, rate, a, b, c] =
                [(); 8].map(|()| random.between(-1.5, 1.5));
            let coefficients = &[a, b, c][..rule.coefficients().len()];
            let synapse = Synapse {
                trace,
                eligibility,
                presynaptic,
                postsynaptic,
                modulator: random.between(-1.5, 1.5),
                rate,
                coefficients,
            };
            let (by_hand, text) = (Law::of(&rule).follow(synapse), evaluate(&rule, synapse));
            let close = |a: f64, b: f64| (a - b).abs() <= 1e-13 * (1.0 + a.abs());
            for (by_hand, text) in by_hand.into_iter().zip(text) {
                let neither = by_hand.is_nan() && text.is_nan();
                assert!(neither || close(by_hand, text), "{rule}: {by_hand} {text}");
            }
        }
    }
}

/// Small cases: every rule, activation and granularity, then stacks; the goals and traces in turn.
fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for rule in rules() {
        for activation in Activation::ALL {
            for plasticity in PLASTICITIES {
                for rate in [
                    Rate::learned(0.3),
                    Rate::learned(1.0).per_neuron(),
                    Rate::fixed(0.02),
                ] {
                    let mut layer = plastic(3, 2);
                    (layer.rule, layer.activation) = (rule.clone(), activation);
                    (layer.plasticity, layer.rate) = (plasticity, rate);
                    cases.push(Case::new([Layer::Plastic(layer)]));
                }
            }
        }
    }
    cases.extend(stacks().into_iter().take(6).map(Case::new));
    vary(&mut cases);
    cases
}

/// The goals, given states and sizes in turn.
fn vary(cases: &mut [Case]) {
    for (index, case) in cases.iter_mut().enumerate() {
        case.goal = Goal::ALL[index % Goal::ALL.len()];
        case.initial_trace = index % 3 != 0;
        case.trace_gradient = index % 5 > 1 || case.goal == Goal::None;
        (case.population, case.batch, case.steps) = (1 + index % 2, 1 + index % 3, 4);
        case.seed = index as u64;
    }
}

/// Layers whose rows step together: every rule with every modulator, bounded and not, and what else there is in turn.
fn cells() -> Vec<Layer> {
    let (network, given) = (Modulation::from_network(), Modulation::from_episodes());
    let modulations = [
        None,
        Some(network),
        Some(network.per_neuron()),
        Some(given),
        Some(given.per_neuron()),
    ];
    let inputs = [
        Some(RecurrentInput::Matrix),
        Some(RecurrentInput::Identity),
        None,
    ];
    let mut layers = Vec::new();
    for rule in rules()
        .into_iter()
        .chain(cell_rules())
        .map(Some)
        .chain([None])
    {
        for modulation in modulations {
            let index = layers.len();
            let rate = Rate::learned(0.3);
            let kind = CellKind {
                rule: rule.clone(),
                plasticity: PLASTICITIES[index % 3],
                rate: [rate, rate.per_neuron(), Rate::fixed(0.2)][index % 3],
                coefficients: (CoefficientPer::ALL[index / 2 % 3], index % 4 > 0),
                modulation,
                bound: [None, Some(0.3), Some(0.05)][index / 2 % 3],
                plastic_bias: index % 2 == 0,
                activation: Activation::ALL[index / 3 % Activation::ALL.len()],
                input: inputs[index % 3],
            };
            layers.push(kind.layer([3, 2][index / 2 % 2], 2));
        }
    }
    layers
}

/// They, alone and in stacks.
fn cell_cases() -> Vec<Case> {
    let mut cases: Vec<_> = cells()
        .into_iter()
        .map(|layer| Case::new([layer]))
        .collect();
    let stacked = cells()
        .into_iter()
        .filter(|layer| layer.inputs() == layer.outputs());
    cases.extend(stacked.map(|layer| Case::new([plastic(3, 2).into(), layer.clone(), layer])));
    vary(&mut cases);
    cases
}

/// The gradient that `solve` should find, with `derivative(variables, change, p)` the derivative of network `p`'s
/// objective by the variable that `change` adds to.
fn by_perturbation<N: Number>(
    case: &Case,
    derivative: impl Fn(&mut Variables<N>, &dyn Fn(&mut Variables<N>, N), usize) -> f64,
) -> Tensors {
    let (network, parameters) = (case.network(), case.parameters());
    let mut variables = Variables::<N>::new(&network, &parameters, &case.episodes());
    let layout = parameters.layout();
    let mut tensors = Tensors::new(case.population);
    for p in 0..case.population {
        for tensor in layout.tensors() {
            for index in tensor.range() {
                let add = |variables: &mut Variables<N>, h| {
                    variables.parameters[p * layout.size() + index] += h;
                };
                let slope = if tensor.learned {
                    derivative(&mut variables, &add, p)
                } else {
                    0.0
                };
                tensors.extend(&format!("gradient.{}", tensor.name()), p, [slope]);
            }
        }
        let (_, batch, steps, inputs) = variables.input.dim();
        for index in ndarray::indices((batch, steps, inputs)) {
            let at = [p, index.0, index.1, index.2];
            let add = |variables: &mut Variables<N>, h| variables.input[at] += h;
            let slope = derivative(&mut variables, &add, p);
            tensors.extend("gradient.input", p, [slope]);
        }
        let given: Vec<_> = variables.given.keys().copied().collect();
        for (layer, dynamic) in given {
            let name = format!("gradient.layer{layer}.{dynamic}");
            let count = variables.given[&(layer, dynamic)].len() / case.population;
            for index in p * count..(p + 1) * count {
                let add = |variables: &mut Variables<N>, h| {
                    let array = variables.given.get_mut(&(layer, dynamic)).expect("given");
                    array.as_slice_mut().expect("in order")[index] += h;
                };
                let slope = derivative(&mut variables, &add, p);
                tensors.extend(&name, p, [slope]);
            }
        }
    }
    tensors
}

/// The gradients alone.
fn gradients(mut tensors: Tensors) -> Tensors {
    tensors
        .parts
        .retain(|name, _| name.starts_with("gradient."));
    tensors
}

fn check_oracle<N: Number>(
    cases: &[Case],
    tolerance: f64,
    derivative: impl Fn(&Case, &mut Variables<N>, &dyn Fn(&mut Variables<N>, N), usize) -> f64,
) {
    let tolerance = Tolerance {
        most: tolerance,
        rate: tolerance,
        cancelled: 0.0,
        // What a difference of two sums leaves of their digits.
        smallest: 1e-3,
    };
    for case in cases {
        let reference = by_perturbation(case, |variables, add, p| {
            derivative(case, variables, add, p)
        });
        let solved = solve(&case.network(), &case.parameters(), &case.episodes());
        if let Err(complaints) = compare(&reference, &gradients(solved), &tolerance) {
            panic!("{case}\n{complaints}");
        }
    }
}

/// `f'(x) = Im f(x + ih) / h`: no difference is taken, so nothing cancels.
#[test]
fn oracle_agrees_with_complex_steps() {
    const H: f64 = 1e-30;
    let cases = [cases(), cell_cases()].concat();
    check_oracle::<Complex<f64>>(&cases, 1e-12, |case, variables, add, p| {
        add(variables, Complex::new(0.0, H));
        let (value, _) = objective(&case.network(), variables, &case.episodes(), p);
        add(variables, Complex::new(0.0, -H));
        value.im / H
    });
}

/// `f'(x) ≈ (f(x + h) − f(x − h)) / 2h`, good to about h² and rounding / h, where no bound is in between.
#[test]
fn oracle_agrees_with_central_differences() {
    const H: f64 = 1e-5;
    check_oracle::<f64>(&cases(), 1e-7, |case, variables, add, p| {
        add(variables, H);
        let (above, _) = objective(&case.network(), variables, &case.episodes(), p);
        add(variables, -2.0 * H);
        let (below, _) = objective(&case.network(), variables, &case.episodes(), p);
        add(variables, H);
        (above - below) / (2.0 * H)
    });
}

/// The trace as the equation has it, worked by hand: one synapse, two steps.
#[test]
fn oracle_agrees_with_a_hand_worked_episode() {
    let mut layer = plastic(1, 1);
    (layer.activation, layer.bias) = (Activation::Linear, false);
    layer.rate = Rate::learned(0.5);
    let case = Case {
        goal: Goal::Target(Loss::SquaredError, MaskKind::All),
        batch: 1,
        steps: 2,
        ..Case::new([Layer::Plastic(layer)])
    };
    let mut parameters = case.parameters();
    // w = 2, α = 3, η = 0.5.
    parameters.values_mut().copy_from_slice(&[2.0, 3.0, 0.5]);
    let mut episodes = case.episodes();
    episodes.input.fill(1.0);
    episodes = episodes.with_target(ndarray::Array4::zeros((1, 1, 2, 1)));
    let tensors = solve(&case.network(), &parameters, &episodes);
    let value = |name: &str| tensors.parts[name][0].clone();
    // y(0) = w = 2; H(1) = η y(0) = 1; y(1) = w + α H(1) = 5; H(2) = (1 − η) H(1) + η y(1) = 3.
    assert_eq!(value("output"), [2.0, 5.0]);
    assert_eq!(value("layer0.trace"), [3.0]);
    assert_eq!(value("loss"), [29.0]);
    // L = w² + (w + α η w)²: ∂L/∂w = 2w + 2·5·(1 + α η) = 29, ∂L/∂α = 2·5·η w = 10, ∂L/∂η = 2·5·α w = 60.
    assert_eq!(value("gradient.layer0.weight"), [29.0]);
    assert_eq!(value("gradient.layer0.plasticity"), [10.0]);
    assert_eq!(value("gradient.layer0.rate"), [60.0]);
}

const TOLERANCES: [Tolerance; 3] = [CPU_F64, CPU_F32, GPU];

fn example() -> Tensors {
    let case = Case {
        population: 2,
        initial_trace: true,
        trace_gradient: true,
        goal: Goal::Target(Loss::SquaredError, MaskKind::Steps),
        ..Case::new(stacks()[1].clone())
    };
    solve(&case.network(), &case.parameters(), &case.episodes())
}

/// Damages a copy of the example in every tensor and network in turn; the comparison must refuse each.
fn must_be_refused(damage: impl Fn(&mut Vec<f64>)) {
    let good = example();
    for tolerance in &TOLERANCES {
        compare(&good, &good, tolerance).expect("equal results agree");
        for name in good.parts.keys() {
            for p in 0..2 {
                let mut bad = good.clone();
                damage(&mut bad.parts.get_mut(name).expect("it is there")[p]);
                let complaints = compare(&good, &bad, tolerance).expect_err(name);
                assert!(complaints.contains(name), "{complaints}");
            }
        }
    }
}

#[test]
fn comparison_refuses_one_wrong_element() {
    must_be_refused(|values| {
        let size = values.iter().map(|value| value * value).sum::<f64>().sqrt();
        let middle = values.len() / 2;
        values[middle] += 2e-3 * size.max(1.0);
    });
}

#[test]
fn comparison_refuses_a_nan() {
    must_be_refused(|values| *values.last_mut().expect("not empty") = f64::NAN);
}

#[test]
fn comparison_refuses_an_infinite_value() {
    must_be_refused(|values| values[0] = f64::INFINITY);
}

#[test]
fn comparison_refuses_a_short_result() {
    must_be_refused(|values| {
        values.pop();
    });
}

#[test]
fn comparison_refuses_a_long_result() {
    must_be_refused(|values| values.push(0.0));
}

#[test]
fn comparison_refuses_a_wrong_sign() {
    must_be_refused(|values| values.iter_mut().for_each(|value| *value = -*value));
}

#[test]
fn comparison_refuses_zeros() {
    must_be_refused(|values| values.fill(0.0));
}

#[test]
fn comparison_refuses_missing_unexpected_and_unpopulated_tensors() {
    let good = example();
    for tolerance in &TOLERANCES {
        for name in good.parts.keys() {
            let mut bad = good.clone();
            bad.parts.remove(name);
            let complaints = compare(&good, &bad, tolerance).expect_err(name);
            assert!(complaints.contains("missing"), "{complaints}");
            let complaints = compare(&bad, &good, tolerance).expect_err(name);
            assert!(complaints.contains("not expected"), "{complaints}");
            let mut bad = good.clone();
            bad.parts.get_mut(name).expect("it is there").pop();
            let complaints = compare(&good, &bad, tolerance).expect_err(name);
            assert!(complaints.contains("networks"), "{complaints}");
        }
    }
}

/// Errors too large, one that is no number, or fewer of them are refused.
#[test]
fn comparison_of_precision_refuses_errors_too_large_and_too_few() {
    let yardstick: Vec<f64> = (1..=200).map(|k| f64::from(k * k) * 1e-9).collect();
    for times in [CPU_PRECISION, GPU_PRECISION] {
        let compare = |errors: &[f64]| compare_precision(&yardstick, errors, times);
        let scaled = |factor: f64| -> Vec<f64> { yardstick.iter().map(|e| e * factor).collect() };
        compare(&scaled(0.99 * times)).expect("about as precise");
        compare(&scaled(1.01 * times)).expect_err("too large");
        let with = |range: std::ops::Range<usize>, to: f64| {
            let mut errors = yardstick.clone();
            errors[range].fill(to);
            errors
        };
        compare(&with(0..150, 4e-5)).expect_err("the small ones too large");
        compare(&with(185..200, 1e-3)).expect_err("the large ones too large");
        for no_number in [f64::NAN, f64::INFINITY] {
            compare(&with(7..8, no_number)).expect_err("no number");
        }
        compare(&yardstick[1..]).expect_err("cut short");
        compare_precision(&[], &[], times).expect_err("nothing");
    }
}

/// A reference of zeros asks for zeros, to within the floor; a NaN in the reference is refused too.
#[test]
fn comparison_takes_zeros_for_zeros_and_no_nan_as_a_reference() {
    for tolerance in &TOLERANCES {
        let tensors = |value: f64| {
            let mut tensors = Tensors::new(1);
            tensors.extend("gradient.layer0.weight", 0, [value, 0.0]);
            tensors
        };
        compare(&tensors(0.0), &tensors(0.0), tolerance).expect("zeros agree");
        let allowed = tolerance.smallest * tolerance.most;
        compare(&tensors(0.0), &tensors(0.9 * allowed), tolerance).expect("within the floor");
        compare(&tensors(0.0), &tensors(1.1 * allowed), tolerance).expect_err("beyond it");
        compare(&tensors(f64::NAN), &tensors(f64::NAN), tolerance).expect_err("no reference");
    }
}

#[test]
fn pairwise_rows_contain_every_pair() {
    let sizes = [2, 4, 3, 2, 2, 5, 6];
    let rows = pairwise(&sizes);
    for a in 0..sizes.len() {
        for b in a + 1..sizes.len() {
            for (x, y) in (0..sizes[a]).flat_map(|x| (0..sizes[b]).map(move |y| (x, y))) {
                assert!(rows.iter().any(|row| row[a] == x && row[b] == y));
            }
        }
    }
    assert!(rows.len() < 50, "{} rows", rows.len());
}
