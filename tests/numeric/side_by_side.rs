//! Networks that learn side by side on the CPU engine, one in each lane of a vector, against the oracle.

use crate::common::cases::{
    Case, Goal, MaskKind, PLASTICITIES, of_network, plastic, rules, stacks,
};
use crate::common::compare::{CPU_F32, CPU_F64, Report, Tensors, Tolerance, compare};
use crate::common::oracle;
use metaplastic::engine::TrainingState;
use metaplastic::episodes::{Mask, Objective};
use metaplastic::number::Real;
use metaplastic::{
    Activation, Dense, Engine, Episodes, Layer, Loss, Network, Optimiser, Parameters, Rate, Want,
};

/// What a learner has after a meta-step that changes no parameter: the losses, and as what an optimiser without momentum
/// remembers, the gradients.
fn learned<R: Real>(
    network: &Network,
    parameters: &Parameters<R>,
    episodes: &Episodes<'_, R>,
) -> (Vec<R>, TrainingState<R>) {
    let optimisers = [Optimiser::sgd(0.0, 0.0)];
    let learner = Engine::cpu().learner(network, parameters, &optimisers);
    let mut learner = learner.expect("a learner");
    let losses = learner.step(episodes).expect("a meta-step");
    (losses, learner.state().expect("its state"))
}

fn compare_with<R: Real>(case: &Case, reference: &Tensors, tolerance: &Tolerance) -> Report {
    let (network, parameters) = (case.network(), case.parameters().cast::<R>());
    let episodes = case.episodes().cast::<R>();
    let (losses, state) = learned(&network, &parameters, &episodes);
    let mut actual = Tensors::new(case.population);
    actual.add_parameters("gradient.", &state.moments[0]);
    for (p, loss) in losses.iter().enumerate() {
        actual.extend("loss", p, [loss.as_f64()]);
    }
    let report = compare(reference, &actual, tolerance)
        .unwrap_or_else(|complaints| panic!("{}: {case}\n{complaints}", R::NAME));
    // The last network, which shares its vectors with the fewest, as if it were alone.
    let last = case.population - 1;
    let (alone, episodes) = (parameters.slice(last..last + 1), episodes.cast::<f64>());
    let episodes = of_network(&episodes.cast(), last).cast::<R>();
    if R::NAME == "f32" {
        let (loss, state_alone) = learned(&network, &alone, &episodes);
        assert!(loss[0] == losses[last], "{case}");
        let gradients = [&state_alone, &state].map(|state| &state.moments[0]);
        assert!(
            gradients[0].network(0) == gradients[1].network(last),
            "{case}"
        );
    }
    report
}

fn check(title: &str, mut cases: Vec<Case>) {
    for (index, case) in cases.iter_mut().enumerate() {
        // The softmax of one output is 1, and its loss nothing, of which the oracle has rounding errors alone.
        let is_one = case.layers.last().is_some_and(|it| it.outputs() == 1);
        let suits = |goal: &Goal| match goal {
            Goal::Target(loss, _) => !is_one || *loss == Loss::SquaredError,
            _ => false,
        };
        let goals: Vec<_> = Goal::ALL.into_iter().filter(suits).collect();
        case.goal = goals[index % goals.len()];
        case.initial_trace = index / 2 % 2 == 0;
        case.trace_gradient = index % 3 != 0;
        // Some of them more than a vector has lanes.
        case.population = [1, 5, 2, 35, 3][index % 5];
        case.batch = [1, 2, 3][index % 3];
        case.seed = index as u64;
    }
    let [mut doubles, mut singles] = [Report::default(), Report::default()];
    for case in &cases {
        let mut reference = oracle::solve(&case.network(), &case.parameters(), &case.episodes());
        let is_about_parameters = |name: &String, layers: &[Layer]| {
            let trace = |layer| format!("gradient.layer{layer}.trace");
            let traces: Vec<_> = (0..layers.len()).map(trace).collect();
            name.starts_with("gradient.layer") && !traces.contains(name)
        };
        let layers = &case.layers;
        reference.retain(|name| name == "loss" || is_about_parameters(name, layers));
        let name = case.to_string();
        doubles.merge(&compare_with::<f64>(case, &reference, &CPU_F64), &name);
        singles.merge(&compare_with::<f32>(case, &reference, &CPU_F32), &name);
    }
    println!(
        "{title}: {} cases\nf64\n{doubles}f32\n{singles}",
        cases.len()
    );
}

#[test]
fn every_rule_activation_and_granularity() {
    let mut cases = Vec::new();
    for rule in rules() {
        for activation in Activation::ALL {
            for plasticity in PLASTICITIES {
                let (fixed, learned) = (Rate::fixed(0.1), Rate::learned(0.1));
                for rate in [fixed, learned, fixed.per_neuron(), learned.per_neuron()] {
                    let mut layer = plastic(7, 5);
                    (layer.rule, layer.activation) = (rule.clone(), activation);
                    (layer.plasticity, layer.rate) = (plasticity, rate);
                    cases.push(Case::new([Layer::Plastic(layer)]));
                }
            }
        }
    }
    check("rules, activations, granularities", cases);
}

#[test]
fn awkward_sizes_and_rates() {
    let mut cases = Vec::new();
    for [inputs, outputs] in [[1, 1], [1, 6], [3, 2], [10, 2], [11, 5], [60, 1]] {
        for steps in [1, 2, 63, 130] {
            for rate in [0.02, 0.8, 0.9, 1.0] {
                let mut layer = plastic(inputs, outputs);
                layer.rate = Rate::learned(rate);
                cases.push(Case {
                    steps,
                    ..Case::new([Layer::Plastic(layer)])
                });
            }
        }
    }
    // Longer than the segments in which rows take turns.
    cases.push(Case {
        steps: 1_500,
        ..Case::new([Layer::Plastic(plastic(10, 2))])
    });
    check("awkward sizes", cases);
}

#[test]
fn stacks_of_layers() {
    let cases = stacks().into_iter().cycle().take(40);
    check("stacks", cases.map(Case::new).collect());
}

/// What a step that does not count shows may be beyond every number, in one network's episodes alone.
#[test]
fn what_does_not_count_does_not_show() {
    let case = Case {
        goal: Goal::Target(Loss::SoftmaxCrossEntropy, MaskKind::Episodes),
        population: 3,
        batch: 1,
        ..Case::new([Layer::from(Dense::new(4, 3))])
    };
    let (network, parameters) = (case.network(), case.parameters().cast::<f32>());
    let mut episodes = case.episodes().cast::<f32>();
    let Objective::Target { mask, .. } = &mut episodes.objective else {
        unreachable!("the case has a target");
    };
    let Mask::Episodes(mask) = mask else {
        unreachable!("each episode has a mask");
    };
    mask.fill(1.0);
    mask[[1, 0, 4]] = 0.0;
    let expected = learned(&network, &parameters, &episodes);
    // Beyond every number is the output, not the input, of which the gradient is a product. An output that is infinite makes
    // the loss so; the largest of them, the gradient too.
    for size in [3e38, -3e38] {
        let mut huge = episodes.clone();
        huge.input.slice_mut(ndarray::s![1, 0, 4, ..]).fill(size);
        let outputs = Engine::cpu().forward(&network, &parameters, &huge, Want::default());
        let outputs = outputs.expect("outputs").output.expect("it is wanted");
        let output = outputs.slice(ndarray::s![1, 0, 4, ..]);
        assert!(output.iter().any(|value| !value.is_finite()), "{output}");
        let (losses, state) = learned(&network, &parameters, &huge);
        assert_eq!(losses, expected.0);
        assert_eq!(state.failures, []);
        assert!(state.moments[0] == expected.1.moments[0]);
    }
}
