//! Layers whose rows go through all steps by themselves, with a modulator that episodes are given: against the oracle, cut, and as
//! sessions.

use crate::common::bodies::{is_reproducible, matches_oracle, networks_are_independent, run};
use crate::common::cases::{Case, Goal};
use crate::common::compare::GPU;
use crate::common::laws::modulated_rules;
use crate::common::modulated::{any_modulated, known_cases, modulated, modulations};
use crate::common::sessions::{
    a_session_learns_as_a_learner_does, episodes_go_on, episodes_may_end_early,
    halves_are_the_engines, steps_are_all_at_once,
};
use crate::cuts::restricted;
use crate::recurrent::batches_may_be_held;
use crate::{Body, body};
use metaplastic::gpu::{PlanReport, plan};
use metaplastic::{Activation, Dense, Engine, Error, Rule, Want};

fn plan_of(engine: &Engine, case: &Case) -> PlanReport {
    let Engine::Gpu(gpu) = engine else {
        unreachable!("GPU trials run on a GPU")
    };
    let sizes = [case.population, case.batch, case.steps];
    let [networks, batch, steps] = sizes;
    let plan = plan(&case.network(), gpu.profile(), networks, batch, steps);
    plan.expect("a plan")
}

/// The kernels of rows, and none of cells.
fn goes_by_rows(engine: &Engine, case: &Case) {
    let plan = plan_of(engine, case);
    let mut names = plan.kernels.iter().map(|kernel| &kernel.name);
    assert!(
        names.clone().any(|name| name.contains("backward")),
        "{case}"
    );
    assert!(names.all(|name| !name.contains("cell")), "{case}");
}

fn match_oracle(engine: &Engine, cases: &[Case]) {
    for case in cases {
        goes_by_rows(engine, case);
        println!("{case}\n{}", matches_oracle(engine, case, &GPU));
    }
}

pub fn bodies() -> Vec<Body> {
    let mut bodies = vec![
        body("gradients are right with every modulator", |engine| {
            let outputs = [1, 2, 3, 5, 8, 15, 16, 17, 31, 32, 33, 40];
            let steps = [1, 2, 3, 9, 16, 33, 63, 66];
            let cases = any_modulated(80, [&outputs, &[1, 3, 4, 17, 40], &steps]);
            match_oracle(engine, &cases);
        }),
        body(
            "gradients are right with modulators over any number of steps",
            |engine| {
                let steps = [15, 16, 17, 64, 65, 130];
                match_oracle(
                    engine,
                    &any_modulated(30, [&[1, 2, 5], &[1, 5, 18], &steps]),
                );
            },
        ),
        body(
            "gradients are right with modulators of many rows",
            |engine| {
                let outputs = [63, 64, 65, 100, 130];
                match_oracle(
                    engine,
                    &any_modulated(20, [&outputs, &[1, 2, 5], &[1, 3, 17]]),
                );
            },
        ),
        body(
            "gradients are right with modulators of rules that are known",
            |engine| {
                match_oracle(engine, &known_cases(&modulated_rules(), 20));
            },
        ),
        body("modulators where rows are spread over lanes", |engine| {
            // Tiles of one row and of two, in subgroups and beyond them.
            for (lanes, sizes) in [(1, [300, 5]), (2, [300, 6]), (8, [256, 4]), (8, [1024, 2])] {
                let engine = restricted(engine, |profile| {
                    profile.subgroup_size = lanes.min(profile.subgroup_size);
                });
                for modulation in modulations() {
                    let case = Case {
                        steps: 20,
                        initial_trace: true,
                        trace_gradient: true,
                        ..Case::new([modulated(&Rule::oja(), modulation, sizes).into()])
                    };
                    match_oracle(&engine, &[case]);
                }
            }
        }),
        body(
            "modulated networks of a population are as they are alone",
            |engine| {
                for case in known_cases(&modulated_rules(), 20) {
                    networks_are_independent(engine, &case);
                    is_reproducible(engine, &case);
                }
            },
        ),
        body(
            "cuts change nothing of modulated layers",
            cuts_change_nothing,
        ),
        body(
            "sessions with modulators are the engine's gradient",
            |engine| {
                for case in known_cases(&modulated_rules(), 20) {
                    halves_are_the_engines::<f32>(engine, &case);
                    steps_are_all_at_once::<f32>(engine, &case);
                }
            },
        ),
        body(
            "episodes with modulators go on and may end early",
            |engine| {
                for case in known_cases(&modulated_rules(), 18) {
                    episodes_go_on::<f32>(engine, &case);
                    let early = Case {
                        initial_trace: false,
                        trace_gradient: false,
                        ..case
                    };
                    episodes_may_end_early::<f32>(engine, &early);
                }
            },
        ),
        body("sessions with modulators learn as learners do", |engine| {
            for case in known_cases(&modulated_rules(), 9) {
                a_session_learns_as_a_learner_does::<f32>(engine, &case);
            }
        }),
    ];
    bodies.push(body("batches with modulators may be held", |engine| {
        for modulation in modulations() {
            let layer = modulated(&Rule::hebb(), modulation, [5, 6]).into();
            batches_may_be_held(engine, &layer);
        }
    }));
    bodies
}

/// The gradients are bit for bit the same however little one buffer may hold; that of the input but for rounding.
fn cuts_change_nothing(engine: &Engine) {
    for (index, modulation) in modulations().into_iter().cycle().take(4).enumerate() {
        let rule = [Rule::hebb(), Rule::oja()][index / 2].clone();
        let case = Case {
            population: 2,
            batch: 18,
            steps: 100,
            goal: Goal::OutputGradient,
            initial_trace: true,
            trace_gradient: true,
            ..Case::new([
                modulated(&rule, modulation, [5, 7]).into(),
                Dense::new(7, 3).activation(Activation::Tanh).into(),
            ])
        };
        let whole = run::<f32>(engine, &case);
        // Cut over networks; over episodes; within a block of episodes; over time.
        let (mut bytes, mut segments, mut cuts) = (100_000, 1, 0);
        loop {
            let narrow = restricted(engine, |profile| profile.binding_bytes = bytes);
            let (parameters, episodes) = (case.parameters().cast(), case.episodes().cast());
            let cut = narrow.gradient(&case.network(), &parameters, &episodes, Want::ALL);
            let cut = match cut {
                Err(Error::DeviceLimit { .. }) => break,
                cut => cut.expect("gradients"),
            };
            assert!(
                cuts > 0 || cut == whole,
                "{case}: another result of cuts over episodes"
            );
            let is_same = cut.outcome == whole.outcome
                && cut.parameters == whole.parameters
                && cut.given == whole.given;
            assert!(is_same, "{case}: another result within {bytes} bytes");
            // Where time is cut, the sweep for the input begins from the forward sweep's trace instead of one of its own.
            let [input, expected] = [cut, whole.clone()].map(|it| it.input.expect("it is wanted"));
            let largest = expected.iter().fold(0.0f32, |most, it| most.max(it.abs()));
            let mut errors = input.iter().zip(&expected).map(|(a, b)| (a - b).abs());
            assert!(
                errors.all(|error| error <= 1e-5 * largest),
                "{case}: within {bytes} bytes"
            );
            segments = plan_of(&narrow, &case).segments;
            (bytes, cuts) = (bytes * 2 / 3, cuts + 1);
        }
        assert!(cuts > 3 && segments > 1, "{cuts} cuts, {segments} segments");
    }
}
