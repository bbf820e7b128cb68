//! Sessions whose arrays stay on the device.

use crate::common::cases::{Case, Goal, of_network, plastic};
use crate::common::environment::acting_is_a_loop_by_hand;
use crate::common::sessions::{
    a_session_learns_as_a_learner_does, a_session_says_which_network_failed, cases, episodes_go_on,
    episodes_may_end_early, halves_are_the_engines, nothing_is_left_of_episodes_that_overflowed,
    small, steps_are_all_at_once, steps_to_come_show_nowhere,
    what_networks_have_in_common_is_given_once, wrong_calls_are_refused,
};
use crate::cuts::restricted;
use crate::{Body, body};
use metaplastic::episodes::{Objective, Upstream};
use metaplastic::{Engine, Episodes, Error, Extent, Layer, Optimiser, Want};

pub fn bodies() -> Vec<Body> {
    let mut bodies = Vec::new();
    for case in cases() {
        let [first, second] = [case.clone(), case.clone()];
        let [third, fourth] = [case.clone(), case.clone()];
        bodies.push(body(
            format!("a session's halves are the engine's: {case}"),
            move |engine| halves_are_the_engines::<f32>(engine, &case),
        ));
        bodies.push(body(
            format!("steps one at a time are all at once: {first}"),
            move |engine| steps_are_all_at_once::<f32>(engine, &first),
        ));
        bodies.push(body(
            format!("episodes may end early: {second}"),
            move |engine| episodes_may_end_early::<f32>(engine, &second),
        ));
        bodies.push(body(
            format!("episodes go on from where they were: {third}"),
            move |engine| episodes_go_on::<f32>(engine, &third),
        ));
        bodies.push(body(
            format!("a session learns as a learner does: {fourth}"),
            move |engine| a_session_learns_as_a_learner_does::<f32>(engine, &fourth),
        ));
    }
    bodies.push(body("a session splits its population", |engine| {
        let case = small();
        let narrow = restricted(engine, |profile| profile.binding_bytes = 8_000);
        halves_are_the_engines::<f32>(&narrow, &case);
        steps_are_all_at_once::<f32>(&narrow, &case);
        episodes_may_end_early::<f32>(&narrow, &case);
        episodes_go_on::<f32>(&narrow, &case);
        a_session_learns_as_a_learner_does::<f32>(&narrow, &case);
    }));
    bodies.push(body(
        "steps to come show nowhere in episodes that ended",
        steps_to_come_show_nowhere,
    ));
    bodies.push(body(
        "a network that fails in a session stops learning",
        a_session_says_which_network_failed,
    ));
    bodies.push(body(
        "episodes that overflowed leave nothing behind",
        |engine| {
            nothing_is_left_of_episodes_that_overflowed(engine);
        },
    ));
    bodies.push(body(
        "what networks have in common is given once to a session",
        |engine| {
            what_networks_have_in_common_is_given_once(engine, &cases()[1]);
            what_networks_have_in_common_is_given_once(engine, &in_pieces());
            let some_together = Case {
                population: 5,
                batch: 40,
                steps: 64,
                goal: Goal::OutputGradient,
                ..Case::new([Layer::Plastic(plastic(40, 10))])
            };
            what_networks_have_in_common_is_given_once(engine, &some_together);
        },
    ));
    bodies.push(body(
        "what networks have in common goes to the device once",
        what_is_in_common_travels_once,
    ));
    bodies.push(body(
        "what is computed on the device stays there",
        |engine| {
            outputs_are_differentiated_where_they_are(engine, &small());
            let narrow = restricted(engine, |profile| profile.binding_bytes = 8_000);
            outputs_are_differentiated_where_they_are(&narrow, &small());
        },
    ));
    bodies.push(body(
        "acting in an environment is a loop by hand",
        acting_is_a_loop_by_hand::<f32>,
    ));
    bodies.push(body("wrong calls of a session are refused", |engine| {
        wrong_calls_are_refused(engine);
        let (case, narrow) = (
            small(),
            restricted(engine, |profile| profile.binding_bytes = 1_500),
        );
        let (network, parameters) = (case.network(), case.parameters().cast::<f32>());
        let extent = Extent::new(case.batch, case.steps);
        let error = narrow.session(&network, &parameters, extent).unwrap_err();
        assert!(
            matches!(&error, Error::DeviceLimit { limit: 1_500, .. }),
            "{error}"
        );
    }));
    bodies
}

/// A case in which one network's input and traces are more than is copied on the device at once.
fn in_pieces() -> Case {
    Case {
        population: 3,
        batch: 40,
        steps: 70,
        goal: Goal::OutputGradient,
        ..Case::new([Layer::Plastic(plastic(100, 66))])
    }
}

/// On a device of its own, since bytes are counted by device.
fn what_is_in_common_travels_once(engine: &Engine) {
    let Engine::Gpu(gpu) = engine else {
        unreachable!("the engine is a GPU")
    };
    let own = Engine::gpu(Some(&gpu.index().to_string())).expect("a device");
    let Engine::Gpu(gpu) = &own else {
        unreachable!("it is a GPU's")
    };
    let case = Case {
        initial_trace: true,
        ..in_pieces()
    };
    let (network, parameters) = (case.network(), case.parameters().cast::<f32>());
    let extent = Extent::new(case.batch, case.steps).with_initial_states();
    let mut session = own
        .session(&network, &parameters, extent)
        .expect("a session");
    let mut written = |episodes: &Episodes<'_, f32>| {
        let before = gpu.bytes_written();
        session.forward(episodes).expect("outputs");
        let forward = gpu.bytes_written();
        let Objective::OutputGradient(gradient) = &episodes.objective else {
            unreachable!("the case has a gradient on the output")
        };
        session.backward(gradient.view()).expect("gradients");
        [forward - before, gpu.bytes_written() - forward]
    };
    let of_each = case.episodes().cast::<f32>();
    let [forward, backward] = written(&of_each);
    let [common_forward, common_backward] = written(&of_network(&of_each, 0));
    assert_eq!(3 * common_forward, forward);
    // A reverse half is also told how many steps were done.
    assert!(
        5 * common_backward < 2 * backward,
        "{common_backward} of {backward}"
    );
}

/// Half the squared output as a loss, whose gradient is the output: copied on the device, it gives the bits that it gives
/// by way of the host.
fn outputs_are_differentiated_where_they_are(engine: &Engine, case: &Case) {
    let Engine::Gpu(gpu) = engine else {
        unreachable!("the engine is a GPU")
    };
    let (network, parameters) = (case.network(), case.parameters().cast::<f32>());
    let episodes = case.episodes().cast::<f32>();
    let open = |want| {
        let extent = Extent::new(case.batch, case.steps).want(want);
        let session =
            engine.learning_session(&network, &parameters, &[Optimiser::adam(0.01)], extent);
        session.expect("a session")
    };
    let (mut here, mut there) = (open(Want::default()), open(Want::NOTHING));
    for _ in 0..3 {
        let output = here.forward(&episodes).expect("outputs").output;
        let output = output.expect("it is wanted");
        here.learn(&output).expect("an update");
        let outcome = there.forward(&episodes).expect("it runs");
        assert!(outcome.output.is_none());
        let mut encoder = gpu
            .wgpu_device()
            .create_command_encoder(&Default::default());
        for arrays in there.device_arrays() {
            let (from, to) = (&arrays.output, &arrays.output_gradient);
            assert_eq!(from.size(), to.size());
            encoder.copy_buffer_to_buffer(from, 0, to, 0, from.size());
        }
        gpu.wgpu_queue().submit([encoder.finish()]);
        there.learn(Upstream::on_device()).expect("an update");
        assert!(here.state().expect("a state") == there.state().expect("a state"));
    }
    // Some of the steps, with something in the arrays of the others.
    let extent = Extent::new(case.batch, case.steps).step_by_step();
    let session = || {
        engine
            .session(&network, &parameters, extent)
            .expect("a session")
    };
    let [mut here, mut there] = [session(), session()];
    let inputs = episodes.input.slice(ndarray::s![.., .., ..3, ..]);
    let mut outputs = Vec::new();
    for input in inputs.axis_iter(ndarray::Axis(2)) {
        outputs.push(here.step(input).expect("a step"));
        there.step(input).expect("a step");
    }
    let outputs: Vec<_> = outputs.iter().map(|output| output.view()).collect();
    let gradient = ndarray::stack(ndarray::Axis(2), &outputs).expect("of one shape");
    let mut encoder = gpu
        .wgpu_device()
        .create_command_encoder(&Default::default());
    for arrays in there.device_arrays() {
        let (from, to) = (&arrays.output, &arrays.output_gradient);
        encoder.copy_buffer_to_buffer(from, 0, to, 0, from.size());
    }
    gpu.wgpu_queue().submit([encoder.finish()]);
    let here = here.backward(&gradient).expect("gradients");
    let there = there.backward(Upstream::on_device()).expect("gradients");
    assert!(here.parameters == there.parameters);
}
