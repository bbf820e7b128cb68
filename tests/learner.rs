//! Populations in training on the CPU engine.

mod common;

use common::compare::{CPU_LEARNING, OPTIMISER};
use common::training as body;
use metaplastic::Engine;

#[test]
fn optimisers_follow_their_equations() {
    for (name, optimisers) in body::optimisers() {
        let report = body::optimiser_follows_its_equations(&Engine::cpu(), &optimisers, &OPTIMISER);
        println!("{name}\n{report}");
    }
}

#[test]
fn learning_follows_its_equations() {
    for (name, optimisers) in body::optimisers() {
        let report =
            body::learning_follows_its_equations(&Engine::cpu(), &optimisers, &CPU_LEARNING);
        println!("{name}\n{report}");
    }
}

#[test]
fn generated_episodes_are_given_ones() {
    for batch in [1, 5, 40] {
        body::generated_episodes_are_given_ones(&Engine::cpu(), batch);
    }
}

#[test]
fn evaluation_changes_nothing() {
    body::evaluation_changes_nothing(&Engine::cpu());
}

#[test]
fn networks_train_as_alone() {
    for batch in [1, 40] {
        body::networks_train_as_alone(&Engine::cpu(), batch);
    }
}

#[test]
fn training_goes_on_where_it_stopped() {
    body::training_goes_on_where_it_stopped(&Engine::cpu());
}

#[test]
fn pauses_of_a_run_change_no_bits() {
    body::pauses_of_a_run_change_no_bits(&Engine::cpu());
}

#[test]
fn one_shot_is_learned() {
    body::one_shot_is_learned(&Engine::cpu(), 20, 4000);
}

#[test]
fn an_infinite_loss_freezes_its_network() {
    body::an_infinite_loss_freezes_its_network(&Engine::cpu());
}

#[test]
fn an_infinite_gradient_freezes_its_network() {
    body::an_infinite_gradient_freezes_its_network(&Engine::cpu());
}

#[test]
fn a_huge_learning_rate_freezes_its_network() {
    body::a_huge_learning_rate_freezes_its_network(&Engine::cpu());
}

#[test]
fn parameters_stay_finite() {
    body::parameters_stay_finite(&Engine::cpu());
}

#[test]
fn a_failure_in_generated_episodes_is_reported() {
    body::a_failure_in_generated_episodes_is_reported(&Engine::cpu());
}
