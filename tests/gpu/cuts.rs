//! Runs that limits cut over networks, episodes and time, and rows spread over lanes in other ways.

use crate::common::bodies::{matches_oracle, run, what_is_in_common_is_as_copied};
use crate::common::cases::{Case, Goal, MaskKind, of_network, plastic};
use crate::common::compare::GPU;
use crate::common::training::{episodes_from_the_host_are_learned_alike, one_shot};
use crate::{Body, body};
use metaplastic::gpu::{Profile, plan};
use metaplastic::random::Purpose;
use metaplastic::tasks::{Association, EpisodeSource};
use metaplastic::{
    Activation, Bias, Dense, Engine, Episodes, Error, Initial, Layer, Loss, Network, Optimiser,
    Parameters, Plastic, Rate, Rule,
};

pub fn bodies() -> Vec<Body> {
    let mut bodies = Vec::new();
    for case in [
        stack((20, 7), false, Goal::OutputGradient),
        stack(
            (20, 7),
            true,
            Goal::Target(Loss::SquaredError, MaskKind::Episodes),
        ),
        stack(
            (20, 7),
            true,
            Goal::Target(Loss::SoftmaxCrossEntropy, MaskKind::Steps),
        ),
        // In tiles of two rows.
        stack((24, 6), false, Goal::OutputGradient),
        stack(
            (24, 6),
            true,
            Goal::Target(Loss::SquaredError, MaskKind::Steps),
        ),
    ] {
        bodies.push(body(
            format!("cuts change nothing: {case}"),
            move |engine| {
                let whole = run::<f32>(engine, &case);
                // Cut over networks; over episodes; within a block of episodes; over time.
                for bytes in BINDINGS {
                    let cut = run::<f32>(&with_bindings_of(engine, bytes), &case);
                    assert!(cut == whole, "{case}: another result within {bytes} bytes");
                }
            },
        ));
    }
    bodies.push(body("cuts change nothing of what is in common", |engine| {
        let case = stack(
            (20, 7),
            true,
            Goal::Target(Loss::SquaredError, MaskKind::Episodes),
        );
        for bytes in BINDINGS {
            let choices = [
                [false; 4],
                [false, true, true, true],
                [true, false, false, true],
            ];
            what_is_in_common_is_as_copied(&with_bindings_of(engine, bytes), &case, choices);
        }
    }));
    bodies.push(body(
        "a network of a large population learns as alone",
        |engine| large_populations_learn_as_alone(&with_bindings_of(engine, 60_000)),
    ));
    bodies.push(body(
        "episodes from the host are learned alike by every group",
        |engine| {
            let narrow = with_bindings_of(engine, 6_000);
            let Engine::Gpu(gpu) = &narrow else {
                unreachable!("GPU trials run on a GPU")
            };
            let report = plan(&one_shot().0, gpu.profile(), 3, 3, 20).expect("a plan");
            assert!(report.groups > 1, "{} group", report.groups);
            episodes_from_the_host_are_learned_alike(&narrow, 3);
        },
    ));
    for (rate, inputs) in [(0.3, 5), (0.95, 5), (0.3, 24), (0.95, 24)] {
        let case = long(rate, inputs);
        bodies.push(body(
            format!("time cuts match the oracle: {case}"),
            move |engine| {
                println!(
                    "{}",
                    matches_oracle(&with_bindings_of(engine, 20_000), &case, &GPU)
                );
            },
        ));
    }
    for (lanes, shape) in [
        (1, (300, 5)),
        (2, (300, 5)),
        (1, (1024, 2)),
        (2, (1024, 2)),
        (4, (1024, 2)),
        (2, (256, 4)),
        (8, (256, 4)),
    ] {
        let case = wide(shape);
        bodies.push(body(
            format!("rows over lanes, subgroups of at most {lanes}: {case}"),
            move |engine| {
                let engine = restricted(engine, |profile| {
                    profile.subgroup_size = lanes.min(profile.subgroup_size);
                });
                println!("{}", matches_oracle(&engine, &case, &GPU));
            },
        ));
    }
    bodies.push(body("workgroups along two axes", |engine| {
        let case = stack((20, 7), false, Goal::OutputGradient);
        let narrow = restricted(engine, |profile| profile.workgroups = 2);
        assert!(run::<f32>(&narrow, &case) == run::<f32>(engine, &case));
    }));
    bodies.push(body("cuts change nothing in training", cut_training));
    bodies.push(body(
        "a population is split where later episodes need it",
        population_split_later,
    ));
    bodies.push(body("limits beyond the device's are refused", |engine| {
        let Engine::Gpu(gpu) = engine else {
            unreachable!("GPU trials run on a GPU")
        };
        let own = gpu.profile().clone();
        let wider = Profile {
            binding_bytes: own.binding_bytes + 1,
            ..own.clone()
        };
        let nothing = Profile {
            workgroups: 0,
            ..own
        };
        for (profile, name) in [
            (wider, "profile.binding_bytes"),
            (nothing, "profile.workgroups"),
        ] {
            let error = gpu.restricted(profile).expect_err("an impossible limit");
            assert!(
                matches!(&error, Error::Setting { field, .. } if field == name),
                "{error}"
            );
        }
    }));
    bodies.push(body("a layer that fits no binding is refused", |engine| {
        let case = stack((20, 7), false, Goal::OutputGradient);
        let error = with_bindings_of(engine, 1_000)
            .gradient(
                &case.network(),
                &case.parameters().cast::<f32>(),
                &case.episodes().cast(),
                metaplastic::Want::ALL,
            )
            .expect_err("nothing fits");
        assert!(
            matches!(error, Error::DeviceLimit { limit: 1_000, .. }),
            "{error}"
        );
    }));
    bodies
}

/// On episodes of the caller's, of which a binding holds those of few networks, and of fewer as one kernel reads them.
fn large_populations_learn_as_alone(engine: &Engine) {
    let case = Case {
        goal: Goal::Target(Loss::SquaredError, MaskKind::All),
        population: 11,
        batch: 16,
        steps: 50,
        ..Case::new([Layer::Plastic(plastic(3, 2))])
    };
    let (network, parameters) = (case.network(), case.parameters().cast::<f32>());
    let episodes = case.episodes().cast::<f32>();
    let losses = |parameters: &Parameters<f32>, episodes: &Episodes<f32>| {
        let optimisers = [Optimiser::sgd(0.01, 0.0)];
        let mut learner = engine
            .learner(&network, parameters, &optimisers)
            .expect("a learner");
        let mut step = |_| learner.step(episodes).expect("a meta-step");
        [0; 3].map(&mut step)
    };
    let together = losses(&parameters, &episodes);
    for p in [0, 1, 5, 10] {
        let alone = losses(&parameters.slice(p..p + 1), &of_network(&episodes, p));
        for (together, alone) in together.iter().zip(&alone) {
            assert_eq!(together[p].to_bits(), alone[0].to_bits(), "network {p}");
        }
    }
}

/// Bytes of the largest binding, from "everything at once" down to single episodes cut in time.
const BINDINGS: [u64; 6] = [1 << 18, 1 << 16, 1 << 15, 14_000, 9_000, 5_000];

pub fn restricted(engine: &Engine, change: impl FnOnce(&mut Profile)) -> Engine {
    let Engine::Gpu(gpu) = engine else {
        unreachable!("GPU trials run on a GPU")
    };
    let mut profile = gpu.profile().clone();
    change(&mut profile);
    Engine::Gpu(gpu.restricted(profile).expect("narrower limits"))
}

fn with_bindings_of(engine: &Engine, bytes: u64) -> Engine {
    restricted(engine, |profile| profile.binding_bytes = bytes)
}

/// Every kind of layer, with retentions that need no sum over earlier steps: those start at a cut.
fn stack((inputs, outputs): (usize, usize), traces: bool, goal: Goal) -> Case {
    let first = plastic(inputs, outputs).rate(Rate::learned(0.3));
    let mut case = Case::new([
        Layer::Plastic(first),
        Layer::from(Plastic::new(outputs, 6, Rate::fixed(0.1)).activation(Activation::Tanh)),
        Layer::from(Dense::new(6, 3)),
        Layer::from(Bias::new(3)),
    ]);
    (case.population, case.batch, case.steps) = (3, 37, 40);
    (case.initial_trace, case.trace_gradient, case.goal) = (traces, traces, goal);
    case
}

/// Episodes much longer than a binding holds.
fn long(rate: f64, inputs: usize) -> Case {
    let first = plastic(inputs, 4)
        .rate(Rate::learned(rate))
        .rule(Rule::oja());
    let mut case = Case::new([
        Layer::Plastic(first),
        Layer::from(Plastic::new(4, 3, Rate::learned(rate)).activation(Activation::Tanh)),
    ]);
    (case.batch, case.steps) = (2, 1_000);
    (case.initial_trace, case.trace_gradient) = (true, true);
    case
}

/// Rows that need many lanes.
fn wide((inputs, outputs): (usize, usize)) -> Case {
    let first = plastic(inputs, outputs).rate(Rate::learned(0.1));
    let mut case = Case::new([
        Layer::Plastic(first),
        Layer::from(Dense::new(outputs, 2).activation(Activation::Tanh)),
    ]);
    (case.batch, case.steps) = (3, 6);
    (case.initial_trace, case.trace_gradient) = (true, true);
    case
}

fn cut_training(engine: &Engine) {
    let layers = [
        Layer::from(Plastic::new(10, 2, Rate::learned(0.02)).activation(Activation::Tanh)),
        Layer::from(Dense::new(2, 2)),
    ];
    let network = Network::new(Loss::SoftmaxCrossEntropy, layers).expect("a valid network");
    let parameters =
        Parameters::<f32>::initialise(&network, &Initial::default(), 5, 3).expect("it fits");
    let source = EpisodeSource {
        task: std::sync::Arc::new(Association::ONE_SHOT),
        seed: 3,
        purpose: Purpose::Training,
        batch: 40,
        seeds: None,
        first: 0,
    };
    let train = |engine: &Engine| {
        let mut learner = engine
            .learner(&network, &parameters, &[Optimiser::adam(0.01)])
            .expect("a learner");
        let errors = learner.train(&source, 0..5).expect("training");
        let frozen = learner.evaluate(&source, 5..7).expect("evaluation");
        (errors, frozen, learner.parameters().expect("parameters"))
    };
    let whole = train(engine);
    for bytes in [1 << 16, 1 << 14, 3_000] {
        assert!(
            train(&with_bindings_of(engine, bytes)) == whole,
            "within {bytes} bytes"
        );
    }
}

/// The parameters of 16 networks fit one binding, and one step of theirs, but not the traces of longer episodes.
fn population_split_later(engine: &Engine) {
    let first = plastic(64, 8).rate(Rate::learned(0.3));
    let mut case = Case::new([Layer::Plastic(first)]);
    case.goal = Goal::Target(Loss::SquaredError, MaskKind::All);
    case.population = 16;
    let train = |engine: &Engine| {
        let (network, parameters) = (case.network(), case.parameters().cast::<f32>());
        let optimisers: Vec<_> = (1..=16)
            .map(|n| Optimiser::adam(1e-3 * f64::from(n)))
            .collect();
        let mut learner = engine
            .learner(&network, &parameters, &optimisers)
            .expect("a learner");
        let mut losses = Vec::new();
        for (batch, steps) in [(1, 1), (3, 300), (2, 5)] {
            let longer = Case {
                batch,
                steps,
                ..case.clone()
            };
            let episodes = longer.episodes().cast::<f32>();
            losses.push(learner.step(&episodes).expect("a meta-step"));
        }
        (losses, learner.parameters().expect("parameters"))
    };
    assert!(train(&with_bindings_of(engine, 60_000)) == train(engine));
}
