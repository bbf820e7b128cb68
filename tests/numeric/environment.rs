//! Populations in an environment, on the CPU engine.

use crate::common::environment::{
    acting_is_a_loop_by_hand, environments_that_do_not_fit_are_refused,
    episodes_end_at_steps_of_their_own, random_episodes_are_a_function_of_their_index,
};
use metaplastic::Engine;

#[test]
fn acting_in_an_environment_gives_the_bits_of_a_loop_by_hand() {
    acting_is_a_loop_by_hand::<f32>(&Engine::cpu());
    acting_is_a_loop_by_hand::<f64>(&Engine::cpu());
}

#[test]
fn episodes_of_an_environment_end_at_steps_of_their_own() {
    episodes_end_at_steps_of_their_own(&Engine::cpu());
}

#[test]
fn random_episodes_of_an_environment_are_a_function_of_their_index() {
    random_episodes_are_a_function_of_their_index(&Engine::cpu());
}

#[test]
fn an_environment_that_does_not_fit_is_refused() {
    environments_that_do_not_fit_are_refused(&Engine::cpu());
}
