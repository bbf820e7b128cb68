//! Layers whose rows step together, of every kind in every company: against the oracle, and as sessions.

use crate::common::bodies::{cells_match_oracle, is_reproducible, networks_are_independent, run};
use crate::common::cases::{Case, CellKind, Goal, MaskKind};
use crate::common::cells::{any_cases, four_kinds, modulated_cases, parallel_cases, session_cases};
use crate::common::compare::{GPU, GPU_PRECISION};
use crate::common::sessions::{
    a_session_learns_as_a_learner_does, episodes_go_on, episodes_may_end_early,
    halves_are_the_engines, steps_are_all_at_once, what_networks_have_in_common_is_given_once,
};
use crate::cuts::restricted;
use crate::{Body, body};
use metaplastic::engine::Gradients;
use metaplastic::gpu::{PlanReport, plan};
use metaplastic::{Activation, Dense, Engine, Error, Layer, Loss, Optimiser, Want};

/// The same device as if its workgroups held no synapses: states lie in device memory, and each step is some dispatches.
fn with_states_in_memory(engine: &Engine) -> Engine {
    restricted(engine, |profile| profile.registers = 1)
}

/// Small cells with many steps, which are cut in every way.
fn cut_cases() -> Vec<Case> {
    let case = |kind: CellKind| Case {
        population: 2,
        batch: 18,
        steps: 100,
        goal: Goal::OutputGradient,
        initial_trace: true,
        trace_gradient: true,
        ..Case::new([
            kind.layer(5, 2),
            Dense::new(2, 3).activation(Activation::Tanh).into(),
        ])
    };
    four_kinds().map(case).to_vec()
}

/// Whether the kernel is one of those of a meta-step.
fn has_kernel(engine: &Engine, case: &Case, name: &str) -> bool {
    let plan = plan_of(engine, case);
    plan.kernels.iter().any(|kernel| kernel.name.contains(name))
}

fn try_run(engine: &Engine, case: &Case) -> metaplastic::Result<Gradients<f32>> {
    let (parameters, episodes) = (case.parameters().cast(), case.episodes().cast());
    engine.gradient(&case.network(), &parameters, &episodes, Want::ALL)
}

fn plan_of(engine: &Engine, case: &Case) -> PlanReport {
    let Engine::Gpu(gpu) = engine else {
        unreachable!("GPU trials run on a GPU")
    };
    let plan = plan(
        &case.network(),
        gpu.profile(),
        case.population,
        case.batch,
        case.steps,
    );
    plan.expect("a plan")
}

pub fn bodies() -> Vec<Body> {
    let mut bodies = vec![body(
        "gradients are right of every kind of cell",
        |engine| {
            // Of every size; over any number of steps; large.
            let sizes = [1, 2, 3, 5, 7, 8, 9, 15, 16, 17, 31, 32, 33];
            let steps = [1, 2, 3, 9, 15, 16, 17, 33, 50];
            let mut cases = any_cases(60, [&sizes, &[1, 3, 17, 40], &steps]);
            let steps = [31, 32, 33, 34, 256, 257, 290];
            cases.extend(any_cases(25, [&[1, 2, 3, 5, 9], &[1, 3, 17, 40], &steps]));
            let sizes = [63, 64, 65, 100, 127, 130, 150, 300];
            cases.extend(any_cases(15, [&sizes, &[1, 2, 3], &[1, 2, 3, 17]]));
            let in_memory = with_states_in_memory(engine);
            let engines = [engine, &in_memory].into_iter().cycle();
            let mut cases: Vec<_> = engines.zip(cases).collect();
            let holds =
                |(engine, case): &&(&Engine, Case)| has_kernel(engine, case, "cell-forward-steps");
            let held = cases.iter().filter(holds).count();
            assert!(held > 30 && held <= 50, "workgroups hold {held} cases");
            // Each modulator with each input, either way.
            for case in modulated_cases() {
                cases.extend([(engine, case.clone()), (&in_memory, case)]);
            }
            cells_match_oracle("cells", &cases, None, (&GPU, GPU_PRECISION));
        },
    )];
    for case in parallel_cases() {
        let several = Case {
            population: 3,
            ..case.clone()
        };
        bodies.push(body(
            format!("cells of a population are as they are alone: {several}"),
            move |engine| networks_are_independent(engine, &several),
        ));
        bodies.push(body(
            format!("cells are reproducible: {case}"),
            move |engine| is_reproducible(engine, &case),
        ));
    }
    for case in cut_cases() {
        bodies.push(body(
            format!("cuts change nothing of cells: {case}"),
            move |engine| cuts_change_nothing(engine, &case),
        ));
    }
    for case in cut_cases() {
        bodies.push(body(
            format!("cuts change nothing of cells whose states lie in memory: {case}"),
            move |engine| {
                let engine = with_states_in_memory(engine);
                assert!(has_kernel(&engine, &case, "cell-update"), "{case}");
                cuts_change_nothing(&engine, &case);
            },
        ));
    }
    for case in session_cases() {
        let cases = [(); 5].map(|()| case.clone());
        let [halves, steps, early, on, learning] = cases;
        bodies.push(body(
            format!("halves of sessions with cells are the engine's: {halves}"),
            move |engine| halves_are_the_engines::<f32>(engine, &halves),
        ));
        bodies.push(body(
            format!("steps of cells one at a time are all at once: {steps}"),
            move |engine| steps_are_all_at_once::<f32>(engine, &steps),
        ));
        let early = Case {
            initial_trace: false,
            trace_gradient: false,
            ..early
        };
        bodies.push(body(
            format!("episodes of cells may end early: {early}"),
            move |engine| episodes_may_end_early::<f32>(engine, &early),
        ));
        bodies.push(body(
            format!("episodes of cells go on: {on}"),
            move |engine| episodes_go_on::<f32>(engine, &on),
        ));
        bodies.push(body(
            format!("sessions with cells learn as learners do: {learning}"),
            move |engine| a_session_learns_as_a_learner_does::<f32>(engine, &learning),
        ));
    }
    bodies.push(body(
        "steps of cells whose states lie in memory are all at once",
        |engine| {
            let engine = with_states_in_memory(engine);
            for kind in four_kinds() {
                let case = Case {
                    population: 2,
                    batch: 3,
                    steps: 20,
                    goal: Goal::OutputGradient,
                    initial_trace: true,
                    trace_gradient: true,
                    ..Case::new([kind.layer(5, 7)])
                };
                steps_are_all_at_once::<f32>(&engine, &case);
                halves_are_the_engines::<f32>(&engine, &case);
            }
        },
    ));
    bodies.push(body("batches of cells may be held", |engine| {
        four_kinds()
            .iter()
            .for_each(|kind| batches_may_be_held(engine, &kind.layer(5, 6)));
    }));
    bodies.push(body(
        "what networks have in common is given once to cells",
        |engine| {
            let layer = CellKind::recurrent().layer(5, 9);
            let case = Case {
                population: 3,
                batch: 5,
                ..Case::new([layer, Dense::new(9, 2).into()])
            };
            what_networks_have_in_common_is_given_once(engine, &case);
        },
    ));
    bodies
}

/// The gradients are bit for bit the same however little one buffer may hold, down to where nothing fits.
fn cuts_change_nothing(engine: &Engine, case: &Case) {
    let whole = run::<f32>(engine, case);
    // Cut over networks; over episodes; within a block of episodes; over time.
    let (mut bytes, mut segments, mut cuts) = (60_000, 1, 0);
    loop {
        let narrow = restricted(engine, |profile| profile.binding_bytes = bytes);
        let cut = match try_run(&narrow, case) {
            Err(Error::DeviceLimit { .. }) => break,
            cut => cut.expect("gradients"),
        };
        assert!(cut == whole, "{case}: another result within {bytes} bytes");
        segments = plan_of(&narrow, case).segments;
        (bytes, cuts) = (bytes * 2 / 3, cuts + 1);
    }
    assert!(cuts > 3 && segments > 1, "{cuts} cuts, {segments} segments");
}

/// Meta-steps on batches that stay on the device give the bits of meta-steps on the same batches.
pub fn batches_may_be_held(engine: &Engine, layer: &Layer) {
    let case = |seed: u64| Case {
        population: 3,
        batch: 5,
        steps: 18,
        goal: Goal::Target(Loss::SquaredError, MaskKind::Steps),
        initial_trace: true,
        trace_gradient: true,
        seed,
        ..Case::new([layer.clone()])
    };
    let (network, parameters) = (case(1).network(), case(1).parameters().cast::<f32>());
    let open = || engine.learner(&network, &parameters, &[Optimiser::adam(0.01)]);
    let (mut stepped, mut held) = (open().expect("a learner"), open().expect("a learner"));
    let batches = [2, 3].map(|seed| case(seed).episodes().cast::<f32>());
    let kept = [0, 1].map(|index| held.hold(&batches[index]).expect("a held batch"));
    for index in [0, 1, 0] {
        let losses = stepped.step(&batches[index]).expect("a meta-step");
        assert_eq!(losses, held.step_on(&kept[index]).expect("a meta-step"));
    }
    assert!(stepped.parameters().expect("parameters") == held.parameters().expect("parameters"));
}
