//! Sessions whose arrays stay on the device.

use crate::common::sessions::{
    cases, episodes_may_end_early, halves_are_the_engines,
    nothing_is_left_of_episodes_that_overflowed, small, steps_are_all_at_once,
    what_networks_have_in_common_is_given_once, wrong_calls_are_refused,
};
use crate::cuts::restricted;
use crate::{Body, body};
use metaplastic::{Error, Extent};

pub fn bodies() -> Vec<Body> {
    let mut bodies = Vec::new();
    for case in cases() {
        let [first, second] = [case.clone(), case.clone()];
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
    }
    bodies.push(body("a session splits its population", |engine| {
        let case = small();
        let narrow = restricted(engine, |profile| profile.binding_bytes = 8_000);
        halves_are_the_engines::<f32>(&narrow, &case);
        steps_are_all_at_once::<f32>(&narrow, &case);
        episodes_may_end_early::<f32>(&narrow, &case);
    }));
    bodies.push(body(
        "episodes that overflowed leave nothing behind",
        |engine| {
            nothing_is_left_of_episodes_that_overflowed(engine);
        },
    ));
    bodies.push(body(
        "what networks have in common is given once to a session",
        |engine| {
            what_networks_have_in_common_is_given_once(engine);
        },
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
