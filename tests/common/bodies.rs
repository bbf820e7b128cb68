//! Test bodies that run on any engine.

use super::cases::{Case, cast, learned_rates, of_episode, of_network};
use super::compare::{CPU_F32, Report, Tensors, Tolerance, compare, compare_precision};
use super::oracle;
use metaplastic::{Engine, Episodes, Gradients, Network, Parameters, Real, Want};

/// Runs a case on an engine.
pub fn run<R: Real>(engine: &Engine, case: &Case) -> Gradients<R> {
    Problem::new(case).run(engine)
}

/// A case with its arrays made.
struct Problem<'a> {
    case: &'a Case,
    network: Network,
    parameters: Parameters<f64>,
    episodes: Episodes<f64>,
}

impl<'a> Problem<'a> {
    fn new(case: &'a Case) -> Self {
        Self {
            case,
            network: case.network(),
            parameters: case.parameters(),
            episodes: case.episodes(),
        }
    }

    fn run<R: Real>(&self, engine: &Engine) -> Gradients<R> {
        let (parameters, episodes) = (self.parameters.cast::<R>(), cast::<R>(&self.episodes));
        engine
            .gradient(&self.network, &parameters, &episodes, Want::ALL)
            .unwrap_or_else(|error| panic!("{}: {error}", self.case))
    }

    fn solve(&self) -> Tensors {
        oracle::solve(&self.network, &self.parameters, &self.episodes)
    }

    /// Compares every result and gradient with the oracle's, and the forward run alone with the engine's own.
    fn compare<R: Real>(
        &self,
        engine: &Engine,
        reference: &Tensors,
        tolerance: &Tolerance,
    ) -> Report {
        let case = self.case;
        let gradients = self.run::<R>(engine);
        let actual = Tensors::from_gradients(&gradients);
        let report = compare(reference, &actual, tolerance).unwrap_or_else(|complaints| {
            panic!("{} {}: {case}\n{complaints}", engine.kind(), R::NAME)
        });
        let (parameters, episodes) = (self.parameters.cast::<R>(), cast::<R>(&self.episodes));
        let forward = engine
            .forward(&self.network, &parameters, &episodes)
            .unwrap_or_else(|error| panic!("{case}: {error}"));
        assert!(
            forward == gradients.outcome,
            "{case}: forward alone is not bit for bit the forward half of the gradient"
        );
        report
    }
}

/// Compares every result and gradient of a case with the oracle's.
pub fn matches_oracle(engine: &Engine, case: &Case, tolerance: &Tolerance) -> Report {
    let problem = Problem::new(case);
    problem.compare::<f32>(engine, &problem.solve(), tolerance)
}

/// Compares many cases on the CPU engine in both precisions; prints the worst errors.
pub fn all_match_oracle(title: &str, cases: &[Case], double: &Tolerance, single: &Tolerance) {
    assert!(!cases.is_empty(), "{title}: no case");
    let engine = Engine::cpu();
    let [mut doubles, mut singles] = [Report::default(), Report::default()];
    for case in cases {
        let problem = Problem::new(case);
        let reference = problem.solve();
        let name = case.to_string();
        doubles.merge(&problem.compare::<f64>(&engine, &reference, double), &name);
        singles.merge(&problem.compare::<f32>(&engine, &reference, single), &name);
    }
    println!(
        "{title}: {} cases\nf64\n{doubles}f32\n{singles}",
        cases.len()
    );
}

/// The engine in `f32` is about as precise as back-propagation through stored traces in `f32`, also where Oja's rule is so
/// close to instability that neither is precise.
pub fn is_as_precise_as_back_propagation(engine: &Engine, cases: &[Case], times: f64) {
    let any = Tolerance {
        most: f64::INFINITY,
        rate: f64::INFINITY,
        ..CPU_F32
    };
    let [mut yardstick, mut errors] = [Vec::new(), Vec::new()];
    let mut unsettled = 0;
    for case in cases {
        let problem = Problem {
            parameters: case.unsettled_parameters(),
            ..Problem::new(case)
        };
        unsettled += usize::from(problem.parameters != case.parameters());
        let reference = problem.solve();
        let stored =
            oracle::solve_in::<f32>(&problem.network, &problem.parameters, &problem.episodes);
        let actual = Tensors::from_gradients(&problem.run::<f32>(engine));
        for (errors, tensors) in [(&mut yardstick, &stored), (&mut errors, &actual)] {
            let report = compare(&reference, tensors, &any)
                .unwrap_or_else(|complaints| panic!("{case}\n{complaints}"));
            errors.push(report.worst_of_all());
        }
    }
    assert!(unsettled > 0, "no case is beyond f32");
    match compare_precision(&yardstick, &errors, times) {
        Ok(table) => println!("{} cases, {unsettled} beyond f32\n{table}", cases.len()),
        Err(table) => panic!("less precise than back-propagation\n{table}"),
    }
}

/// The gradients of learned rates are about as precise as those of back-propagation through stored traces in `f32`, in
/// episodes of `steps` steps, as an engine computes them: rates of every size, by every rule.
pub fn rates_are_as_precise_as_back_propagation(
    steps: usize,
    times: f64,
    compute: impl Fn(&Case) -> Tensors,
) {
    const RATE: &str = "gradient.layer0.rate";
    let any = Tolerance {
        most: f64::INFINITY,
        rate: f64::INFINITY,
        ..CPU_F32
    };
    let [mut yardstick, mut errors] = [Vec::new(), Vec::new()];
    for case in learned_rates(steps) {
        let problem = Problem::new(&case);
        let reference = problem.solve();
        let stored =
            oracle::solve_in::<f32>(&problem.network, &problem.parameters, &problem.episodes);
        let actual = compute(&case);
        for (errors, tensors) in [(&mut yardstick, &stored), (&mut errors, &actual)] {
            for p in 0..case.population {
                let report = compare(&reference.part(RATE, p), &tensors.part(RATE, p), &any)
                    .unwrap_or_else(|complaints| panic!("{case}\n{complaints}"));
                errors.push(report.worst("gradient.rate"));
            }
        }
    }
    match compare_precision(&yardstick, &errors, times) {
        Ok(table) => println!("{steps} steps\n{table}"),
        Err(table) => panic!("less precise than back-propagation in {steps} steps\n{table}"),
    }
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
