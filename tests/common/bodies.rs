//! Test bodies that run on any engine.

use super::cases::{Case, cast, of_episode, of_network};
use super::compare::{Report, Tensors, Tolerance, compare};
use super::oracle;
use metaplastic::{Engine, Gradients, Real, Want};

/// Runs a case on an engine.
pub fn run<R: Real>(engine: &Engine, case: &Case) -> Gradients<R> {
    engine
        .gradient(
            &case.network(),
            &case.parameters().cast::<R>(),
            &cast::<R>(&case.episodes()),
            Want::ALL,
        )
        .unwrap_or_else(|error| panic!("{case}: {error}"))
}

/// Compares every result and gradient of a case with the oracle's, and the forward run alone with both.
pub fn matches_oracle<R: Real>(engine: &Engine, case: &Case, tolerance: &Tolerance) -> Report {
    let reference = oracle::solve(&case.network(), &case.parameters(), &case.episodes());
    let gradients = run::<R>(engine, case);
    let actual = Tensors::from_gradients(&gradients);
    let report = compare(&reference, &actual, tolerance)
        .unwrap_or_else(|complaints| panic!("{} {}: {case}\n{complaints}", engine.kind(), R::NAME));
    let forward = engine
        .forward(
            &case.network(),
            &case.parameters().cast::<R>(),
            &cast::<R>(&case.episodes()),
        )
        .unwrap_or_else(|error| panic!("{case}: {error}"));
    assert!(
        forward == gradients.outcome,
        "{case}: forward alone is not bit for bit the forward half of the gradient"
    );
    report
}

/// Compares many cases; prints the worst errors.
pub fn all_match_oracle<R: Real>(
    engine: &Engine,
    title: &str,
    cases: impl IntoIterator<Item = Case>,
    tolerance: &Tolerance,
) -> Report {
    let mut report = Report::default();
    let mut count = 0;
    for case in cases {
        report.merge(
            &matches_oracle::<R>(engine, &case, tolerance),
            &case.to_string(),
        );
        count += 1;
    }
    assert!(count > 0, "{title}: no case");
    println!(
        "{title}: {count} cases on {} in {}\n{report}",
        engine.kind(),
        R::NAME
    );
    report
}

/// Two runs of the same case agree bit for bit.
pub fn is_reproducible(engine: &Engine, case: &Case) {
    assert!(
        run::<f32>(engine, case) == run::<f32>(engine, case),
        "{case}"
    );
}

/// Every network of a population gets bit for bit the results that it gets alone.
pub fn networks_are_independent(engine: &Engine, case: &Case) {
    assert!(
        case.population > 1,
        "{case}: a population of one shows nothing"
    );
    let together = Tensors::from_gradients(&run::<f32>(engine, case));
    let (parameters, episodes) = (case.parameters().cast::<f32>(), cast(&case.episodes()));
    for p in 0..case.population {
        let alone = engine
            .gradient(
                &case.network(),
                &parameters.slice(p..p + 1),
                &of_network(&episodes, p),
                Want::ALL,
            )
            .unwrap_or_else(|error| panic!("{case}: {error}"));
        assert!(
            Tensors::from_gradients(&alone) == together.network(p),
            "{case}: network {p} differs from itself alone"
        );
    }
}

/// The gradient of a loss over a batch is the mean of its episodes' gradients.
pub fn batch_is_the_mean_of_its_episodes(engine: &Engine, case: &Case, tolerance: &Tolerance) {
    let (parameters, episodes) = (case.parameters().cast::<f32>(), cast(&case.episodes()));
    let together = run::<f32>(engine, case).parameters.cast::<f64>();
    let mut mean = vec![0.0; together.values().len()];
    for b in 0..case.batch {
        let alone = engine
            .gradient(
                &case.network(),
                &parameters,
                &of_episode(&episodes, b),
                Want::default(),
            )
            .unwrap_or_else(|error| panic!("{case}: {error}"));
        for (mean, &value) in mean.iter_mut().zip(alone.parameters.values()) {
            *mean += f64::from(value) / case.batch as f64;
        }
    }
    let mut reference = together.clone();
    reference.values_mut().copy_from_slice(&mean);
    let tensors = |parameters| {
        let mut tensors = Tensors::new(case.population);
        tensors.add_parameters("gradient.", parameters);
        tensors
    };
    compare(&tensors(&reference), &tensors(&together), tolerance)
        .unwrap_or_else(|complaints| panic!("{case}\n{complaints}"));
}
