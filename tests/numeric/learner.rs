//! Populations in training on the CPU engine.

use crate::common::compare::{CPU_LEARNING, OPTIMISER};
use crate::common::threads::pool;
use crate::common::training as body;
use metaplastic::{
    Activation, Engine, Episodes, Initial, Layer, Loss, Network, Optimiser, Parameters, Plastic,
    Rate,
};
use ndarray::Array4;

#[test]
fn optimisers_follow_their_equations() {
    for layer in [body::of_rows(), body::of_cells()] {
        for (name, optimisers) in body::optimisers() {
            let (engine, tolerance) = (Engine::cpu(), &OPTIMISER);
            let report =
                body::optimiser_follows_its_equations(&engine, &layer, &optimisers, tolerance);
            println!("{name}\n{report}");
        }
    }
}

#[test]
fn frozen_parameters_keep_their_bits() {
    body::frozen_parameters_keep_their_bits(&Engine::cpu());
}

#[test]
fn learning_follows_its_equations() {
    for layer in [body::of_rows(), body::of_cells()] {
        for (name, optimisers) in body::optimisers() {
            let (engine, tolerance) = (Engine::cpu(), &CPU_LEARNING);
            let report =
                body::learning_follows_its_equations(&engine, &layer, &optimisers, tolerance);
            println!("{name}\n{report}");
        }
    }
}

#[test]
fn generated_episodes_train_as_the_same_ones_given() {
    for batch in [1, 5, 40] {
        body::generated_episodes_are_given_ones(&Engine::cpu(), batch);
    }
}

#[test]
fn episodes_from_the_host_are_learned_alike() {
    for batch in [1, 5, 40] {
        body::episodes_from_the_host_are_learned_alike(&Engine::cpu(), batch);
    }
}

#[test]
fn batches_are_learned_alike_however_they_are_given() {
    body::batches_are_learned_alike(&Engine::cpu());
}

#[test]
fn a_failed_network_counts_no_updates() {
    body::a_failed_network_counts_no_updates(&Engine::cpu());
}

#[test]
fn frozen_gradients_may_be_anything() {
    body::frozen_gradients_may_be_anything(&Engine::cpu());
}

#[test]
fn evaluation_changes_nothing() {
    body::evaluation_changes_nothing(&Engine::cpu());
}

#[test]
fn networks_of_a_population_train_as_they_would_alone() {
    for batch in [1, 40] {
        body::networks_train_as_alone(&Engine::cpu(), batch);
    }
}

#[test]
fn training_goes_on_where_it_stopped() {
    body::training_goes_on_where_it_stopped(&Engine::cpu());
}

#[test]
fn wrong_calls_are_refused() {
    body::wrong_calls_are_refused(&Engine::cpu());
}

#[test]
fn calls_may_come_in_any_order() {
    body::calls_may_come_in_any_order(&Engine::cpu(), &CPU_LEARNING);
}

#[test]
fn failures_say_how_many_episodes_were_seen() {
    body::failures_count_episodes(&Engine::cpu());
}

/// Batches of several sizes, each from another pool of threads: as many synapses as have the sums of few blocks held at a
/// time.
/// Networks side by side, in more groups than one.
#[test]
fn many_small_networks_learn_alike_on_any_number_of_threads() {
    let learn = |threads: usize| {
        pool(threads).install(|| {
            let mut learner = body::one_shot_learner(&Engine::cpu(), 70, 3);
            let errors = learner.train(&body::source(3, 2), 0..20).unwrap();
            (errors, learner.state().unwrap())
        })
    };
    let expected = learn(1);
    for threads in [2, 3, 7] {
        assert!(learn(threads) == expected, "{threads} threads");
    }
}

#[test]
fn a_learner_serves_pools_of_any_size() {
    let layer =
        Layer::from(Plastic::new(300, 300, Rate::learned(0.1)).activation(Activation::Tanh));
    let network = Network::new(Loss::SquaredError, [layer]).unwrap();
    let initial = Initial {
        scale: 0.02,
        ..Initial::default()
    };
    let parameters = Parameters::<f32>::initialise(&network, &initial, 2, 5).unwrap();
    let learn = |threads: [usize; 5]| {
        let optimisers = [Optimiser::adam(1e-3)];
        let learner = Engine::cpu().learner(&network, &parameters, &optimisers);
        let mut learner = learner.unwrap();
        let losses = threads.into_iter().zip([200, 200, 5, 33, 200]);
        let losses = losses.map(|(threads, batch)| {
            let input = Array4::from_shape_fn((2, batch, 2, 300), |(p, b, t, i)| {
                ((7 * p + 3 * b + 2 * t + i) as f32).sin()
            });
            let target = input.mapv(|x| 0.5 * x);
            let episodes = Episodes::new(input).with_target(target);
            pool(threads).install(|| learner.step(&episodes).unwrap())
        });
        let losses: Vec<_> = losses.collect();
        (losses, learner.parameters().unwrap())
    };
    let expected = learn([2; 5]);
    for threads in [[1, 7, 2, 1, 7], [7, 1, 1, 2, 2]] {
        assert!(learn(threads) == expected, "{threads:?}");
    }
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
fn a_rule_without_a_value_freezes_its_network() {
    body::a_rule_without_a_value_freezes_its_network(&Engine::cpu());
}

#[test]
fn parameters_stay_finite() {
    body::parameters_stay_finite(&Engine::cpu());
}

#[test]
fn a_failure_in_generated_episodes_is_reported() {
    body::a_failure_in_generated_episodes_is_reported(&Engine::cpu());
}
