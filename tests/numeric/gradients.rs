//! The CPU engine, in both precisions, against the oracle.

use crate::common::bodies::{
    a_rule_need_have_no_value_at_zero, all_match_oracle, arrays_may_lie_in_any_order,
    batch_is_the_mean_of_its_episodes, is_as_precise_as_back_propagation, is_reproducible,
    networks_are_independent, results_are_made_where_they_are_wanted, run,
    tanh_is_right_everywhere, what_networks_have_in_common_is_given_once,
};
use crate::common::cases::{
    Case, Goal, MaskKind, PLASTICITIES, any_rate, close_to_instability, plastic, rules, stacks,
};
use crate::common::compare::{CPU_F32, CPU_F64, CPU_PRECISION};
use crate::common::random::Random;
use crate::common::threads::pool;
use metaplastic::engine::Gradients;
use metaplastic::network::RatePer;
use metaplastic::{
    Activation, Bias, Dense, Engine, Episodes, Error, Initial, Layer, Loss, Network, Parameters,
    Plastic, Rate, Rule, Want,
};
use ndarray::Array4;

fn check(title: &str, cases: &[Case]) {
    all_match_oracle(title, cases, &CPU_F64, &CPU_F32);
}

/// The goals, traces and populations in turn, so that every combination meets every kind of case.
fn vary(cases: &mut [Case]) {
    for (index, case) in cases.iter_mut().enumerate() {
        case.goal = Goal::ALL[index % Goal::ALL.len()];
        case.initial_trace = index / 2 % 2 == 0;
        case.trace_gradient = index % 3 != 0 || case.goal == Goal::None;
        case.population = 1 + index % 3;
        case.seed = index as u64;
    }
}

fn rates(value: f64) -> [Rate; 4] {
    let (fixed, learned) = (Rate::fixed(value), Rate::learned(value));
    [fixed, learned, fixed.per_neuron(), learned.per_neuron()]
}

#[test]
fn gradients_are_right_for_every_rule_activation_and_number_of_coefficients() {
    let mut cases = Vec::new();
    for rule in rules() {
        for activation in Activation::ALL {
            for plasticity in PLASTICITIES {
                for rate in rates(0.1) {
                    for bias in [true, false] {
                        let mut layer = Plastic::new(7, 5, rate)
                            .activation(activation)
                            .rule(rule.clone())
                            .plasticity(plasticity);
                        layer.bias = bias;
                        cases.push(Case::new([Layer::Plastic(layer)]));
                    }
                }
            }
        }
    }
    vary(&mut cases);
    check("rules, activations, granularities", &cases);
}

#[test]
fn gradients_are_right_at_awkward_sizes() {
    let mut cases = Vec::new();
    for inputs in [1, 3, 60, 129] {
        for outputs in [1, 2, 33, 70] {
            for steps in [1, 2, 63] {
                for batch in [1, 5, 17, 40] {
                    let index = cases.len();
                    let mut layer = plastic(inputs, outputs);
                    layer.rule = [Rule::hebb(), Rule::oja()][index % 2].clone();
                    layer.plasticity = PLASTICITIES[index % 3];
                    layer.rate = rates(0.05)[index / 2 % 4];
                    cases.push(Case {
                        batch,
                        steps,
                        ..Case::new([Layer::Plastic(layer)])
                    });
                }
            }
        }
    }
    vary(&mut cases);
    // The large ones once; populations of sizes are no further case.
    for case in &mut cases {
        case.population = 1;
    }
    check("awkward sizes", &cases);
}

/// As many rows as vectors have lanes, one fewer and one more, and few synapses for so many rows: with rows along the lanes,
/// in small batches, beneath a layer and above one.
#[test]
fn gradients_are_right_of_rows_that_fill_vectors_or_do_not() {
    let mut cases = Vec::new();
    for outputs in [1, 7, 8, 9, 15, 16, 17, 31, 32, 33, 65] {
        for inputs in [1, 9] {
            for rule in rules() {
                let index = cases.len();
                let mut layer = plastic(inputs, outputs);
                layer.rule = rule;
                layer.activation = Activation::ALL[index % Activation::ALL.len()];
                layer.plasticity = PLASTICITIES[index % 3];
                layer.rate = rates(0.05)[index / 2 % 4];
                let above = plastic(outputs, 17);
                let below = Layer::from(Dense::new(inputs, inputs).activation(Activation::Tanh));
                cases.push(Case {
                    steps: [20, 67][index % 2],
                    batch: [1, 3][index / 2 % 2],
                    ..Case::new([below, Layer::Plastic(layer), Layer::Plastic(above)])
                });
            }
        }
    }
    vary(&mut cases);
    check("rows along the lanes", &cases);
}

#[test]
fn gradients_are_right_through_stacks_of_layers() {
    let mut cases = Vec::new();
    for goal in Goal::ALL {
        for stack in stacks() {
            cases.push(Case {
                batch: 3,
                ..Case::new(stack)
            });
            cases.last_mut().expect("pushed").goal = goal;
        }
    }
    for (index, case) in cases.iter_mut().enumerate() {
        case.initial_trace = index / 3 % 2 == 0;
        case.trace_gradient = index % 2 == 0;
        case.population = 1 + index % 3;
        case.steps = [9, 2, 30][index % 3];
        case.seed = index as u64;
    }
    check("stacks", &cases);
}

/// Rates up to 1: the retention is small, zero, and for Oja of either sign.
#[test]
fn gradients_are_right_at_every_rate() {
    let mut cases = Vec::new();
    for value in [0.0, 1e-3, 0.02, 0.5, 0.7, 0.75, 0.8, 0.9, 0.99, 0.999, 1.0] {
        for rate in rates(value) {
            for rule in [Rule::hebb(), Rule::oja()] {
                for activation in Activation::ALL {
                    let mut layer = plastic(10, 4);
                    (layer.rule, layer.activation, layer.rate) = (rule.clone(), activation, rate);
                    cases.push(Case {
                        steps: 20,
                        batch: 3,
                        ..Case::new([Layer::Plastic(layer)])
                    });
                }
            }
        }
    }
    vary(&mut cases);
    check("rates", &cases);
}

/// With vectors over synapses, and over episodes.
#[test]
fn gradients_are_as_precise_as_those_of_back_propagation() {
    for batch in [3, 32] {
        let cases = close_to_instability(batch);
        is_as_precise_as_back_propagation(&Engine::cpu(), &cases, CPU_PRECISION);
    }
}

/// Oja's retention `1 − η y²` exactly zero, near zero and negative: a linear or rectified output around `1 / √η`, set
/// by the bias.
#[test]
fn gradients_are_right_where_a_retention_is_nearly_zero() {
    let engine = Engine::cpu();
    for activation in [Activation::Linear, Activation::Relu] {
        for rate in [0.25, 1.0] {
            for offset in [0.0, 1e-7, -1e-4, 1e-3, -0.01, 0.03, 0.3] {
                let mut layer = plastic(4, 3);
                (layer.rule, layer.activation, layer.bias) = (Rule::oja(), activation, true);
                layer.rate = Rate::learned(rate);
                let case = Case {
                    steps: 12,
                    initial_trace: true,
                    trace_gradient: true,
                    ..Case::new([Layer::Plastic(layer)])
                };
                let network = case.network();
                let mut parameters = case.parameters();
                let layout = parameters.layout().clone();
                for tensor in layout.tensors() {
                    let values = &mut parameters.values_mut()[tensor.range()];
                    match tensor.role {
                        metaplastic::Role::Bias => {
                            values.fill(f64::from((rate.sqrt().recip() + offset) as f32));
                        }
                        metaplastic::Role::Rate => values.fill(rate),
                        // One neuron whose output is its bias alone, others that stray from it.
                        _ => {
                            values[..4].fill(0.0);
                            values.iter_mut().for_each(|value| *value *= 0.0625);
                        }
                    }
                }
                let episodes = case.episodes();
                let reference = crate::common::oracle::solve(&network, &parameters, &episodes);
                let want = Want::ALL;
                let double = engine.gradient(&network, &parameters, &episodes, want);
                let single =
                    engine.gradient(&network, &parameters.cast::<f32>(), &episodes.cast(), want);
                let double =
                    crate::common::compare::Tensors::from_gradients(&double.expect("it fits"));
                let single =
                    crate::common::compare::Tensors::from_gradients(&single.expect("it fits"));
                for (actual, tolerance) in [(double, CPU_F64), (single, CPU_F32)] {
                    if let Err(complaints) =
                        crate::common::compare::compare(&reference, &actual, &tolerance)
                    {
                        panic!("offset {offset}, rate {rate}: {case}\n{complaints}");
                    }
                }
            }
        }
    }
}

#[test]
fn gradients_are_right_over_long_episodes() {
    let mut cases = Vec::new();
    for value in [0.01, 0.5, 0.9, 0.99, 1.0] {
        for rate in [Rate::learned(value), Rate::learned(value).per_neuron()] {
            for rule in [Rule::hebb(), Rule::oja()] {
                let mut layer = plastic(10, 4);
                (layer.rule, layer.rate) = (rule.clone(), rate);
                let index = cases.len();
                cases.push(Case {
                    steps: 1000,
                    batch: 1,
                    initial_trace: index % 3 == 0,
                    trace_gradient: index % 3 == 1,
                    seed: index as u64,
                    ..Case::new([Layer::Plastic(layer)])
                });
            }
        }
    }
    check("1000 steps", &cases);
}

/// So many steps that rows are taken through a part of them at a time, one episode by itself and several together.
#[test]
fn gradients_are_right_over_several_segments_of_steps() {
    let mut cases = Vec::new();
    for batch in [1, 8] {
        for rule in [Rule::hebb(), Rule::oja()] {
            let (mut first, mut second) = (plastic(40, 35), plastic(35, 3));
            (first.rule, first.rate) = (rule.clone(), Rate::learned(0.1).per_neuron());
            second.rule = rule;
            let bias = Layer::from(Bias::new(40));
            for below in [
                bias,
                Layer::from(Dense::new(40, 40).activation(Activation::Tanh)),
            ] {
                let index = cases.len();
                cases.push(Case {
                    steps: 1500,
                    batch,
                    initial_trace: index % 4 < 3,
                    trace_gradient: index % 4 > 0,
                    seed: index as u64,
                    ..Case::new([
                        below,
                        Layer::Plastic(first.clone()),
                        Layer::Plastic(second.clone()),
                    ])
                });
            }
        }
    }
    check("1500 steps", &cases);
}

/// A last group of episodes fills a vector in part. What the empty lanes compute must not show: here an input of zero,
/// unlike the episodes', drives Oja's trace beyond every number.
#[test]
fn lanes_without_an_episode_do_not_show() {
    let mut layer = plastic(4, 3);
    (layer.rule, layer.activation) = (Rule::oja(), Activation::Linear);
    layer.rate = Rate::learned(0.5);
    let below = Layer::from(Bias::new(4));
    let case = Case {
        steps: 200,
        batch: 7,
        trace_gradient: true,
        ..Case::new([below, Layer::Plastic(layer)])
    };
    let (network, mut parameters) = (case.network(), case.parameters());
    let layout = parameters.layout().clone();
    for tensor in layout.tensors() {
        let values = &mut parameters.values_mut()[tensor.range()];
        match (tensor.layer, tensor.role) {
            (0, _) => values.fill(4.0),
            (_, metaplastic::Role::Rate) => {}
            _ => values.fill(0.25),
        }
    }
    let mut episodes = case.episodes();
    episodes.input.mapv_inplace(|x| 0.125 * x - 4.0);
    let reference = crate::common::oracle::solve(&network, &parameters, &episodes);
    let engine = Engine::cpu();
    let want = Want::ALL;
    let double = engine.gradient(&network, &parameters, &episodes, want);
    let actual = crate::common::compare::Tensors::from_gradients(&double.unwrap());
    crate::common::compare::compare(&reference, &actual, &CPU_F64).unwrap();
    let (parameters, episodes) = (parameters.cast::<f32>(), episodes.cast());
    let single = engine.gradient(&network, &parameters, &episodes, want);
    let actual = crate::common::compare::Tensors::from_gradients(&single.unwrap());
    crate::common::compare::compare(&reference, &actual, &CPU_F32).unwrap();
}

/// What an episode computes is its own: that another of its group goes beyond every number must not change a bit of it.
/// Here all outputs are near 1 and retentions near zero, where their gradients need another formula.
#[test]
fn a_diverging_episode_spoils_no_other() {
    let mut layer = plastic(4, 3);
    (layer.rule, layer.activation, layer.bias) = (Rule::oja(), Activation::Linear, true);
    layer.rate = Rate::learned(1.0);
    let case = Case {
        steps: 9,
        batch: 32,
        initial_trace: true,
        trace_gradient: true,
        ..Case::new([Layer::Plastic(layer)])
    };
    let (network, mut parameters) = (case.network(), case.parameters());
    for tensor in parameters.layout().clone().tensors() {
        let value = match tensor.role {
            metaplastic::Role::Plasticity => 0.02,
            _ => 1.0,
        };
        parameters.values_mut()[tensor.range()].fill(value);
    }
    let parameters = parameters.cast::<f32>();
    let mut episodes = case.episodes().cast::<f32>();
    // Each step's input sums to zero.
    for mut input in episodes.input.rows_mut() {
        (input[1], input[3]) = (-input[0], -input[2]);
    }
    let gradient = |diverging: Option<usize>| {
        let mut episodes = episodes.clone();
        if let Some(b) = diverging {
            let mut input = episodes.input.index_axis_mut(ndarray::Axis(1), b);
            input.fill(1e30);
        }
        let want = Want::ALL;
        let gradients = Engine::cpu().gradient(&network, &parameters, &episodes, want);
        let gradients = gradients.unwrap();
        let initial = gradients.given.trace(0).unwrap().to_owned();
        let output = gradients.outcome.output.unwrap();
        [output, gradients.input.unwrap(), initial]
    };
    let alone = gradient(None);
    assert!(alone.iter().flatten().all(|value| value.is_finite()));
    for diverging in [0, 5, 31] {
        for (alone, beside) in alone.iter().zip(gradient(Some(diverging))) {
            for b in 0..case.batch {
                let of = |array: &Array4<f32>| array.index_axis(ndarray::Axis(1), b).to_owned();
                if b == diverging {
                    assert!(of(&beside).iter().any(|value| !value.is_finite()));
                } else {
                    assert_eq!(of(alone), of(&beside), "episode {b} beside {diverging}");
                }
            }
        }
    }
}

/// A random network and random episodes.
fn random_case(seed: u64) -> Case {
    let mut random = Random::new(seed);
    let depth = 1 + random.below(4);
    let size = |random: &mut Random| random.pick(&[1, 2, 3, 4, 7, 15, 16, 17, 33, 65]);
    let mut inputs = size(&mut random);
    let layers: Vec<_> = (0..depth)
        .map(|_| {
            let outputs = size(&mut random);
            let activation = random.pick(&Activation::ALL);
            let bias = random.one_in(2);
            let layer = match random.below(5) {
                0 => {
                    let mut layer = Dense::new(inputs, outputs).activation(activation);
                    layer.bias = bias;
                    Layer::Dense(layer)
                }
                1 => Layer::from(Bias::new(inputs).activation(activation)),
                _ => {
                    let rule = random.pick(&rules());
                    let plasticity = random.pick(&PLASTICITIES);
                    let rate = any_rate(
                        random.pick(&[0.0, 0.01, 0.1, 0.5, 0.9, 1.0]),
                        random.pick(&[RatePer::Layer, RatePer::Neuron]),
                        random.one_in(2),
                    );
                    let mut layer = Plastic::new(inputs, outputs, rate)
                        .activation(activation)
                        .rule(rule)
                        .plasticity(plasticity);
                    layer.bias = bias;
                    Layer::Plastic(layer)
                }
            };
            inputs = layer.outputs();
            layer
        })
        .collect();
    Case {
        layers,
        goal: random.pick(&Goal::ALL),
        population: 1 + random.below(3),
        batch: random.pick(&[1, 2, 5, 16, 18]),
        steps: random.pick(&[1, 2, 5, 16, 23]),
        initial_trace: random.one_in(2),
        trace_gradient: random.one_in(2),
        seed,
    }
}

#[test]
fn gradients_of_random_networks_are_right() {
    check(
        "random networks",
        &(0..300).map(random_case).collect::<Vec<_>>(),
    );
}

/// Cases large enough that rows, blocks and networks are all split over threads.
fn parallel_cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for (inputs, outputs, population, batch) in [
        (129, 70, 1, 1),
        (60, 100, 2, 5),
        (10, 2, 3, 70),
        (20, 33, 1, 33),
        (70, 70, 1, 3),
    ] {
        for (rule, goal) in [
            (Rule::hebb(), Goal::OutputGradient),
            (
                Rule::oja(),
                Goal::Target(Loss::SoftmaxCrossEntropy, MaskKind::Steps),
            ),
        ] {
            let mut layer = plastic(inputs, outputs);
            layer.rule = rule;
            cases.push(Case {
                goal,
                population,
                batch,
                steps: 40,
                initial_trace: true,
                trace_gradient: true,
                ..Case::new([
                    Layer::Plastic(layer),
                    Layer::from(Dense::new(outputs, 3).activation(Activation::Tanh)),
                ])
            });
        }
    }
    cases
}

#[test]
fn two_runs_agree_bit_for_bit() {
    for case in parallel_cases() {
        is_reproducible(&Engine::cpu(), &case);
    }
}

/// Whether each pool has an engine of its own, or all have one, which keeps its arrays for the next call.
#[test]
fn number_of_threads_does_not_matter() {
    let pools = [pool(1), pool(2), pool(7)];
    let shared = Engine::cpu();
    for case in parallel_cases() {
        let [one, others @ ..] = pools
            .each_ref()
            .map(|pool| pool.install(|| run::<f32>(&Engine::cpu(), &case)));
        let again = pools
            .each_ref()
            .map(|pool| pool.install(|| run::<f32>(&shared, &case)));
        for other in others.into_iter().chain(again) {
            assert!(one == other, "{case}");
        }
    }
}

/// So many synapses that the sums of few blocks of episodes are held at a time: of more blocks where there are more threads.
fn large(batch: usize) -> (Network, Parameters<f32>, Episodes<'static, f32>) {
    let layer = Layer::from(Plastic::new(512, 512, Rate::fixed(0.1)).activation(Activation::Tanh));
    let network = Network::new(Loss::SquaredError, [layer]).unwrap();
    let initial = Initial {
        scale: 0.02,
        ..Initial::default()
    };
    let parameters = Parameters::<f32>::initialise(&network, &initial, 1, 5).unwrap();
    let wave = |batch: usize, by: f32| {
        let mut phase = 0.0f32;
        Array4::from_shape_simple_fn((1, batch, 2, 512), || {
            phase = (phase + by) % std::f32::consts::TAU;
            phase.sin()
        })
    };
    let episodes = Episodes::new(wave(batch, 1.3)).with_target(wave(batch, 0.7));
    (network, parameters, episodes)
}

fn gradient_of_large(engine: &Engine, batch: usize) -> Gradients<f32> {
    let (network, parameters, episodes) = large(batch);
    let gradients = engine.gradient(&network, &parameters, &episodes, Want::default());
    gradients.unwrap()
}

#[test]
fn one_engine_serves_pools_of_any_size() {
    let expected = pool(2).install(|| gradient_of_large(&Engine::cpu(), 80));
    let engine = Engine::cpu();
    for threads in [1, 2, 7, 1] {
        let gradients = pool(threads).install(|| gradient_of_large(&engine, 80));
        assert!(gradients == expected, "{threads} threads");
    }
}

/// Two jobs in turn, on two pools at once, with clones of one engine.
#[test]
fn jobs_at_once_on_one_engine_are_their_own() {
    let batches = [80, 33];
    let expected = batches.map(|batch| gradient_of_large(&Engine::cpu(), batch));
    let engine = Engine::cpu();
    std::thread::scope(|scope| {
        for first in 0..2 {
            let (engine, expected) = (engine.clone(), &expected);
            scope.spawn(move || {
                let pool = pool(1 + first);
                for turn in 0..4 {
                    let job = (first + turn) % 2;
                    let gradients = pool.install(|| gradient_of_large(&engine, batches[job]));
                    assert!(gradients == expected[job], "job {job}");
                }
            });
        }
    });
}

#[test]
fn a_rule_that_has_no_value_at_zero_is_right_elsewhere() {
    a_rule_need_have_no_value_at_zero(&Engine::cpu(), &CPU_F32);
}

#[test]
fn arrays_in_any_memory_order_give_the_same_bits() {
    arrays_may_lie_in_any_order(&Engine::cpu());
}

#[test]
fn data_common_to_a_population_need_be_given_only_once() {
    what_networks_have_in_common_is_given_once(&Engine::cpu());
}

#[test]
fn results_are_made_only_where_they_are_wanted() {
    results_are_made_where_they_are_wanted(&Engine::cpu());
}

/// Over all numbers `examples/tanh.rs` finds 3.3e-7, and 3.0e-7 where multiply-adds are rounded once.
#[test]
fn tanh_is_accurate_everywhere() {
    for episodes in [1, 16] {
        tanh_is_right_everywhere(&Engine::cpu(), episodes, 3.5e-7);
    }
}

/// A layer's number may be any: one that is not there is an error.
#[test]
fn traces_for_layers_that_have_none_are_refused() {
    let case = Case::new([Layer::Plastic(plastic(3, 2))]);
    let trace = || Array4::zeros((case.population, case.batch, 2, 3));
    for layer in [1, usize::MAX] {
        let episodes = case.episodes().cast::<f32>();
        for episodes in [
            episodes.clone().with_initial_trace(layer, trace()),
            episodes.with_trace_gradient(layer, trace()),
        ] {
            let parameters = case.parameters().cast();
            let error = Engine::cpu()
                .gradient(&case.network(), &parameters, &episodes, Want::ALL)
                .unwrap_err();
            let Error::UnknownTensor { name, .. } = &error else {
                panic!("{error}")
            };
            assert!(name.starts_with(&format!("layer{layer}.trace")), "{error}");
        }
    }
}

#[test]
fn networks_of_a_population_are_independent() {
    for mut case in parallel_cases() {
        case.population = 3;
        networks_are_independent(&Engine::cpu(), &case);
    }
    for (index, stack) in stacks().into_iter().enumerate() {
        let case = Case {
            population: 3,
            initial_trace: index % 2 == 0,
            trace_gradient: true,
            goal: Goal::ALL[index % Goal::ALL.len()],
            ..Case::new(stack)
        };
        networks_are_independent(&Engine::cpu(), &case);
    }
}

#[test]
fn batch_gradient_is_the_mean_of_its_episodes() {
    for goal in Goal::ALL {
        // Without a loss, nothing is divided by the number of episodes.
        let Goal::Target(..) = goal else { continue };
        let case = Case {
            goal,
            batch: 37,
            population: 2,
            initial_trace: true,
            ..Case::new(stacks()[1].clone())
        };
        batch_is_the_mean_of_its_episodes(&Engine::cpu(), &case, &CPU_F32);
    }
}
