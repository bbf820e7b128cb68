//! Sessions of the CPU engine, in both precisions.

use crate::common::sessions::{
    a_session_learns_as_a_learner_does, a_session_says_which_network_failed, cases, episodes_go_on,
    episodes_may_end_early, halves_are_the_engines, nothing_is_left_of_episodes_that_overflowed,
    small, steps_are_all_at_once, steps_to_come_show_nowhere,
    what_networks_have_in_common_is_given_once, wrong_calls_are_refused,
};
use metaplastic::Engine;

#[test]
fn halves_of_a_session_are_the_engines_gradient() {
    for case in cases() {
        halves_are_the_engines::<f32>(&Engine::cpu(), &case);
        halves_are_the_engines::<f64>(&Engine::cpu(), &case);
    }
}

#[test]
fn steps_one_at_a_time_give_the_bits_of_all_at_once() {
    for case in cases().into_iter().chain([small()]) {
        steps_are_all_at_once::<f32>(&Engine::cpu(), &case);
        steps_are_all_at_once::<f64>(&Engine::cpu(), &case);
    }
}

#[test]
fn episodes_may_end_before_the_last_step() {
    for case in cases().into_iter().chain([small()]) {
        episodes_may_end_early::<f32>(&Engine::cpu(), &case);
        episodes_may_end_early::<f64>(&Engine::cpu(), &case);
    }
}

#[test]
fn episodes_go_on_from_where_they_were() {
    for case in cases().into_iter().chain([small()]) {
        episodes_go_on::<f32>(&Engine::cpu(), &case);
        episodes_go_on::<f64>(&Engine::cpu(), &case);
    }
}

#[test]
fn a_session_with_optimisers_learns_as_a_learner_does() {
    for case in cases().into_iter().chain([small()]) {
        a_session_learns_as_a_learner_does::<f32>(&Engine::cpu(), &case);
        a_session_learns_as_a_learner_does::<f64>(&Engine::cpu(), &case);
    }
}

#[test]
fn a_network_that_fails_in_a_session_stops_learning() {
    a_session_says_which_network_failed(&Engine::cpu());
}

#[test]
fn episodes_that_overflowed_leave_nothing_behind() {
    nothing_is_left_of_episodes_that_overflowed(&Engine::cpu());
}

#[test]
fn data_common_to_a_population_is_given_once_to_a_session() {
    what_networks_have_in_common_is_given_once(&Engine::cpu(), &cases()[1]);
}

#[test]
fn wrong_calls_of_a_session_are_refused() {
    wrong_calls_are_refused(&Engine::cpu());
}

#[test]
fn steps_to_come_show_nowhere_in_episodes_that_ended() {
    steps_to_come_show_nowhere(&Engine::cpu());
}
