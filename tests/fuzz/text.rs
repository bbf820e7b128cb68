//! Descriptions of networks, and recipes.

use crate::mutation::{Input, mutated};
use crate::{fuzz, seeds};
use metaplastic::parameters::Layout;
use metaplastic::random::Purpose;
use metaplastic::tasks;
use metaplastic::training::Recipe;
use metaplastic::{Engine, Episodes, Error, Network, Parameters, Want};
use ndarray::Array4;
use proptest::prelude::*;
use proptest::test_runner::TestCaseError;

/// More numbers than this are not computed with here.
const SMALL: usize = 20_000;

#[test]
fn mutated_network_descriptions_are_read_or_refused() {
    for seed in seeds("network") {
        let text = String::from_utf8(seed).unwrap();
        Network::from_toml(&text, "the corpus").unwrap();
    }
    fuzz(
        1_500,
        mutated(seeds("network")),
        |Input(bytes)| match Network::from_toml(&String::from_utf8_lossy(&bytes), "origin") {
            Ok(network) => is_sound(&network),
            Err(error) => names_its_origin(&error),
        },
    );
}

fn names_its_origin(error: &Error) -> Result<(), TestCaseError> {
    let text = error.to_string();
    prop_assert!(text.starts_with("origin: "), "{text}");
    Ok(())
}

fn is_sound(network: &Network) -> Result<(), TestCaseError> {
    let text = network.to_toml();
    prop_assert_eq!(&Network::from_toml(&text, "again").unwrap(), network);
    let Ok(layout) = Layout::new(network) else {
        return Ok(());
    };
    let sizes: usize = layout.tensors().iter().map(|tensor| tensor.len).sum();
    prop_assert_eq!(sizes, layout.size());
    if layout.size() > SMALL || network.inputs() > SMALL {
        return Ok(());
    }
    match Parameters::<f32>::new(network, 2) {
        Ok(parameters) => {
            prop_assert!(parameters.values().iter().all(|value| value.is_finite()));
            let episodes = Episodes::new(Array4::ones((2, 1, 3, network.inputs())));
            let gradient = Array4::ones((2, 1, 3, network.outputs()));
            let episodes = episodes.with_output_gradient(gradient);
            let engine = Engine::cpu();
            engine
                .gradient(network, &parameters, &episodes, Want::ALL)
                .unwrap();
        }
        Err(error) => prop_assert!(matches!(error, Error::Setting { .. }), "{error}"),
    }
    Ok(())
}

#[cfg(feature = "gpu")]
#[test]
fn plans_of_mutated_networks_are_made_or_refused() {
    let size = || prop::sample::select(&[0usize, 1, 2, 17, 1_000, usize::MAX][..]);
    let works = (mutated(seeds("network")), [size(), size(), size()]);
    fuzz(200, works, |(Input(bytes), [population, batch, steps])| {
        let text = String::from_utf8_lossy(&bytes);
        if let Ok(network) = Network::from_toml(&text, "origin") {
            let profile = metaplastic::gpu::Profile::default();
            // Whatever the device's limits say to it.
            let _ = metaplastic::gpu::plan(&network, &profile, population, batch, steps);
        }
        Ok(())
    });
}

#[test]
fn mutated_recipes_are_read_or_refused() {
    let recipes = (mutated(seeds("recipe")), 0..tasks::all().len());
    fuzz(1_500, recipes, |(Input(bytes), task)| {
        let text = String::from_utf8_lossy(&bytes);
        let whole = Recipe::from_toml(&text, "origin");
        let paper = Recipe::new(tasks::all().swap_remove(task)).unwrap();
        let laid_over = paper.variation(&text, "origin");
        for recipe in [whole, laid_over] {
            match recipe {
                Ok(recipe) => trains(&recipe)?,
                Err(error) => names_its_origin(&error)?,
            }
        }
        Ok(())
    });
}

/// The recipe is valid and survives its TOML forms; where it is small, its networks start and learn.
fn trains(recipe: &Recipe) -> Result<(), TestCaseError> {
    recipe.check().unwrap();
    for text in [recipe.to_toml(), recipe.to_commented_toml()] {
        prop_assert_eq!(&Recipe::from_toml(&text, "again").unwrap(), recipe);
    }
    let learned = recipe.meta_steps() - recipe.frozen_meta_steps();
    prop_assert!(learned > 0 && recipe.frozen_meta_steps() > 0);
    if recipe.synapse_steps() > SMALL as u64 || recipe.task.inputs() > SMALL {
        return Ok(());
    }
    let parameters = Parameters::<f32>::initialise(
        &recipe.network,
        &recipe.initial,
        recipe.population,
        recipe.seed,
    )
    .unwrap();
    prop_assert!(parameters.values().iter().all(|value| value.is_finite()));
    let optimisers = [recipe.optimiser.clone()];
    // Only the start of a learned rate is held against its bounds here.
    let Ok(mut learner) = Engine::cpu().learner(&recipe.network, &parameters, &optimisers) else {
        return Ok(());
    };
    let source = recipe.source(Purpose::Training);
    learner.train(&source, 0..learned.min(3)).unwrap();
    let parameters = learner.parameters().unwrap();
    prop_assert!(parameters.values().iter().all(|value| value.is_finite()));
    Ok(())
}
