//! Whole meta-steps in one kernel: against separate kernels, against the CPU engine, and however they are packed into
//! workgroups and dispatches.

use crate::common::bodies::{all_copied, what_is_in_common_is_as_copied};
use crate::common::cases::{Case, Goal, MaskKind, PLASTICITIES, any_rate, plastic, rules};
use crate::common::compare::{GPU_LEARNING, Tensors, compare};
use crate::common::pairwise::pairwise;
use crate::common::training::with_factors;
use crate::cuts::restricted;
use crate::{Body, body};
use metaplastic::gpu::{PlanReport, Profile};
use metaplastic::network::RatePer;
use metaplastic::optimiser::Schedule;
use metaplastic::random::Purpose;
use metaplastic::tasks::{Association, Completion, EpisodeSource, Task};
use metaplastic::{
    Activation, Bias, Dense, Engine, Initial, Layer, Learner, Loss, Network, Optimiser, Parameters,
    Plastic, Rate,
};
use std::sync::Arc;

pub fn bodies() -> Vec<Body> {
    let mut bodies = Vec::new();
    for task in tasks() {
        for (name, optimiser) in optimisers() {
            let run = Run::new(task.clone(), optimiser);
            bodies.push(body(
                format!(
                    "fused {}, {name}: as separate kernels and as on the CPU",
                    task.name()
                ),
                move |engine| run.agrees(engine),
            ));
        }
        let run = Run::new(task.clone(), optimisers().remove(0).1);
        bodies.push(body(
            format!(
                "fused {}: dispatches and workgroups change nothing",
                task.name()
            ),
            move |engine| run.is_the_same_however_it_is_split(engine),
        ));
    }
    for (index, case) in given().into_iter().enumerate() {
        bodies.push(body(
            format!("fused steps {index:02}: {case}"),
            move |engine| steps_agree(engine, &case),
        ));
    }
    bodies.push(body(
        "fused steps on what networks have in common",
        |engine| {
            steps_on_what_is_in_common(engine);
        },
    ));
    bodies
}

/// One kernel of whole meta-steps reads what networks have in common as it reads copies.
fn steps_on_what_is_in_common(engine: &Engine) {
    for (loss, mask) in [
        (Loss::SquaredError, MaskKind::Episodes),
        (Loss::SoftmaxCrossEntropy, MaskKind::Steps),
    ] {
        let case = Case {
            goal: Goal::Target(loss, mask),
            population: 3,
            ..Case::new([Layer::Plastic(plastic(6, 3))])
        };
        let plan =
            metaplastic::gpu::plan(&case.network(), profile(engine), 3, case.batch, case.steps);
        assert!(plan.expect("it fits").meta_steps_per_dispatch.is_some());
        what_is_in_common_is_as_copied(engine, &case, all_copied());
    }
}

fn tasks() -> [Arc<dyn Task>; 3] {
    [
        Arc::new(Association::ONE_SHOT),
        Arc::new(Association::reversal(5, 3, 17).expect("valid sizes")),
        Arc::new(Completion::new(6).expect("valid sizes")),
    ]
}

fn optimisers() -> Vec<(&'static str, Optimiser)> {
    vec![
        (
            "rmsprop",
            Optimiser {
                max_step: Some(0.01),
                l1: 1e-4,
                l2: 1e-3,
                ..Optimiser::rmsprop(0.01)
            },
        ),
        (
            "sgd",
            Optimiser {
                max_gradient_norm: Some(0.3),
                schedule: Schedule::Cosine {
                    updates: 15,
                    floor: 0.1,
                },
                ..Optimiser::sgd(0.01, 0.9)
            },
        ),
        (
            "adam",
            Optimiser {
                max_gradient_norm: Some(10.0),
                plasticity_min: Some(-0.1),
                rate_bounds: [0.05, 0.31],
                schedule: Schedule::Step {
                    every: 6,
                    factor: 0.5,
                },
                ..Optimiser::adam(0.003)
            },
        ),
        (
            "factors and frozen parameters",
            Optimiser {
                max_gradient_norm: Some(0.3),
                l1: 1e-4,
                ..with_factors(Optimiser::adam(0.003))
            },
        ),
    ]
}

/// Networks of two plastic layers, a dense and a bias layer in training on a task.
#[derive(Clone)]
struct Run {
    network: Network,
    parameters: Parameters<f32>,
    source: EpisodeSource,
    optimiser: Optimiser,
}

const POPULATION: usize = 11;
const META_STEPS: u32 = 20;

/// What came of a run.
#[derive(PartialEq, Debug)]
struct Outcome {
    parameters: Parameters<f32>,
    training: Vec<f64>,
    frozen: Vec<f64>,
}

impl Run {
    fn new(task: Arc<dyn Task>, optimiser: Optimiser) -> Self {
        let layers = [
            Layer::from(
                Plastic::new(task.inputs(), 5, Rate::learned(0.3)).activation(Activation::Tanh),
            ),
            Layer::from(Plastic::new(5, 4, Rate::fixed(0.1)).activation(Activation::Tanh)),
            Layer::from(Dense::new(4, task.outputs())),
            Layer::from(Bias::new(task.outputs())),
        ];
        let network = Network::new(task.loss(), layers).expect("a valid network");
        let initial = Initial {
            scale: 0.5,
            plasticity_scale: Some(0.1),
            ..Initial::default()
        };
        let parameters = Parameters::<f32>::initialise(&network, &initial, POPULATION, 3);
        Self {
            network,
            parameters: parameters.expect("it fits"),
            source: EpisodeSource {
                task,
                seed: 3,
                purpose: Purpose::Training,
                batch: 3,
                seeds: None,
                first: 0,
            },
            optimiser,
        }
    }

    fn on(&self, engine: &Engine) -> Outcome {
        let optimisers = std::slice::from_ref(&self.optimiser);
        let learner = engine.learner(&self.network, &self.parameters, optimisers);
        let mut learner = learner.expect("a learner");
        let training = learner.train(&self.source, 0..META_STEPS);
        let frozen = learner.evaluate(&self.source, META_STEPS..META_STEPS + 7);
        assert_eq!(learner.failures().expect("failures"), []);
        Outcome {
            training: training.expect("training"),
            frozen: frozen.expect("evaluation"),
            parameters: learner.parameters().expect("parameters"),
        }
    }

    fn plan(&self, engine: &Engine) -> PlanReport {
        let Self {
            network, source, ..
        } = self;
        let (batch, task) = (source.batch, &*source.task);
        metaplastic::gpu::plan_task(network, profile(engine), POPULATION, batch, task)
            .expect("it fits")
    }

    fn agrees(&self, engine: &Engine) {
        let fused = self.on(engine);
        let separate = without_fusion(engine);
        assert!(self.plan(engine).meta_steps_per_dispatch.is_some());
        assert!(self.plan(&separate).meta_steps_per_dispatch.is_none());
        for other in [self.on(&separate), self.on(&Engine::cpu())] {
            same_changes(&self.parameters, &other.parameters, &fused.parameters);
            for (one, other) in [
                (&fused.training, &other.training),
                (&fused.frozen, &other.frozen),
            ] {
                for (one, other) in one.iter().zip(other) {
                    assert!((one - other).abs() < 1e-3 * other, "{one} against {other}");
                }
            }
        }
        for tensor in self.parameters.layout().tensors() {
            let of = |parameters: &Parameters<f32>| {
                let view = parameters.view(tensor.layer, tensor.role);
                view.expect("it is there").to_owned()
            };
            let frozen = self.optimiser.frozen.iter();
            if frozen.into_iter().any(|frozen| frozen.is_about(tensor)) {
                assert_eq!(
                    of(&fused.parameters),
                    of(&self.parameters),
                    "{}",
                    tensor.name()
                );
            }
        }
        // The comparison itself: it must tell one network, or one update, from another.
        let mut wrong = fused.parameters.clone();
        wrong
            .values_mut()
            .rotate_left(self.parameters.layout().size());
        assert!(!are_close(&self.parameters, &fused.parameters, &wrong));
        let mut moved = fused.parameters;
        let at = moved.values_mut().len() / 2;
        moved.values_mut()[at] += 0.01;
        assert!(!are_close(
            &self.parameters,
            &self.on(engine).parameters,
            &moved
        ));
    }

    fn is_the_same_however_it_is_split(&self, engine: &Engine) {
        let whole = self.on(engine);
        assert_eq!(whole, self.on(engine));
        let synapse_steps =
            POPULATION * self.source.batch * self.source.task.steps() * self.network.synapses();
        let mut seen = Vec::new();
        for doublings in 0..12 {
            let split = restricted(engine, |profile| {
                profile.submission_work = (synapse_steps as u64) << doublings;
            });
            let meta_steps = self.plan(&split).meta_steps_per_dispatch;
            let meta_steps = meta_steps.expect("one kernel does everything");
            if !seen.contains(&meta_steps) && meta_steps < META_STEPS as usize {
                assert_eq!(whole, self.on(&split), "{meta_steps} meta-steps a dispatch");
                seen.push(meta_steps);
            }
        }
        assert!(seen.contains(&1) && seen.len() >= 3, "{seen:?}");
        // One network a workgroup, and groups of some networks.
        let alone = restricted(engine, |profile| profile.workgroup_bytes = 6 << 10);
        assert_eq!(whole, self.on(&alone));
        let groups = restricted(engine, |profile| {
            profile.submission_work = (4 * synapse_steps / POPULATION) as u64;
        });
        assert_eq!(whole, self.on(&groups));
    }
}

pub fn profile(engine: &Engine) -> &Profile {
    let Engine::Gpu(gpu) = engine else {
        unreachable!("GPU trials run on a GPU")
    };
    gpu.profile()
}

/// The same device with too little workgroup memory for a network.
fn without_fusion(engine: &Engine) -> Engine {
    restricted(engine, |profile| profile.workgroup_bytes = 1 << 10)
}

/// How parameters changed, by name.
fn changes(start: &Parameters<f32>, now: &Parameters<f32>) -> Tensors {
    let mut changes = now.cast::<f64>();
    for (change, &start) in changes.values_mut().iter_mut().zip(start.values()) {
        *change -= f64::from(start);
    }
    let mut tensors = Tensors::new(start.population());
    tensors.add_parameters("change.", &changes);
    tensors
}

fn are_close(
    start: &Parameters<f32>,
    reference: &Parameters<f32>,
    other: &Parameters<f32>,
) -> bool {
    compare(
        &changes(start, reference),
        &changes(start, other),
        &GPU_LEARNING,
    )
    .is_ok()
}

fn same_changes(start: &Parameters<f32>, reference: &Parameters<f32>, other: &Parameters<f32>) {
    compare(
        &changes(start, reference),
        &changes(start, other),
        &GPU_LEARNING,
    )
    .unwrap_or_else(|complaints| panic!("{complaints}"));
}

/// Every pair of what a network may be, in training on the caller's episodes.
fn given() -> Vec<Case> {
    let rates = [0.0, 0.02, 0.5, 0.9, 1.0];
    let factors = [
        rules().len(),
        Activation::ALL.len(),
        PLASTICITIES.len(),
        2, // One rate or one per neuron.
        2, // Learned or not.
        rates.len(),
        2, // With a bias or without.
        2, // Loss.
        3, // Mask.
        4, // What is above the first layer.
        3, // Inputs, outputs, batch, steps.
    ];
    let rows = pairwise(&factors).into_iter().enumerate();
    rows.map(|(seed, row)| {
        let [inputs, outputs, batch, steps] =
            [[3, 2, 16, 5], [32, 9, 1, 6], [10, 4, 2, 20]][row[10]];
        let activation = Activation::ALL[row[1]];
        let rule = rules()[row[0]].clone();
        // The parameters are small enough for other episodes than these; where outputs have no bound, most rules make them grow.
        let is_bounded = matches!(activation, Activation::Tanh | Activation::Logistic);
        let steps = match is_bounded || rule.name().is_some() {
            true => steps,
            false => steps.min(6),
        };
        let per = [RatePer::Layer, RatePer::Neuron][row[3]];
        let mut first = Plastic::new(inputs, outputs, any_rate(rates[row[5]], per, row[4] == 1))
            .activation(activation)
            .rule(rule)
            .plasticity(PLASTICITIES[row[2]]);
        first.bias = row[6] == 1;
        let mut layers = vec![Layer::Plastic(first.clone())];
        match row[9] {
            0 => {}
            1 => layers.push(Layer::from(Dense::new(outputs, 3).activation(activation))),
            2 => layers.push(Layer::from(Bias::new(outputs))),
            _ => {
                let mut second = first.activation(Activation::Tanh);
                (second.inputs, second.outputs) = (outputs, 6);
                layers.extend([Layer::Plastic(second), Layer::from(Bias::new(6))]);
            }
        }
        let loss = [Loss::SquaredError, Loss::SoftmaxCrossEntropy][row[7]];
        let mask = [MaskKind::All, MaskKind::Steps, MaskKind::Episodes][row[8]];
        Case {
            goal: Goal::Target(loss, mask),
            population: 3,
            batch,
            steps,
            seed: seed as u64,
            ..Case::new(layers)
        }
    })
    .collect()
}

fn steps_agree(engine: &Engine, case: &Case) {
    let network = case.network();
    let plan = metaplastic::gpu::plan(&network, profile(engine), 3, case.batch, case.steps);
    let plan = plan.expect("it fits");
    assert_eq!(
        (plan.kernels[0].name.as_str(), plan.dispatches),
        ("meta-step", 1)
    );
    let start = case.parameters().cast::<f32>();
    let optimisers = [
        Optimiser::sgd(0.01, 0.5),
        Optimiser {
            max_gradient_norm: Some(0.1),
            ..Optimiser::sgd(0.1, 0.0)
        },
        Optimiser {
            max_step: Some(1e-3),
            ..Optimiser::sgd(0.01, 0.9)
        },
    ];
    let run = |engine: &Engine| {
        let mut learner: Learner = engine
            .learner(&network, &start, &optimisers)
            .expect("a learner");
        let losses: Vec<_> = (0..4)
            .map(|step| {
                let case = Case {
                    seed: 100 + step,
                    ..case.clone()
                };
                learner.step(&case.episodes().cast()).expect("a meta-step")
            })
            .collect();
        assert_eq!(learner.failures().expect("failures"), []);
        (losses, learner.parameters().expect("parameters"))
    };
    let (losses, fused) = run(engine);
    for other in [without_fusion(engine), Engine::cpu()] {
        let (expected, parameters) = run(&other);
        same_changes(&start, &parameters, &fused);
        for (one, other) in losses.iter().flatten().zip(expected.iter().flatten()) {
            assert!(
                (one - other).abs() < 1e-3 * other.abs().max(0.1),
                "{one} against {other}"
            );
        }
    }
}
