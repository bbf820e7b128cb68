//! Recurrent, bounded and modulated layers, and rules that no row of synapses follows by itself: the CPU engine against
//! derivatives by complex steps of the equations, written out in another form than the engine's.

use crate::common::compare::{CPU_F32, Tensors, Tolerance, compare};
use crate::common::random::Random;
use crate::common::threads::pool;
use metaplastic::engine::Gradients;
use metaplastic::episodes::{Objective, Upstream};
use metaplastic::network::{
    Coefficient, CoefficientPer, Modulation, ModulatorFrom, Plasticity, RatePer, RecurrentInput,
};
use metaplastic::number::Real;
use metaplastic::{
    Activation, Dense, Dynamic, Dynamics, Engine, Episodes, Error, Extent, Layer, Loss, Network,
    Optimiser, Parameters, Plastic, Rate, Recurrent, Rule, Want,
};
use ndarray::{ArrayD, Axis, IxDyn, Slice};
use num_complex::Complex64;
use std::collections::BTreeMap;

/// What a synapse has at a step: `h`, `e`, `x`, `y`, `m`, the rate, and coefficients `a` and `c`.
type Synapse = [Complex64; 8];

/// A rule as a text, and written out by hand: the new trace and the new eligibility trace.
struct Law {
    rule: fn() -> Rule,
    follow: fn(Synapse) -> [Complex64; 2],
}

const LAWS: [Law; 7] = [
    Law {
        rule: Rule::hebb,
        follow: |[h, e, x, y, m, eta, ..]| [(1.0 - eta) * h + eta * m * y * x, e],
    },
    Law {
        rule: Rule::oja,
        follow: |[h, e, x, y, m, eta, ..]| [h + eta * m * y * (x - y * h), e],
    },
    Law {
        rule: Rule::additive,
        follow: |[h, e, x, y, m, eta, ..]| [h + eta * m * y * x, e],
    },
    Law {
        rule: Rule::retroactive,
        follow: |[h, e, x, y, m, eta, ..]| [h + m * e, (1.0 - eta) * e + eta * y * x],
    },
    Law {
        rule: || {
            let trace = "a * h + rate * m * y * x - c * h * x^2";
            let eligibility = "0.5 * e + rate * y * tanh(x) + 0.1 * h";
            Rule::parse_with(trace, Some(eligibility), &["a", "c"]).expect("a rule")
        },
        follow: |[h, e, x, y, m, eta, a, c]| {
            let trace = a * h + eta * m * y * x - c * h * x * x;
            [trace, 0.5 * e + eta * y * x.tanh() + 0.1 * h]
        },
    },
    Law {
        rule: || {
            let trace = "0.9 * h + m * e * a + rate * tanh(x * y)";
            Rule::parse_with(trace, Some("(1 - rate) * e + c * y * x"), &["a", "c"])
                .expect("a rule")
        },
        follow: |[h, e, x, y, m, eta, a, c]| {
            let trace = 0.9 * h + m * e * a + eta * (x * y).tanh();
            [trace, (1.0 - eta) * e + c * y * x]
        },
    },
    Law {
        rule: || {
            let trace = "h / (1 + y^2) + rate * m * exp(-x^2) * y - max(h, 0) * a";
            Rule::parse_with(trace, None, &["a"]).expect("a rule")
        },
        follow: |[h, e, x, y, m, eta, a, _]| {
            let above = if h.re > 0.0 {
                h
            } else {
                Complex64::new(0.0, 0.0)
            };
            let trace = h / (1.0 + y * y) + eta * m * (-(x * x)).exp() * y - above * a;
            [trace, e]
        },
    },
];

fn law(rule: &Rule) -> &'static Law {
    let mut laws = LAWS.iter();
    laws.find(|law| (law.rule)() == *rule)
        .expect("a rule of these tests")
}

/// Parameters and what episodes are given, by the names of files, each `[P, …]`.
type Values = BTreeMap<String, ArrayD<Complex64>>;

/// Element `at` of one network's tensor of a layer; where the tensor has fewer axes, what all connections or neurons share.
fn of(values: &Values, name: &str, p: usize, at: &[usize]) -> Complex64 {
    let tensor = &values[name];
    let index: Vec<_> = std::iter::once(p)
        .chain(at.iter().copied())
        .take(tensor.ndim())
        .collect();
    tensor[IxDyn(&index)]
}

/// What an episode gives: the output `[T][O]`, and by name what layers have after the last step.
struct Response {
    output: Vec<Vec<Complex64>>,
    finals: BTreeMap<String, Vec<Complex64>>,
}

/// One episode `b` of network `p`, equation by equation.
fn respond(network: &Network, values: &Values, [p, b, steps]: [usize; 3]) -> Response {
    let zero = Complex64::new(0.0, 0.0);
    let mut finals = BTreeMap::new();
    let mut x: Vec<Vec<Complex64>> = (0..steps)
        .map(|t| {
            (0..network.inputs())
                .map(|j| of(values, "input", p, &[b, t, j]))
                .collect()
        })
        .collect();
    for (index, layer) in network.layers().iter().enumerate() {
        let name = |of: &str| format!("layer{index}.{of}");
        let has = |name: &str| values.contains_key(name);
        let (outputs, inputs) = (layer.outputs(), layer.inputs());
        let plastic = layer.as_plastic();
        let recurrent = layer.as_recurrent();
        let columns = plastic.map_or(inputs, Plastic::presynaptic);
        let given = |of_layer: &str, i: usize, j: usize| match has(&name(of_layer)) {
            true => of(values, &name(of_layer), p, &[b, i, j]),
            false => zero,
        };
        let state = |of_layer: &str| -> Vec<Vec<Complex64>> {
            (0..outputs)
                .map(|i| (0..columns).map(|j| given(of_layer, i, j)).collect())
                .collect()
        };
        let traced = plastic.filter(|it| it.plasticity != Plasticity::None);
        let (mut h, mut e) = (state("trace"), state("eligibility"));
        let mut y: Vec<_> = (0..outputs).map(|i| given("activity", i, 0)).collect();
        let (mut all, mut modulators) = (Vec::new(), Vec::new());
        for (t, u) in x.iter().enumerate() {
            let mut pre = match recurrent {
                Some(_) => y.clone(),
                None => u.clone(),
            };
            pre.resize(columns, Complex64::new(1.0, 0.0));
            y = (0..outputs)
                .map(|i| {
                    let mut z = match has(&name("bias")) {
                        true => of(values, &name("bias"), p, &[i]),
                        false => zero,
                    };
                    for j in 0..columns {
                        let mut weight = of(values, &name("weight"), p, &[i, j]);
                        if traced.is_some() {
                            weight += of(values, &name("plasticity"), p, &[i, j]) * h[i][j];
                        }
                        z += weight * pre[j];
                    }
                    match recurrent.map(|layer| layer.input) {
                        Some(RecurrentInput::Identity) => z += u[i],
                        Some(_) => {
                            for (k, &u) in u.iter().enumerate() {
                                z += of(values, &name("input_weight"), p, &[i, k]) * u;
                            }
                        }
                        None => {}
                    }
                    match layer.activation() {
                        Activation::Linear => z,
                        Activation::Tanh => z.tanh(),
                        Activation::Logistic => 1.0 / (1.0 + (-z).exp()),
                        Activation::Relu if z.re > 0.0 => z,
                        _ => zero,
                    }
                })
                .collect();
            all.push(y.clone());
            let Some(plastic) = traced else { continue };
            let mut m = vec![Complex64::new(1.0, 0.0); outputs];
            match plastic.modulation {
                Some(modulation) if modulation.from == ModulatorFrom::Network => {
                    let mut sum = of(values, &name("modulator_bias"), p, &[]);
                    for (i, &y) in y.iter().enumerate() {
                        sum += of(values, &name("modulator_weight"), p, &[i]) * y;
                    }
                    let mu = sum.tanh();
                    modulators.push(mu);
                    for (i, m) in m.iter_mut().enumerate() {
                        *m = match modulation.per {
                            RatePer::Neuron => {
                                of(values, &name("fan_out_weight"), p, &[i]) * mu
                                    + of(values, &name("fan_out_bias"), p, &[i])
                            }
                            _ => mu,
                        };
                    }
                }
                Some(_) => {
                    for (i, m) in m.iter_mut().enumerate() {
                        *m = of(values, &name("modulator"), p, &[b, t, i]);
                    }
                }
                None => {}
            }
            let law = law(&plastic.rule);
            for i in 0..outputs {
                let eta = of(values, &name("rate"), p, &[i]);
                for j in 0..columns {
                    let coefficient = |of_rule: &str| match plastic
                        .coefficients
                        .contains_key(of_rule)
                    {
                        true => of(values, &name(&format!("coefficient.{of_rule}")), p, &[i, j]),
                        false => zero,
                    };
                    let [a, c] = ["a", "c"].map(coefficient);
                    let synapse = [h[i][j], e[i][j], pre[j], y[i], m[i], eta, a, c];
                    [h[i][j], e[i][j]] = (law.follow)(synapse);
                    if let Some(bound) = plastic.bound
                        && h[i][j].re.abs() > bound
                    {
                        h[i][j] = Complex64::new(bound.copysign(h[i][j].re), 0.0);
                    }
                }
            }
        }
        if let Some(plastic) = traced {
            finals.insert(name("trace"), h.concat());
            if plastic.rule.eligibility().is_some() {
                finals.insert(name("eligibility"), e.concat());
            }
            if !modulators.is_empty() {
                finals.insert(name("modulator"), modulators);
            }
        }
        if recurrent.is_some() {
            finals.insert(name("activity"), y);
        }
        x = all;
    }
    Response { output: x, finals }
}

/// A population with episodes, and what is differentiated.
struct Trial {
    network: Network,
    parameters: Parameters<f64>,
    episodes: Episodes<'static, f64>,
}

impl Trial {
    /// Random parameters and episodes, `[P, B, T]` of them, of numbers that `f32` has; about half of all that may be given is.
    fn new(
        layers: Vec<Layer>,
        [population, batch, steps]: [usize; 3],
        random: &mut Random,
    ) -> Self {
        let network = Network::new(Loss::None, layers).expect("a network");
        let mut parameters = Parameters::new(&network, population).expect("parameters");
        for tensor in parameters.layout().tensors().to_vec() {
            let layer = &network.layers()[tensor.layer];
            let columns = layer
                .as_plastic()
                .map_or(layer.inputs(), Plastic::presynaptic);
            let around = match tensor.role.name() {
                "rate" => 0.15,
                "coefficient" => 0.3,
                "fan_out_weight" => 0.7,
                _ => 0.0,
            };
            let scale = match tensor.role.name() {
                "weight" | "input_weight" => 1.5 / (columns as f64).sqrt(),
                "plasticity" if tensor.len > 1 => 0.8 / (columns as f64).sqrt(),
                "plasticity" => 0.8 / columns as f64,
                "rate" => 0.05,
                _ => 0.4,
            };
            let mut view = parameters.tensor_mut(&tensor);
            view.mapv_inplace(|_| random.between(around - scale, around + scale));
        }
        let mut array = |shape: &[usize], scale: f64| {
            ArrayD::from_shape_simple_fn(shape, || random.between(-scale, scale))
        };
        let sizes = [population, batch];
        let input = array(&[&sizes[..], &[steps, network.inputs()]].concat(), 0.8);
        let output = array(&[&sizes[..], &[steps, network.outputs()]].concat(), 1.0);
        let rows = |array: ArrayD<f64>| array.into_dimensionality::<ndarray::Ix4>().expect("rows");
        let mut episodes = Episodes::new(rows(input)).with_output_gradient(rows(output));
        for (index, layer) in network.layers().iter().enumerate() {
            let Some(plastic) = layer.as_plastic() else {
                continue;
            };
            let has_trace = plastic.plasticity != Plasticity::None;
            let of_synapses = vec![plastic.outputs, plastic.presynaptic()];
            let states = [
                (Dynamic::Trace, has_trace, of_synapses.clone()),
                (
                    Dynamic::Eligibility,
                    has_trace && plastic.rule.eligibility().is_some(),
                    of_synapses,
                ),
                (
                    Dynamic::Activity,
                    layer.as_recurrent().is_some(),
                    vec![plastic.outputs],
                ),
            ];
            for (k, (state, is_there, shape)) in states.into_iter().enumerate() {
                let shape = [&sizes[..], &shape].concat();
                if is_there && (index + k + batch) % 2 == 0 {
                    episodes = episodes.with_given(index, state, array(&shape, 0.3));
                }
                if is_there && (index + k + steps) % 3 != 0 {
                    episodes = episodes.with_final_gradient(index, state, array(&shape, 0.5));
                }
            }
            if let Some(modulation) = plastic.modulation
                && modulation.from == ModulatorFrom::Episodes
            {
                let mut shape = vec![population, batch, steps];
                if modulation.per == RatePer::Neuron {
                    shape.push(plastic.outputs);
                }
                episodes = episodes.with_given(index, Dynamic::Modulator, array(&shape, 1.0));
            }
        }
        Self {
            network,
            parameters,
            episodes,
        }
    }

    fn sizes(&self) -> [usize; 3] {
        let population = self.parameters.population();
        [population, self.episodes.batch(), self.episodes.steps()]
    }

    fn gradients<R: Real>(&self) -> Gradients<R> {
        let (parameters, episodes) = (self.parameters.cast::<R>(), self.episodes.cast::<R>());
        Engine::cpu()
            .gradient(&self.network, &parameters, &episodes, Want::ALL)
            .expect("gradients")
    }

    /// Everything that the quantity depends on.
    fn values(&self) -> Values {
        let complex = |&value: &f64| Complex64::new(value, 0.0);
        let parameters = self.parameters.layout().tensors().iter();
        let parameters =
            parameters.map(|tensor| (tensor.name(), self.parameters.tensor(tensor).map(complex)));
        let given = self.episodes.given.iter();
        let given = given
            .map(|(layer, dynamic, array)| (format!("layer{layer}.{dynamic}"), array.map(complex)));
        let mut values: Values = parameters.chain(given).collect();
        let input = self.episodes.input.map(complex).into_dyn();
        values.insert("input".to_owned(), input);
        values
    }

    /// The quantity that is differentiated, of network `p`.
    fn quantity(&self, values: &Values, p: usize) -> Complex64 {
        let Objective::OutputGradient(by_output) = &self.episodes.objective else {
            unreachable!("trials have a gradient on the output")
        };
        let [_, batch, steps] = self.sizes();
        let mut sum = Complex64::new(0.0, 0.0);
        for b in 0..batch {
            let response = respond(&self.network, values, [p, b, steps]);
            for (t, output) in response.output.iter().enumerate() {
                for (o, y) in output.iter().enumerate() {
                    sum += by_output[[p, b, t, o]] * y;
                }
            }
            for (layer, state, gradient) in self.episodes.final_gradients.iter() {
                let gradient = gradient.index_axis(Axis(0), p).index_axis_move(Axis(0), b);
                let finals = &response.finals[&format!("layer{layer}.{state}")];
                for (g, value) in gradient.iter().zip(finals) {
                    sum += *g * value;
                }
            }
        }
        sum
    }

    /// Of every tensor, up to `most` elements, the derivatives by complex steps beside those of the engine.
    fn derivatives(&self, most: usize, random: &mut Random) -> [Tensors; 2] {
        let gradients = self.gradients::<f64>();
        let computed = Tensors::from_gradients(&gradients);
        let [population, batch, steps] = self.sizes();
        let (mut expected, mut actual) = (Tensors::new(population), Tensors::new(population));
        let values = self.values();
        for p in 0..population {
            for b in 0..batch {
                let response = respond(&self.network, &values, [p, b, steps]);
                let output = response.output.concat();
                expected.extend("output", p, output.iter().map(|value| value.re));
                for (name, finals) in response.finals {
                    expected.extend(&name, p, finals.iter().map(|value| value.re));
                }
            }
        }
        let results: Vec<_> = expected.parts.keys().cloned().collect();
        for name in results {
            for p in 0..population {
                actual.extend(&name, p, computed.parts[&name][p].iter().copied());
            }
        }
        let learned = self.parameters.layout().tensors().iter();
        let fixed: Vec<_> = learned
            .filter(|it| !it.learned)
            .map(|it| it.name())
            .collect();
        for (name, tensor) in &values {
            let of_network = tensor.len() / population;
            for p in 0..population {
                let name_of_gradient = format!("gradient.{name}");
                let found = &computed.parts[&name_of_gradient][p];
                if fixed.contains(name) {
                    assert!(found.iter().all(|value| *value == 0.0), "{name}");
                    continue;
                }
                for _ in 0..most.min(of_network) {
                    let at = random.below(of_network);
                    let mut stepped = values.clone();
                    let of_all = stepped.get_mut(name).expect("it is there");
                    let all = of_all.as_slice_mut().expect("in standard layout");
                    all[p * of_network + at].im = 1e-30;
                    let derivative = self.quantity(&stepped, p).im / 1e-30;
                    expected.extend(&name_of_gradient, p, [derivative]);
                    actual.extend(&name_of_gradient, p, [found[at]]);
                }
            }
        }
        [expected, actual]
    }
}

/// A layer of any kind.
fn any_layer(inputs: usize, outputs: usize, random: &mut Random) -> Layer {
    let is_recurrent = !random.one_in(3);
    let identity = is_recurrent && random.one_in(2);
    let outputs = if identity { inputs } else { outputs };
    let per = |random: &mut Random| random.pick(&[RatePer::Layer, RatePer::Neuron]);
    let mut rate = Rate::fixed(0.1);
    (rate.per, rate.learned) = (per(random), !random.one_in(4));
    let law = &LAWS[random.below(LAWS.len())];
    let rule = (law.rule)();
    let mut plastic = Plastic::new(inputs, outputs, rate)
        .activation(random.pick(&[
            Activation::Tanh,
            Activation::Tanh,
            Activation::Logistic,
            Activation::Linear,
        ]))
        .rule(rule.clone());
    for name in rule.coefficients() {
        let per = random.pick(&CoefficientPer::ALL);
        plastic = plastic.coefficient(name, Coefficient::learned(0.3).per(per));
    }
    if random.one_in(2) {
        plastic = plastic.plastic_bias();
    }
    if random.one_in(3) {
        plastic = plastic.bound(random.pick(&[0.1, 0.5]));
    }
    if !random.one_in(3) {
        let from = random.pick(&[Modulation::from_network(), Modulation::from_episodes()]);
        plastic = plastic.modulation(match per(random) {
            RatePer::Neuron => from.per_neuron(),
            _ => from,
        });
    }
    if random.one_in(3) {
        plastic = plastic.without_bias();
    }
    let plasticity = random.pick(&Plasticity::ALL);
    if is_recurrent || plasticity != Plasticity::None {
        plastic = plastic.plasticity(plasticity);
    }
    if !is_recurrent {
        return plastic.into();
    }
    let mut recurrent = Recurrent::new(inputs, outputs, Rate::fixed(0.1));
    recurrent.synapses = plastic;
    recurrent.synapses.inputs = outputs;
    match identity {
        true => recurrent.identity_input().into(),
        false => recurrent.into(),
    }
}

/// One layer of any kind, or two, or one and a dense one.
fn any_stack(random: &mut Random, [inputs, outputs]: [usize; 2]) -> Vec<Layer> {
    let first = any_layer(inputs, outputs, random);
    let between = first.outputs();
    match random.below(3) {
        0 => vec![first],
        1 => vec![
            first,
            Dense::new(between, 2).activation(Activation::Tanh).into(),
        ],
        _ => vec![first, any_layer(between, 3, random)],
    }
}

/// The engine in `f64`: rounding, and no more.
const EXACT: Tolerance = Tolerance {
    most: 1e-10,
    rate: 1e-10,
    cancelled: 0.0,
    smallest: 1e-4,
};

#[test]
fn every_kind_of_layer_has_the_derivatives_of_its_equations() {
    let random = &mut Random::new(14);
    for number in 0..160 {
        let sizes = [random.pick(&[1, 2, 3, 5]), random.pick(&[1, 2, 7, 17])];
        let layers = any_stack(random, sizes);
        let batch = random.pick(&[1, 2, 3, 20, 35]);
        let steps = random.pick(&[1, 2, 3, 9]);
        let trial = Trial::new(layers, [random.pick(&[1, 2]), batch, steps], random);
        let [expected, actual] = trial.derivatives(4, random);
        if let Err(complaints) = compare(&expected, &actual, &EXACT) {
            panic!("trial {number}\n{}\n{complaints}", trial.network.to_toml());
        }
    }
}

#[test]
fn states_are_kept_and_replayed_over_any_number_of_steps() {
    let random = &mut Random::new(15);
    for steps in [15, 16, 17, 32, 33, 49, 290] {
        for batch in [1, 33] {
            let layer = Recurrent::new(2, 3, Rate::learned(0.1))
                .activation(Activation::Tanh)
                .rule(Rule::retroactive())
                .bound(0.4)
                .modulation(Modulation::from_network());
            let trial = Trial::new(vec![layer.into()], [1, batch, steps], random);
            let [expected, actual] = trial.derivatives(1, random);
            let result = compare(&expected, &actual, &EXACT);
            assert!(result.is_ok(), "{steps} steps, {batch}: {result:?}");
        }
    }
}

/// Another law is another derivative: a comparison that takes it for the same would take anything.
#[test]
fn another_rule_is_told_apart() {
    let random = &mut Random::new(16);
    let layer = |rule| Recurrent::new(2, 4, Rate::learned(0.1)).rule(rule);
    let trial = Trial::new(vec![layer(Rule::hebb()).into()], [1, 2, 4], random);
    let [expected, _] = trial.derivatives(4, &mut Random::new(1));
    let other = Trial {
        network: Network::new(Loss::None, [layer(Rule::oja())]).unwrap(),
        parameters: {
            let network = Network::new(Loss::None, [layer(Rule::oja())]).unwrap();
            let mut parameters = Parameters::new(&network, 1).unwrap();
            parameters
                .values_mut()
                .copy_from_slice(trial.parameters.values());
            parameters
        },
        episodes: trial.episodes.clone(),
    };
    let [_, actual] = other.derivatives(4, &mut Random::new(1));
    compare(&expected, &actual, &EXACT).unwrap_err();
}

#[test]
fn single_precision_agrees_with_double_at_every_size() {
    let random = &mut Random::new(17);
    for (number, neurons) in [1, 7, 8, 9, 15, 16, 17, 31, 32, 33, 100, 130, 150]
        .into_iter()
        .enumerate()
    {
        for batch in [1, 3, 40] {
            let mut layer = Recurrent::new(3, neurons, Rate::learned(0.1))
                .activation(Activation::Tanh)
                .rule((LAWS[number % LAWS.len()].rule)());
            for name in layer.synapses.rule.coefficients().to_vec() {
                layer = layer.coefficient(name, Coefficient::learned(0.3));
            }
            if number % 2 == 0 {
                layer = layer
                    .plastic_bias()
                    .modulation(Modulation::from_network().per_neuron());
            }
            let steps = if neurons > 50 { 12 } else { 40 };
            let mut trial = Trial::new(vec![layer.into()], [1, batch, steps], random);
            // Far from chaos, where no precision has an answer.
            trial
                .parameters
                .values_mut()
                .iter_mut()
                .for_each(|value| *value *= 0.5);
            let exact = Tensors::from_gradients(&trial.gradients::<f64>());
            let single = Tensors::from_gradients(&trial.gradients::<f32>());
            if let Err(complaints) = compare(&exact, &single, &CPU_F32) {
                panic!("{neurons} neurons, {batch} episodes\n{complaints}");
            }
        }
    }
}

#[test]
fn threads_and_other_networks_change_no_bit() {
    let random = &mut Random::new(18);
    for (neurons, population, batch) in [(300, 1, 1), (20, 3, 5), (6, 2, 70)] {
        let layer = Recurrent::new(4, neurons, Rate::learned(0.1))
            .activation(Activation::Tanh)
            .modulation(Modulation::from_network());
        let layers = vec![layer.into(), Dense::new(neurons, 2).into()];
        let trial = Trial::new(layers, [population, batch, 20], random);
        let [one, four] = [1, 4].map(|threads| pool(threads).install(|| trial.gradients::<f32>()));
        assert!(one == four, "{neurons} neurons");
        let alone = |p: usize| {
            let mut episodes = Episodes::new(part(&trial.episodes.input, p));
            let Objective::OutputGradient(gradient) = &trial.episodes.objective else {
                unreachable!("trials have a gradient on the output")
            };
            episodes = episodes.with_output_gradient(part(gradient, p));
            for (layer, dynamic, array) in trial.episodes.given.iter() {
                episodes = episodes.with_given(layer, dynamic, part(&array, p));
            }
            for (layer, dynamic, array) in trial.episodes.final_gradients.iter() {
                episodes = episodes.with_final_gradient(layer, dynamic, part(&array, p));
            }
            let trial = Trial {
                network: trial.network.clone(),
                parameters: trial.parameters.slice(p..p + 1),
                episodes,
            };
            trial.gradients::<f32>()
        };
        for p in 0..population {
            let gradients = alone(p);
            assert!(gradients.parameters.network(0) == one.parameters.network(p));
            assert!(gradients.input.unwrap() == part(one.input.as_ref().unwrap(), p));
        }
    }
}

/// That of one network.
fn part<D: ndarray::Dimension + ndarray::RemoveAxis, R: Copy>(
    array: &ndarray::ArrayRef<R, D>,
    p: usize,
) -> ndarray::Array<R, D> {
    array.slice_axis(Axis(0), Slice::from(p..p + 1)).to_owned()
}

#[test]
fn sessions_give_the_bits_of_the_whole_and_go_on() {
    let random = &mut Random::new(19);
    for (neurons, batch) in [(5, 40), (20, 3)] {
        let layer = Recurrent::new(4, neurons, Rate::learned(0.1))
            .activation(Activation::Tanh)
            .rule(Rule::retroactive())
            .modulation(Modulation::from_episodes());
        let layers = vec![layer.into(), Dense::new(neurons, 2).into()];
        let steps = 20;
        let mut trial = Trial::new(layers, [2, batch, steps], random);
        let modulators = trial
            .episodes
            .given
            .get(0, Dynamic::Modulator)
            .unwrap()
            .to_owned();
        trial.episodes.given = Dynamics::new().with(0, Dynamic::Modulator, modulators.clone());
        trial.episodes.final_gradients = Dynamics::new();
        let whole = trial.gradients::<f64>();
        let output = whole.outcome.output.as_ref().unwrap();
        let extent = Extent::new(batch, steps).want(Want::ALL);
        let open = |extent| Engine::cpu().session(&trial.network, &trial.parameters, extent);
        let Objective::OutputGradient(gradient) = &trial.episodes.objective else {
            unreachable!("trials have a gradient on the output")
        };
        let upstream = || Upstream::output_gradient(gradient.to_owned());
        let mut session = open(extent).unwrap();
        let outcome = session.forward(&trial.episodes).unwrap();
        assert!(outcome.output == whole.outcome.output && outcome.finals == whole.outcome.finals);
        let gradients = session.backward(upstream()).unwrap();
        assert!(gradients.parameters == whole.parameters && gradients.given == whole.given);
        // One step at a time.
        let at = |t: usize| {
            let modulator = modulators.slice_axis(Axis(2), Slice::from(t..t + 1));
            let modulator = Dynamics::new().with(0, Dynamic::Modulator, modulator.to_owned());
            (
                trial.episodes.input.index_axis(Axis(2), t).to_owned(),
                modulator,
            )
        };
        let mut session = open(extent.step_by_step()).unwrap();
        for _ in 0..2 {
            session.begin();
            for t in 0..steps {
                let (input, modulator) = at(t);
                let step = session.modulated_step(&input, &modulator).unwrap();
                assert!(step == output.index_axis(Axis(2), t), "step {t}");
            }
            assert!(session.states().unwrap() == whole.outcome.finals);
            let gradients = session.backward(upstream()).unwrap();
            assert!(gradients.parameters == whole.parameters && gradients.given == whole.given);
        }
        // A modulator is needed at every step.
        session.begin();
        let error = session.step(&at(0).0).unwrap_err();
        assert!(matches!(error, Error::MissingTensor { .. }), "{error}");
        // The second half from the states after the first.
        for t in 0..steps / 2 {
            let (input, modulator) = at(t);
            session.modulated_step(&input, &modulator).unwrap();
        }
        let states = session.states().unwrap();
        let mut rest = open(extent.step_by_step().with_initial_states()).unwrap();
        rest.begin_from(&states).unwrap();
        for t in steps / 2..steps {
            let (input, modulator) = at(t);
            let step = rest.modulated_step(&input, &modulator).unwrap();
            let apart = (&step - &output.index_axis(Axis(2), t)).mapv(f64::abs);
            assert!(apart.iter().all(|&it| it < 1e-12), "step {t}");
        }
    }
}

#[test]
fn learners_take_the_gradients_of_recurrent_layers() {
    let random = &mut Random::new(20);
    for (neurons, batch) in [(6, 1), (20, 3), (4, 33)] {
        let layer = Recurrent::new(3, neurons, Rate::learned(0.1)).activation(Activation::Tanh);
        let layers = vec![layer.into(), Dense::new(neurons, 2).into()];
        let trial = Trial::new(layers, [3, batch, 8], random);
        let network = Network::new(Loss::SquaredError, trial.network.layers().to_vec()).unwrap();
        let mut parameters = Parameters::<f32>::new(&network, 3).unwrap();
        let values = trial.parameters.cast::<f32>();
        parameters.values_mut().copy_from_slice(values.values());
        let Objective::OutputGradient(target) = &trial.episodes.objective else {
            unreachable!("trials have a gradient on the output")
        };
        let episodes = Episodes::new(trial.episodes.input.clone()).with_target(target.to_owned());
        let episodes = episodes.cast::<f32>();
        let engine = Engine::cpu();
        let open = || {
            engine
                .learner(&network, &parameters, &[Optimiser::adam(0.01)])
                .unwrap()
        };
        let (mut stepped, mut applied) = (open(), open());
        let mut losses = Vec::new();
        for _ in 0..20 {
            let before = applied.parameters().unwrap();
            let gradients = engine
                .gradient(&network, &before, &episodes, Want::NOTHING)
                .unwrap();
            applied.apply(&gradients.parameters).unwrap();
            losses.push(stepped.step(&episodes).unwrap());
            assert!(stepped.parameters().unwrap() == applied.parameters().unwrap());
        }
        assert!((0..3).all(|p| losses[19][p] < losses[0][p]), "{losses:?}");
    }
}

#[test]
fn descriptions_that_contradict_themselves_are_refused_by_name() {
    let recurrent = "[[layer]]\nkind = \"recurrent\"\ninputs = 3\noutputs = 3\n";
    for (text, part) in [
        (
            "input = \"identity\"\n".to_owned()
                + &recurrent[10..].replace("inputs = 3", "inputs = 4"),
            "identity",
        ),
        (
            "plasticity = \"none\"\nrule = \"hebb\"\n".to_owned() + &recurrent[10..],
            "rule",
        ),
        (
            "plasticity = \"none\"\nrate = { value = 0.1 }\n".to_owned() + &recurrent[10..],
            "rate",
        ),
        (
            "plasticity = \"none\"\nplastic_bias = true\n".to_owned() + &recurrent[10..],
            "plastic_bias",
        ),
        (
            "plasticity = \"none\"\nbound = 1.0\n".to_owned() + &recurrent[10..],
            "bound",
        ),
        (
            "coefficients = { q = { value = 0.1 } }\n".to_owned() + &recurrent[10..],
            "q",
        ),
        (
            "rule = { trace = \"h + q * x\" }\n".to_owned() + &recurrent[10..],
            "column 5",
        ),
        (
            "rule = { trace = \"h + e\" }\n".to_owned() + &recurrent[10..],
            "column 5",
        ),
        (
            "bound = 0.0\n".to_owned() + &recurrent[10..],
            "layer0.bound",
        ),
        (
            "bound = inf\n".to_owned() + &recurrent[10..],
            "layer0.bound",
        ),
        (
            "modulation = { from = \"outside\" }\n".to_owned() + &recurrent[10..],
            "outside",
        ),
        (
            recurrent[10..].replace("recurrent", "plastic") + "input = \"matrix\"\n",
            "input",
        ),
    ] {
        let text = format!("[[layer]]\n{text}");
        let error = Network::from_toml(&text, "net.toml")
            .unwrap_err()
            .to_string();
        assert!(error.contains(part), "{text}\n{error}");
    }
    let none = Recurrent::new(3, 3, Rate::fixed(0.1)).plasticity(Plasticity::None);
    Network::new(Loss::None, [none.clone()]).unwrap();
    for (layer, part) in [
        (none.clone().rate(Rate::fixed(0.2)), "layer0.rate"),
        (none.clone().rule(Rule::oja()), "layer0.rule"),
        (none.plastic_bias(), "layer0.plastic_bias"),
    ] {
        let error = Network::new(Loss::None, [layer]).unwrap_err().to_string();
        assert!(error.contains(part), "{error}");
    }
}

#[test]
fn arrays_that_do_not_fit_are_refused_by_name() {
    let layer = Recurrent::new(3, 4, Rate::fixed(0.1)).modulation(Modulation::from_episodes());
    let network = Network::new(Loss::None, [layer]).unwrap();
    let parameters = Parameters::<f32>::new(&network, 1).unwrap();
    let episodes = || Episodes::<f32>::new(ndarray::Array4::zeros((1, 2, 5, 3)));
    let modulator = || ArrayD::<f32>::zeros(vec![1, 2, 5]);
    let refused = |episodes: Episodes<'_, f32>, part: &str| {
        let gradients = Engine::cpu().gradient(&network, &parameters, &episodes, Want::ALL);
        let error = gradients.unwrap_err().to_string();
        assert!(error.contains(part), "{error}");
    };
    refused(episodes(), "layer0.modulator");
    let given = || episodes().with_given(0, Dynamic::Modulator, modulator());
    let wrong = |shape: &[usize]| ArrayD::<f32>::zeros(shape.to_vec());
    for (dynamic, shape) in [
        (Dynamic::Trace, &[1, 2, 4, 3][..]),
        (Dynamic::Activity, &[1, 2, 3]),
        (Dynamic::Modulator, &[1, 2, 5, 4]),
        (Dynamic::Eligibility, &[1, 2, 4, 4]),
    ] {
        let name = format!("layer0.{dynamic}");
        refused(given().with_given(0, dynamic, wrong(shape)), &name);
        let name = format!("layer0.{dynamic}_gradient");
        refused(given().with_final_gradient(0, dynamic, wrong(shape)), &name);
    }
    let infinite = ArrayD::from_elem(vec![1, 2, 4], f32::INFINITY);
    refused(
        given().with_given(0, Dynamic::Activity, infinite),
        "layer0.activity",
    );
    let nothing = given().with_given(1, Dynamic::Activity, wrong(&[1, 2, 4]));
    refused(nothing, "layer1.activity");
}
