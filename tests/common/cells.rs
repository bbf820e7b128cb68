//! Cases of layers whose rows step together, of every kind in every company.

use super::cases::{Case, CellKind, Goal, PLASTICITIES, any_rate, plastic, rules};
use super::laws::cell_rules;
use super::random::Random;
use metaplastic::network::{CoefficientPer, Modulation, RatePer, RecurrentInput};
use metaplastic::{Activation, Bias, Dense, Layer, Rule};

/// Synapses times steps times episodes of a case: the oracle takes its time.
const MOST: usize = 100_000;

fn work(case: &Case) -> usize {
    let synapses: usize = case.layers.iter().map(Layer::synapses).sum();
    synapses * case.steps * case.batch * case.population
}

fn any_kind(random: &mut Random) -> CellKind {
    let named = [None, Some(Rule::hebb()), Some(Rule::oja())];
    let all = rules().into_iter().chain(cell_rules()).map(Some);
    let all: Vec<_> = named.into_iter().chain(all).collect();
    let (network, given) = (Modulation::from_network(), Modulation::from_episodes());
    let modulations = [
        None,
        Some(network),
        Some(network.per_neuron()),
        Some(given),
        Some(given.per_neuron()),
    ];
    CellKind {
        rule: random.pick(&all),
        plasticity: random.pick(&PLASTICITIES),
        rate: any_rate(
            random.pick(&[0.02, 0.1, 0.3]),
            random.pick(&RatePer::ALL),
            !random.one_in(4),
        ),
        coefficients: (random.pick(&CoefficientPer::ALL), !random.one_in(4)),
        modulation: random.pick(&modulations),
        bound: random.pick(&[None, None, Some(0.3), Some(0.05)]),
        plastic_bias: random.one_in(2),
        activation: random.pick(&[
            Activation::Tanh,
            Activation::Tanh,
            Activation::Logistic,
            Activation::Linear,
            Activation::Relu,
        ]),
        input: random.pick(&[
            Some(RecurrentInput::Matrix),
            Some(RecurrentInput::Identity),
            None,
        ]),
    }
}

/// The layer alone, or with layers of every other kind below and above.
fn any_stack(random: &mut Random, cell: &Layer) -> Vec<Layer> {
    let (inputs, outputs) = (cell.inputs(), cell.outputs());
    let below: Layer = Dense::new(3, inputs).activation(Activation::Tanh).into();
    let above: Layer = Dense::new(outputs, 2).into();
    match random.below(7) {
        0 => vec![below, cell.clone()],
        1 => vec![cell.clone(), above],
        2 => vec![
            Bias::new(inputs).activation(Activation::Tanh).into(),
            cell.clone(),
            plastic(outputs, 3).into(),
        ],
        3 => {
            let other = any_kind(random).layer(outputs, 4);
            match other.inputs() == outputs {
                true => vec![cell.clone(), other],
                false => vec![cell.clone()],
            }
        }
        4 => vec![
            plastic(4, inputs).into(),
            cell.clone(),
            any_kind_of_input(random, outputs),
            Dense::new(3, 2).activation(Activation::Tanh).into(),
        ],
        _ => vec![cell.clone()],
    }
}

/// A layer of three neurons with so many inputs.
fn any_kind_of_input(random: &mut Random, inputs: usize) -> Layer {
    let mut kind = any_kind(random);
    kind.input = kind.input.map(|_| RecurrentInput::Matrix);
    kind.layer(inputs, 3)
}

/// Random cases, with sizes from these, that are no more work than the oracle has time for.
pub fn any_cases(count: usize, [outputs, batches, steps]: [&[usize]; 3]) -> Vec<Case> {
    let random = &mut Random::new(14);
    let mut cases = Vec::new();
    while cases.len() < count {
        let inputs = random.pick(&[1, 2, 5, 9]);
        let cell = any_kind(random).layer(inputs, random.pick(outputs));
        let seed = cases.len() as u64;
        let case = Case {
            goal: random.pick(&Goal::ALL),
            population: random.pick(&[1, 1, 2]),
            batch: random.pick(batches),
            steps: random.pick(steps),
            initial_trace: random.one_in(2),
            trace_gradient: random.one_in(2),
            seed,
            ..Case::new(any_stack(random, &cell))
        };
        // Without an objective something has to be differentiated.
        let trace_gradient = case.trace_gradient || case.goal == Goal::None;
        if work(&case) <= MOST {
            cases.push(Case {
                trace_gradient,
                ..case
            });
        }
    }
    cases
}

/// Small cases of every modulator with every input, and one of each modulator that many rows have together.
pub fn modulated_cases() -> Vec<Case> {
    let (network, given) = (Modulation::from_network(), Modulation::from_episodes());
    let modulations = [network, network.per_neuron(), given, given.per_neuron()];
    let (matrix, identity) = (RecurrentInput::Matrix, RecurrentInput::Identity);
    let case = |modulation, input, [neurons, steps]: [usize; 2]| Case {
        batch: 2,
        steps,
        goal: Goal::OutputGradient,
        ..Case::new([CellKind {
            modulation: Some(modulation),
            // Not by Hebb's rule, which has kernels of its own where a layer is feed-forward.
            rule: Some(Rule::retroactive()),
            input,
            ..CellKind::recurrent()
        }
        .layer(4, neurons)])
    };
    let inputs = [Some(matrix), Some(identity), None];
    let small = modulations
        .into_iter()
        .flat_map(|modulation| inputs.map(|input| case(modulation, input, [6, 11])));
    let large = [network, given].map(|modulation| case(modulation, Some(matrix), [140, 3]));
    small.chain(large).collect()
}

/// Recurrent by Hebb's rule; modulated by the network; by the episodes; and feed-forward, modulated by the episodes.
pub fn four_kinds() -> [CellKind; 4] {
    let hebb = CellKind::recurrent();
    let modulated = CellKind {
        rule: Some(cell_rules()[4].clone()),
        modulation: Some(Modulation::from_network().per_neuron()),
        bound: Some(0.5),
        plastic_bias: true,
        ..hebb.clone()
    };
    let given = CellKind {
        rule: Some(Rule::retroactive()),
        modulation: Some(Modulation::from_episodes()),
        input: Some(RecurrentInput::Identity),
        ..hebb.clone()
    };
    let feed_forward = CellKind {
        rule: Some(cell_rules()[2].clone()),
        modulation: Some(Modulation::from_episodes().per_neuron()),
        input: None,
        ..hebb.clone()
    };
    [hebb, modulated, given, feed_forward]
}

/// Cases that threads share out: the rows of one episode, or episodes.
pub fn parallel_cases() -> Vec<Case> {
    let [hebb, modulated, given, feed_forward] = four_kinds();
    let case = |kind: &CellKind, [neurons, batch, steps]: [usize; 3]| Case {
        batch,
        steps,
        goal: Goal::OutputGradient,
        initial_trace: true,
        trace_gradient: true,
        ..Case::new([
            kind.layer(5, neurons),
            Dense::new(neurons, 3).activation(Activation::Tanh).into(),
        ])
    };
    vec![
        case(&hebb, [300, 1, 20]),
        case(&modulated, [290, 2, 18]),
        case(&given, [20, 5, 35]),
        case(&modulated, [7, 70, 17]),
        case(&given, [9, 40, 33]),
        case(&feed_forward, [20, 3, 20]),
        case(&feed_forward, [6, 50, 18]),
    ]
}

/// Small cases for sessions: rows along the lanes, and episodes.
pub fn session_cases() -> Vec<Case> {
    let small = |case: Case| Case {
        population: 3,
        ..case
    };
    let cases = parallel_cases().into_iter().skip(2);
    cases.map(small).collect()
}
