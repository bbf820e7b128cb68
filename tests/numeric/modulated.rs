//! Layers whose rows go through all steps by themselves, with a modulator that episodes are given: the CPU engine, in both
//! precisions, against the oracle.

use crate::common::bodies::{all_match_oracle, is_reproducible, networks_are_independent, run};
use crate::common::cases::{Case, Goal, MaskKind};
use crate::common::compare::{CPU_F32, CPU_F64};
use crate::common::laws::modulated_rules;
use crate::common::modulated::{any_modulated, known_cases, modulated, modulations};
use crate::common::sessions::{
    a_session_learns_as_a_learner_does, episodes_go_on_and_may_end_early, halves_are_the_engines,
    steps_are_all_at_once,
};
use crate::common::threads::pool;
use metaplastic::{Engine, Loss, Optimiser, Rule, Want};

fn on_the_cpu(title: &str, cases: &[Case]) {
    all_match_oracle(title, cases, &CPU_F64, &CPU_F32);
}

#[test]
fn gradients_are_right_with_every_modulator() {
    let outputs = [1, 2, 3, 5, 8, 15, 16, 17, 31, 32, 33, 40];
    let cases = any_modulated(
        300,
        [&outputs, &[1, 3, 4, 17, 40], &[1, 2, 3, 9, 16, 33, 63, 66]],
    );
    on_the_cpu("modulators", &cases);
}

/// Traces are kept, and sums over earlier steps end at them.
#[test]
fn gradients_are_right_over_any_number_of_steps() {
    let cases = any_modulated(60, [&[1, 2, 5], &[1, 5], &[64, 65, 130, 250]]);
    on_the_cpu("steps", &cases);
}

#[test]
fn gradients_are_right_of_many_rows() {
    let cases = any_modulated(60, [&[63, 64, 65, 100, 130], &[1, 2, 5], &[1, 3, 17]]);
    on_the_cpu("rows", &cases);
}

#[test]
fn gradients_are_right_of_rules_that_are_known() {
    on_the_cpu("known", &known_cases(&modulated_rules(), 20));
}

#[test]
fn bits_are_the_same_on_any_number_of_threads() {
    for case in known_cases(&modulated_rules(), 150) {
        let [one, four] =
            [1, 4].map(|threads| pool(threads).install(|| run::<f32>(&Engine::cpu(), &case)));
        assert!(one == four, "{case}");
        is_reproducible(&Engine::cpu(), &case);
    }
}

#[test]
fn networks_of_a_population_are_as_they_are_alone() {
    for case in known_cases(&modulated_rules(), 20) {
        networks_are_independent(&Engine::cpu(), &case);
    }
}

#[test]
fn sessions_are_the_engines_gradient() {
    let engine = Engine::cpu();
    for case in known_cases(&modulated_rules(), 67) {
        halves_are_the_engines::<f32>(&engine, &case);
        halves_are_the_engines::<f64>(&engine, &case);
        steps_are_all_at_once::<f32>(&engine, &case);
        steps_are_all_at_once::<f64>(&engine, &case);
    }
}

#[test]
fn episodes_with_modulators_go_on_and_may_end_early() {
    let engine = Engine::cpu();
    for case in known_cases(&modulated_rules(), 20) {
        episodes_go_on_and_may_end_early::<f32>(&engine, &case);
        episodes_go_on_and_may_end_early::<f64>(&engine, &case);
    }
}

#[test]
fn sessions_learn_as_learners_do() {
    for case in known_cases(&modulated_rules(), 20) {
        a_session_learns_as_a_learner_does::<f32>(&Engine::cpu(), &case);
        a_session_learns_as_a_learner_does::<f64>(&Engine::cpu(), &case);
    }
}

/// Networks side by side, more than a vector has lanes, and each by itself: what a learner's optimiser is given is the gradient.
#[test]
fn learners_take_the_gradients() {
    for (population, batch, sizes) in [(35, 2, [7, 5]), (3, 1, [24, 70]), (2, 40, [5, 6])] {
        for (index, rule) in modulated_rules().iter().enumerate() {
            let modulation = modulations()[index % 2];
            let case = Case {
                population,
                batch,
                steps: 9,
                goal: Goal::Target(Loss::SquaredError, MaskKind::All),
                initial_trace: true,
                ..Case::new([modulated(rule, modulation, sizes).into()])
            };
            learner_takes_the_gradients(&case);
        }
    }
}

fn learner_takes_the_gradients(case: &Case) {
    let (network, parameters) = (case.network(), case.parameters());
    let (engine, episodes) = (Engine::cpu(), case.episodes());
    let gradients = engine.gradient(&network, &parameters, &episodes, Want::NOTHING);
    let gradients = gradients.unwrap().parameters;
    let open = || engine.learner(&network, &parameters, &[Optimiser::sgd(1.0, 0.0)]);
    let (mut stepped, mut applied) = (open().unwrap(), open().unwrap());
    stepped.step(&episodes).unwrap();
    applied.apply(&gradients).unwrap();
    let [stepped, applied] = [stepped, applied].map(|learner| learner.parameters().unwrap());
    assert!(stepped != parameters, "{case}");
    for (stepped, applied) in stepped.values().iter().zip(applied.values()) {
        // How vectors are filled may differ, and so the last bits.
        assert!(
            (stepped - applied).abs() <= 1e-11,
            "{case}: {stepped}, {applied}"
        );
    }
}

/// Vectors have lanes without a row or an episode. In them a modulator of zero would divide by zero.
#[test]
fn rows_that_there_are_not_disturb_none() {
    let rule = Rule::parse("0.9 * h + rate * y * x / m").unwrap();
    for (outputs, batch) in [(1, 1), (3, 5), (3, 40), (33, 1), (70, 1)] {
        for modulation in modulations() {
            let case = Case {
                batch,
                initial_trace: true,
                trace_gradient: true,
                ..Case::new([
                    modulated(&rule, modulation, [24, outputs]).into(),
                    modulated(&rule, modulation, [outputs, 3]).into(),
                ])
            };
            on_the_cpu("lanes", &[case]);
        }
    }
}
