//! Test bodies that run on any engine.

use super::cases::{Case, Goal, MaskKind, learned_rates, of_episode, of_network, plastic, stacks};
use super::compare::{CPU_F32, Report, Tensors, Tolerance, compare, compare_precision};
use super::oracle;
use metaplastic::engine::Gradients;
use metaplastic::episodes::Objective;
use metaplastic::number::Real;
use metaplastic::{
    Activation, Bias, Engine, Episodes, Layer, Loss, Mask, Network, Optimiser, Parameters, Rate,
    Rule, Want,
};
use ndarray::{Array, Array4, ArrayView, Axis, CowArray, Ix4, RemoveAxis};

/// Runs a case on an engine.
pub fn run<R: Real>(engine: &Engine, case: &Case) -> Gradients<R> {
    Problem::new(case).run(engine)
}

/// A case with its arrays made.
struct Problem<'a> {
    case: &'a Case,
    network: Network,
    parameters: Parameters<f64>,
    episodes: Episodes<'static, f64>,
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
        let (parameters, episodes) = (self.parameters.cast::<R>(), self.episodes.cast::<R>());
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
        let (parameters, episodes) = (self.parameters.cast::<R>(), self.episodes.cast::<R>());
        let forward = engine
            .forward(&self.network, &parameters, &episodes, Want::ALL)
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

/// Compares cases that may be chaotic, or have traces close to a bound, each on an engine; in both precisions where there is a
/// tolerance for `f64`. In `f32` an engine need only be right where back-propagation in `f32` is right by far, and nothing comes to a
/// bound; over all cases its errors may be so many `times` as large.
pub fn cells_match_oracle(
    title: &str,
    cases: &[(&Engine, Case)],
    double: Option<&Tolerance>,
    (single, times): (&Tolerance, f64),
) {
    let quarter = Tolerance {
        most: single.most / 4.0,
        rate: single.rate / 4.0,
        ..*single
    };
    let any = Tolerance {
        most: f64::INFINITY,
        rate: f64::INFINITY,
        ..*single
    };
    let [mut doubles, mut singles] = [Report::default(), Report::default()];
    let [mut yardstick, mut errors] = [Vec::new(), Vec::new()];
    let mut settled = 0;
    for (engine, case) in cases {
        let problem = Problem {
            case,
            network: case.network(),
            parameters: case.unsettled_parameters(),
            episodes: case.episodes(),
        };
        let reference = problem.solve();
        let name = case.to_string();
        if let Some(double) = double {
            doubles.merge(&problem.compare::<f64>(engine, &reference, double), &name);
        }
        let stored =
            oracle::solve_in::<f32>(&problem.network, &problem.parameters, &problem.episodes);
        let has_bound = |layer: &Layer| layer.as_plastic().is_some_and(|it| it.bound.is_some());
        let is_bounded = case.layers.iter().any(has_bound);
        if !is_bounded && compare(&reference, &stored, &quarter).is_ok() {
            settled += 1;
            singles.merge(&problem.compare::<f32>(engine, &reference, single), &name);
        }
        let actual = Tensors::from_gradients(&problem.run::<f32>(engine));
        for (errors, tensors) in [(&mut yardstick, &stored), (&mut errors, &actual)] {
            let report = compare(&reference, tensors, &any)
                .unwrap_or_else(|complaints| panic!("{case}\n{complaints}"));
            errors.push(report.worst_of_all());
        }
    }
    let count = cases.len();
    println!("{title}: {count} cases\nf64\n{doubles}f32, of {settled} cases\n{singles}");
    assert!(
        3 * settled > count,
        "{settled} of {count} cases have an answer in f32"
    );
    match compare_precision(&yardstick, &errors, times) {
        Ok(table) => println!("{table}"),
        Err(table) => panic!("{title}: less precise than back-propagation\n{table}"),
    }
}

/// A rule that has no value at an output of zero, which no neuron has: what is computed beside the neurons, in lanes that have
/// none, must not show.
pub fn a_rule_need_have_no_value_at_zero(engine: &Engine, tolerance: &Tolerance) {
    let rule = Rule::parse("0.5 * h + rate * x / y").expect("a rule");
    for (inputs, outputs, batch) in [(3, 1, 1), (5, 6, 3), (18, 7, 17)] {
        for rate in [Rate::learned(0.1), Rate::fixed(0.1).per_neuron()] {
            let layer = plastic(inputs, outputs)
                .rule(rule.clone())
                .activation(Activation::Logistic)
                .rate(rate);
            let case = Case {
                batch,
                initial_trace: true,
                trace_gradient: true,
                ..Case::new([Layer::Plastic(layer)])
            };
            matches_oracle(engine, &case, tolerance);
        }
    }
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
    let (parameters, episodes) = (case.parameters().cast::<f32>(), case.episodes().cast());
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
    let (parameters, episodes) = (case.parameters().cast::<f32>(), case.episodes().cast());
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

/// Arrays whose axes lie in another order in memory are the same arrays.
pub fn arrays_may_lie_in_any_order(engine: &Engine) {
    let turned = |array: &CowArray<'static, f32, Ix4>| -> CowArray<'static, f32, Ix4> {
        let turned = array.view().reversed_axes();
        let turned = turned.as_standard_layout().to_owned().reversed_axes();
        assert!(turned == array && turned.as_slice().is_none());
        turned.into()
    };
    let goals = [
        Goal::Target(Loss::SquaredError, MaskKind::Episodes),
        Goal::OutputGradient,
    ];
    for goal in goals {
        let case = Case {
            goal,
            population: 2,
            batch: 3,
            initial_trace: true,
            trace_gradient: true,
            ..Case::new(stacks()[1].clone())
        };
        let (network, parameters) = (case.network(), case.parameters().cast());
        let episodes = case.episodes().cast::<f32>();
        let mut other = episodes.clone();
        other.input = turned(&episodes.input);
        match &mut other.objective {
            Objective::Target { target, mask } => {
                *target = turned(target);
                if let Mask::Episodes(mask) = mask {
                    let by_step = mask.view().reversed_axes();
                    *mask = by_step.as_standard_layout().to_owned().reversed_axes();
                }
            }
            Objective::OutputGradient(gradient) => *gradient = turned(gradient),
            _ => {}
        }
        for (from, to) in [
            (&episodes.given, &mut other.given),
            (&episodes.final_gradients, &mut other.final_gradients),
        ] {
            for (layer, dynamic, array) in from.iter() {
                let by_last = array.reversed_axes();
                let turned = by_last.as_standard_layout().to_owned().reversed_axes();
                to.insert(layer, dynamic, turned);
            }
        }
        let [expected, actual] = [&episodes, &other].map(|episodes| {
            let gradients = engine.gradient(&network, &parameters, episodes, Want::ALL);
            gradients.unwrap_or_else(|error| panic!("{case}: {error}"))
        });
        assert!(expected == actual, "{case}");
    }
}

/// Episodes whose arrays the networks have in common, in every way that there is to begin with a layer.
fn cases_in_common() -> [Case; 3] {
    let case = |layers: usize| Case {
        population: 3,
        ..Case::new(stacks()[layers].clone())
    };
    [
        Case {
            goal: Goal::Target(Loss::SquaredError, MaskKind::Episodes),
            initial_trace: true,
            trace_gradient: true,
            ..case(1)
        },
        // Several blocks of episodes, and a bias layer first.
        Case {
            goal: Goal::Target(Loss::SoftmaxCrossEntropy, MaskKind::Steps),
            batch: 18,
            ..case(4)
        },
        // A dense layer first.
        Case {
            trace_gradient: true,
            ..case(3)
        },
    ]
}

/// Which arrays each network has a copy of: input, target or gradient on the output, mask, traces.
pub type Copied = [bool; 4];

/// Every choice of them.
pub fn all_copied() -> impl Iterator<Item = Copied> {
    (0..16).map(|bits| [1, 2, 4, 8].map(|bit| bits & bit != 0))
}

/// A case's episodes of its first network, common to all networks but for copies.
fn in_common(case: &Case, copied: Copied) -> Episodes<'static, f32> {
    fn repeated<D: RemoveAxis>(array: ArrayView<'_, f32, D>, networks: usize) -> Array<f32, D> {
        ndarray::concatenate(Axis(0), &vec![array; networks]).expect("arrays of one shape")
    }
    let mut episodes = of_network(&case.episodes().cast(), 0);
    let [input, target, of_episodes, traces] = copied;
    let repeat = |array: &mut CowArray<'static, f32, Ix4>, copied: bool| {
        if copied {
            *array = repeated(array.view(), case.population).into();
        }
    };
    repeat(&mut episodes.input, input);
    match &mut episodes.objective {
        Objective::Target { target: it, mask } => {
            repeat(it, target);
            if let (Mask::Episodes(mask), true) = (mask, of_episodes) {
                *mask = repeated(mask.view(), case.population);
            }
        }
        Objective::OutputGradient(gradient) => repeat(gradient, target),
        _ => {}
    }
    for dynamics in [&mut episodes.given, &mut episodes.final_gradients] {
        if traces {
            for (layer, dynamic, array) in dynamics.clone().iter() {
                dynamics.insert(layer, dynamic, repeated(array, case.population));
            }
        }
    }
    episodes
}

/// What networks have in common is what it would be if each had a copy, whichever arrays they have in common.
pub fn what_is_in_common_is_as_copied(
    engine: &Engine,
    case: &Case,
    choices: impl IntoIterator<Item = Copied>,
) {
    let (network, parameters) = (case.network(), case.parameters().cast::<f32>());
    let compute = |copied: Copied| {
        let episodes = in_common(case, copied);
        let gradients = engine.gradient(&network, &parameters, &episodes, Want::ALL);
        let outcome = engine.forward(&network, &parameters, &episodes, Want::ALL);
        let gradients = gradients.unwrap_or_else(|error| panic!("{case}: {error}"));
        assert!(outcome.expect("outputs") == gradients.outcome, "{case}");
        let learned = matches!(case.goal, Goal::Target(..)).then(|| {
            let optimisers = [Optimiser::sgd(0.1, 0.9)];
            let learner = engine.learner(&network, &parameters, &optimisers);
            let mut learner = learner.expect("a learner");
            let losses = [(); 2].map(|()| learner.step(&episodes).expect("a meta-step"));
            (losses, learner.parameters().expect("parameters"))
        });
        (gradients, learned)
    };
    let expected = compute([true; 4]);
    for copied in choices {
        assert!(compute(copied) == expected, "{case}: {copied:?}");
    }
}

/// What all networks have in common is given once, and is what it would be if each had a copy.
pub fn what_networks_have_in_common_is_given_once(engine: &Engine) {
    for case in cases_in_common() {
        what_is_in_common_is_as_copied(engine, &case, all_copied());
    }
    let case = &cases_in_common()[0];
    let (network, parameters) = (case.network(), case.parameters().cast());
    let two = in_common(case, [true; 4]).input;
    let two = two.slice_axis(Axis(0), (..2).into());
    let error = engine.gradient::<f32>(&network, &parameters, &Episodes::new(two), Want::ALL);
    let error = error.unwrap_err().to_string();
    assert!(
        error.contains("P = 3 or 1") && error.contains("[2, "),
        "{error}"
    );
}

/// Results are made only where they are wanted, and change nothing else.
pub fn results_are_made_where_they_are_wanted(engine: &Engine) {
    let case = Case::new(stacks()[1].clone());
    let (network, parameters) = (case.network(), case.parameters().cast());
    let episodes = case.episodes().cast::<f32>();
    let forward = |want| {
        let outcome = engine.forward::<f32>(&network, &parameters, &episodes, want);
        outcome.unwrap_or_else(|error| panic!("{case}: {error}"))
    };
    let without = forward(Want::default());
    let mut with = forward(Want::default().final_traces());
    assert_eq!(with, forward(Want::ALL));
    let finals = std::mem::take(&mut with.finals);
    for (index, layer) in network.layers().iter().enumerate() {
        assert_eq!(finals.trace(index).is_some(), layer.as_plastic().is_some());
    }
    assert!(with == without, "{case}");
    let nothing = forward(Want::NOTHING);
    assert!(
        nothing.output.is_none() && nothing.loss == without.loss,
        "{case}"
    );
    let gradient = |want| {
        let gradients = engine.gradient::<f32>(&network, &parameters, &episodes, want);
        gradients.unwrap_or_else(|error| panic!("{case}: {error}"))
    };
    let (all, nothing) = (gradient(Want::ALL), gradient(Want::NOTHING));
    assert!(nothing.outcome.output.is_none() && nothing.input.is_none());
    assert!(nothing.parameters == all.parameters, "{case}");
    assert!(nothing.outcome.loss == all.outcome.loss, "{case}");
}

/// `tanh` in `f32`, of a layer that adds a bias of zero: the relative error is at most `most`, and the result exactly ±1
/// where that is what `tanh` rounds to, so that no gradient passes there.
pub fn tanh_is_right_everywhere(engine: &Engine, episodes: usize, most: f64) {
    const COLUMNS: usize = 64;
    let layer = Bias::new(COLUMNS).activation(Activation::Tanh);
    let network = Network::new(Loss::None, [layer]).expect("a valid network");
    let parameters = Parameters::<f32>::new(&network, 1).expect("it fits");
    let mut values: Vec<f32> = (-130_000..=130_000).map(|k| k as f32 * 1e-4).collect();
    values.extend((-100..0).map(|power| 1.25f32.powi(power)));
    // The last number whose `tanh` is not 1, and its neighbours.
    let last = 9.010_913f32;
    let near = (0..1000).map(|k| f32::from_bits(last.to_bits() - 500 + k));
    values.extend(near.flat_map(|x| [x, -x]));
    values.extend([f32::MAX, f32::MIN]);
    values.resize(values.len().next_multiple_of(COLUMNS * episodes), 0.0);
    let steps = values.len() / COLUMNS / episodes;
    let input = Array4::from_shape_vec([1, episodes, steps, COLUMNS], values);
    let input = input.expect("the right number");
    let given = Episodes::new(input.clone()).with_output_gradient(Array4::ones(input.dim()));
    let gradients = engine
        .gradient(&network, &parameters, &given, Want::ALL)
        .expect("gradients");
    let slopes = gradients.input.expect("it was wanted");
    let output = gradients.outcome.output.expect("it was wanted");
    let results = output.iter().zip(&slopes);
    for (&x, (&y, &slope)) in input.iter().zip(results) {
        let exact = f64::from(x).tanh();
        let error = (f64::from(y) - exact).abs();
        assert!(
            error <= most * exact.abs(),
            "tanh {x:e}: {y:e} instead of {exact:e}"
        );
        if (exact as f32).abs() == 1.0 {
            assert_eq!((y, slope), (exact as f32, 0.0), "tanh {x:e}");
        }
    }
}
