//! Cases of layers whose rows go through all steps by themselves, with a modulator that episodes are given.

use super::cases::{Case, Goal, PLASTICITIES, any_rate, plastic};
use super::laws::modulated_rules;
use super::random::Random;
use metaplastic::network::{Modulation, RatePer};
use metaplastic::{Activation, Bias, Dense, Layer, Plastic, Rule};

/// One modulator, and one for each neuron.
pub fn modulations() -> [Modulation; 2] {
    let given = Modulation::from_episodes();
    [given, given.per_neuron()]
}

/// A layer with a modulator.
pub fn modulated(rule: &Rule, modulation: Modulation, [inputs, outputs]: [usize; 2]) -> Plastic {
    let mut layer = plastic(inputs, outputs).rule(rule.clone());
    layer.modulation = Some(modulation);
    layer
}

fn any_layer(random: &mut Random, sizes: [usize; 2]) -> Layer {
    let (rule, modulation) = (random.pick(&modulated_rules()), random.pick(&modulations()));
    let mut layer = modulated(&rule, modulation, sizes);
    layer.plasticity = random.pick(&PLASTICITIES);
    layer.rate = any_rate(
        random.pick(&[0.05, 0.3, 0.9]),
        random.pick(&RatePer::ALL),
        !random.one_in(3),
    );
    layer.activation = random.pick(&[
        Activation::Tanh,
        Activation::Tanh,
        Activation::Logistic,
        Activation::Relu,
    ]);
    layer.into()
}

/// The layer alone, or with others below and above.
fn any_stack(random: &mut Random, layer: Layer) -> Vec<Layer> {
    let (inputs, outputs) = (layer.inputs(), layer.outputs());
    let below: Layer = Dense::new(3, inputs).activation(Activation::Tanh).into();
    match random.below(6) {
        0 => vec![below, layer],
        1 => vec![layer, Dense::new(outputs, 2).into()],
        2 => vec![
            Bias::new(inputs).activation(Activation::Tanh).into(),
            layer,
            plastic(outputs, 3).into(),
        ],
        3 => {
            let above = any_layer(random, [outputs, 4]);
            vec![layer, above]
        }
        _ => vec![layer],
    }
}

/// Random cases, with sizes from these.
pub fn any_modulated(count: usize, [outputs, batches, steps]: [&[usize]; 3]) -> Vec<Case> {
    let random = &mut Random::new(31);
    let case = |index: usize| {
        let sizes = [random.pick(&[1, 2, 5, 9, 17]), random.pick(outputs)];
        let layer = any_layer(random, sizes);
        let goal = random.pick(&Goal::ALL);
        Case {
            goal,
            population: random.pick(&[1, 1, 2]),
            batch: random.pick(batches),
            steps: random.pick(steps),
            initial_trace: random.one_in(2),
            // Without an objective something has to be differentiated.
            trace_gradient: random.one_in(2) || goal == Goal::None,
            seed: index as u64,
            ..Case::new(any_stack(random, layer))
        }
    };
    (0..count).map(case).collect()
}

/// Everything given, of either modulator by each of these rules: of one episode, of several, and of many rows.
pub fn known_cases(rules: &[Rule], steps: usize) -> Vec<Case> {
    let sizes = [[7, 5], [24, 70], [9, 33]];
    let kinds = rules
        .iter()
        .flat_map(|rule| modulations().map(|modulation| (rule, modulation)));
    let cases = kinds.enumerate().map(|(index, (rule, modulation))| {
        let sizes = sizes[index % sizes.len()];
        Case {
            population: 2,
            batch: [1, 5, 18][index % 3],
            steps,
            goal: Goal::OutputGradient,
            initial_trace: true,
            trace_gradient: true,
            seed: index as u64,
            ..Case::new([
                modulated(rule, modulation, sizes).into(),
                Dense::new(sizes[1], 3).activation(Activation::Tanh).into(),
            ])
        }
    });
    cases.collect()
}
