//! Layers whose rows step together, of every kind in every company: the CPU engine, in both precisions, against the oracle.

use crate::common::bodies::{cells_match_oracle, networks_are_independent, run};
use crate::common::cases::{Case, CellKind, Goal, MaskKind};
use crate::common::cells::{any_cases, parallel_cases, session_cases};
use crate::common::compare::{CPU_F32, CPU_F64, CPU_PRECISION, Tensors, compare};
use crate::common::oracle::solve;
use crate::common::sessions::{
    a_session_learns_as_a_learner_does, episodes_go_on_and_may_end_early, halves_are_the_engines,
    steps_are_all_at_once, what_networks_have_in_common_is_given_once,
};
use crate::common::threads::pool;
use metaplastic::network::{Modulation, Plasticity};
use metaplastic::{
    Dense, Dynamic, Engine, Extent, Loss, Network, Optimiser, Rate, Recurrent, Rule, Want,
};
use ndarray::Axis;

fn on_the_cpu(title: &str, cases: &[Case]) {
    let single = (&CPU_F32, CPU_PRECISION);
    let engine = Engine::cpu();
    let cases: Vec<_> = cases.iter().map(|case| (&engine, case.clone())).collect();
    cells_match_oracle(title, &cases, Some(&CPU_F64), single);
}

#[test]
fn gradients_are_right_of_every_kind_of_cell() {
    let outputs = [1, 2, 3, 5, 7, 8, 9, 15, 16, 17, 31, 32, 33];
    let cases = any_cases(
        300,
        [&outputs, &[1, 3, 17, 40], &[1, 2, 3, 9, 15, 16, 17, 33, 50]],
    );
    on_the_cpu("kinds", &cases);
}

/// Segments and pieces of the replay begin and end, with vectors over rows and over episodes.
#[test]
fn gradients_are_right_over_any_number_of_steps() {
    let cases = any_cases(
        100,
        [
            &[1, 2, 3, 5, 9],
            &[1, 3, 17, 40],
            &[31, 32, 33, 34, 256, 257, 290],
        ],
    );
    on_the_cpu("steps", &cases);
}

/// Many rows, in several chunks.
#[test]
fn gradients_are_right_of_large_cells() {
    let cases = any_cases(
        100,
        [
            &[63, 64, 65, 100, 127, 130, 150],
            &[1, 2, 3],
            &[1, 2, 3, 17],
        ],
    );
    on_the_cpu("large", &cases);
}

#[test]
fn bits_are_the_same_on_any_number_of_threads() {
    for case in parallel_cases() {
        let [one, four] =
            [1, 4].map(|threads| pool(threads).install(|| run::<f32>(&Engine::cpu(), &case)));
        assert!(one == four, "{case}");
    }
}

#[test]
fn networks_of_a_population_are_as_they_are_alone() {
    for case in parallel_cases() {
        let case = Case {
            population: 3,
            ..case
        };
        networks_are_independent(&Engine::cpu(), &case);
    }
}

#[test]
fn sessions_are_the_engines_gradient() {
    let engine = Engine::cpu();
    for case in session_cases() {
        halves_are_the_engines::<f32>(&engine, &case);
        halves_are_the_engines::<f64>(&engine, &case);
        steps_are_all_at_once::<f32>(&engine, &case);
        steps_are_all_at_once::<f64>(&engine, &case);
    }
}

#[test]
fn episodes_of_cells_go_on_and_may_end_early() {
    let engine = Engine::cpu();
    for case in session_cases() {
        episodes_go_on_and_may_end_early::<f32>(&engine, &case);
        episodes_go_on_and_may_end_early::<f64>(&engine, &case);
    }
}

/// Vectors have lanes without a row. In them a rate of zero has no logarithm.
#[test]
fn rows_that_there_are_not_disturb_none() {
    let rule = Rule::parse("0.9 * h + rate * log(rate) * y * x / (rate + y^2)").unwrap();
    for neurons in [1, 3, 33] {
        let kind = CellKind {
            rule: Some(rule.clone()),
            modulation: Some(Modulation::from_network().per_neuron()),
            ..CellKind::recurrent()
        };
        let case = Case {
            initial_trace: true,
            trace_gradient: true,
            ..Case::new([kind.layer(2, neurons)])
        };
        let reference = solve(&case.network(), &case.parameters(), &case.episodes());
        let gradients = Tensors::from_gradients(&run::<f64>(&Engine::cpu(), &case));
        let result = compare(&reference, &gradients, &CPU_F64);
        assert!(result.is_ok(), "{case}: {result:?}");
    }
}

/// What a session gives at the end may be what the next episodes begin with, modulators and all.
#[test]
fn episodes_begin_from_what_others_ended_with() {
    let kind = CellKind {
        rule: Some(Rule::retroactive()),
        modulation: Some(Modulation::from_network()),
        ..CellKind::recurrent()
    };
    let case = Case::new([kind.layer(3, 4)]);
    let (network, parameters) = (case.network(), case.parameters().cast::<f32>());
    let episodes = case.episodes().cast::<f32>();
    let extent = Extent::new(case.batch, case.steps).want(Want::ALL);
    let open = |extent| Engine::cpu().session(&network, &parameters, extent);
    let finals = open(extent).unwrap().forward(&episodes).unwrap().finals;
    assert!(finals.get(0, Dynamic::Modulator).is_some());
    let mut next = open(extent.step_by_step().with_initial_states()).unwrap();
    let input = episodes.input.index_axis(Axis(2), 0);
    next.begin_from(&finals).unwrap();
    let on = next.step(input).unwrap();
    next.begin();
    assert!(next.step(input).unwrap() != on);
}

#[test]
fn sessions_with_cells_learn_as_learners_do() {
    for case in session_cases() {
        a_session_learns_as_a_learner_does::<f32>(&Engine::cpu(), &case);
        a_session_learns_as_a_learner_does::<f64>(&Engine::cpu(), &case);
    }
}

#[test]
fn what_networks_have_in_common_is_given_once_to_cells() {
    let layer = CellKind::recurrent().layer(5, 9);
    let case = Case {
        population: 3,
        batch: 5,
        ..Case::new([layer, Dense::new(9, 2).into()])
    };
    what_networks_have_in_common_is_given_once(&Engine::cpu(), &case);
}

#[test]
fn learners_take_the_gradients_of_cells() {
    for neurons_and_batch in [[6, 1], [20, 3], [4, 33]] {
        let [neurons, batch] = neurons_and_batch;
        let case = Case {
            population: 3,
            batch,
            steps: 8,
            goal: Goal::Target(Loss::SquaredError, MaskKind::Steps),
            ..Case::new([
                CellKind::recurrent().layer(3, neurons),
                Dense::new(neurons, 2).into(),
            ])
        };
        let (network, parameters) = (case.network(), case.parameters().cast::<f32>());
        let (engine, episodes) = (Engine::cpu(), case.episodes().cast::<f32>());
        let open = || engine.learner(&network, &parameters, &[Optimiser::adam(0.01)]);
        let (mut stepped, mut applied) = (open().unwrap(), open().unwrap());
        let mut losses = Vec::new();
        for _ in 0..20 {
            let before = applied.parameters().unwrap();
            let gradients = engine.gradient(&network, &before, &episodes, Want::NOTHING);
            applied.apply(&gradients.unwrap().parameters).unwrap();
            losses.push(stepped.step(&episodes).unwrap());
            assert!(stepped.parameters().unwrap() == applied.parameters().unwrap());
        }
        assert!((0..3).all(|p| losses[19][p] < losses[0][p]), "{losses:?}");
    }
}

#[test]
fn contradictory_descriptions_are_refused_by_name() {
    let none = "plasticity = \"none\"\n";
    for (kind, inputs, settings, part) in [
        (
            "recurrent",
            4,
            "input = \"identity\"",
            "layer0.inputs: 4, but with input = \"identity\"",
        ),
        (
            "recurrent",
            3,
            &(none.to_owned() + "rule = \"hebb\""),
            "rule: given, but with plasticity",
        ),
        (
            "plastic",
            3,
            &(none.to_owned() + "rate = { value = 0.1 }"),
            "rate: given, but with plasticity",
        ),
        (
            "recurrent",
            3,
            &(none.to_owned() + "plastic_bias = true"),
            "plastic_bias: given, but with",
        ),
        (
            "recurrent",
            3,
            &(none.to_owned() + "bound = 1.0"),
            "bound: given, but with plasticity",
        ),
        (
            "recurrent",
            3,
            "coefficients = { q = { value = 0.1 } }",
            "coefficient `q`",
        ),
        (
            "recurrent",
            3,
            "rule = { trace = \"h + q * x\" }",
            "column 5: unknown name `q`",
        ),
        (
            "plastic",
            3,
            "rule = { trace = \"h + e\" }",
            "column 5: the rule has no eligibility trace",
        ),
        ("recurrent", 3, "bound = 0.0", "layer0.bound: 0, expected"),
        ("plastic", 3, "bound = inf", "layer0.bound: inf, expected"),
        (
            "recurrent",
            3,
            "modulation = { from = \"outside\" }",
            "`outside`",
        ),
        ("plastic", 3, "input = \"matrix\"", "unknown field `input`"),
    ] {
        let text =
            format!("[[layer]]\nkind = \"{kind}\"\ninputs = {inputs}\noutputs = 3\n{settings}\n");
        let error = Network::from_toml(&text, "net.toml").unwrap_err();
        let message = error.to_string();
        assert!(message.contains(part), "{text}\n{message}");
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
