//! Episodes so long, and layers so wide, that a kernel's loops make more turns than Mesa's software driver takes.

use crate::common::bodies::matches_oracle;
use crate::common::cases::{Case, Goal, MaskKind, plastic};
use crate::common::compare::{GPU, GPU_LEARNING, Tensors, compare};
use crate::{Body, body};
use metaplastic::random::Purpose;
use metaplastic::tasks::{Association, EpisodeSource};
use metaplastic::{
    Activation, Bias, Dense, Engine, Initial, Layer, Loss, Network, Optimiser, Parameters, Plastic,
    Rate, Rule,
};

pub fn bodies() -> Vec<Body> {
    let mut bodies: Vec<_> = cases()
        .into_iter()
        .map(|(kernel, case)| {
            body(format!("turns of {kernel}: {case}"), move |engine| {
                println!("{}", matches_oracle(engine, &case, &GPU));
            })
        })
        .collect();
    bodies.push(body("turns of generated episodes", generated_episodes));
    bodies
}

/// Each with the kernel whose loops would make more than 65,535 turns in one dispatch.
fn cases() -> Vec<(&'static str, Case)> {
    let layer = |inputs: usize, outputs: usize, rule: Rule, rate: f64| {
        let layer = plastic(inputs, outputs).rule(rule);
        Layer::Plastic(layer.rate(Rate::learned(rate)))
    };
    let case = |layers: Vec<Layer>, batch: usize, steps: usize| Case {
        batch,
        steps,
        ..Case::new(layers)
    };
    let bias = Layer::from(Bias::new(2).activation(Activation::Tanh));
    let target = |loss, case: Case| Case {
        goal: Goal::Target(loss, MaskKind::All),
        ..case
    };
    let wide = || vec![layer(6, 1024, Rule::hebb(), 0.02)];
    vec![
        (
            "forward",
            case(vec![layer(3, 2, Rule::hebb(), 0.1)], 1, 70_000),
        ),
        (
            "forward",
            // As many as one dispatch takes.
            case(vec![layer(3, 2, Rule::oja(), 0.3), bias.clone()], 1, 65_534),
        ),
        (
            "backward",
            case(vec![layer(3, 2, Rule::hebb(), 0.02)], 16, 4200),
        ),
        // Whose retention is small, so that each step looks back over earlier ones.
        (
            "backward",
            case(vec![layer(3, 2, Rule::hebb(), 0.9)], 16, 300),
        ),
        (
            "backward",
            case(
                vec![
                    Layer::from(Dense::new(3, 2).activation(Activation::Tanh)),
                    bias,
                ],
                16,
                4200,
            ),
        ),
        ("input_gradient", case(wide(), 1, 140)),
        (
            "loss",
            target(Loss::SoftmaxCrossEntropy, case(wide(), 1, 70)),
        ),
        // As many blocks of episodes, and rows that share a rate.
        ("reduce", case(wide(), 1600, 2)),
    ]
}

/// Of one-shot learning in long episodes, made on the device: learning and losses as on the CPU.
fn generated_episodes(engine: &Engine) {
    let source = EpisodeSource {
        task: std::sync::Arc::new(Association::one_shot(8, 2, 8000).expect("valid sizes")),
        seed: 3,
        purpose: Purpose::Training,
        batch: 16,
        seeds: None,
        first: 0,
    };
    let layers = [
        Layer::from(Plastic::new(10, 2, Rate::fixed(0.02)).activation(Activation::Tanh)),
        Layer::from(Dense::new(2, 2)),
    ];
    let network = Network::new(source.task.loss(), layers).expect("a valid network");
    let start =
        Parameters::<f32>::initialise(&network, &Initial::default(), 1, 3).expect("it fits");
    let [cpu, gpu] = [&Engine::cpu(), engine].map(|engine| {
        let mut learner = engine
            .learner(&network, &start, &[Optimiser::sgd(1e-4, 0.0)])
            .expect("a learner");
        let errors = learner.train(&source, 0..2).expect("training");
        let mut change = learner.parameters().expect("parameters").cast::<f64>();
        for (change, &start) in change.values_mut().iter_mut().zip(start.values()) {
            *change -= f64::from(start);
        }
        let mut changes = Tensors::new(1);
        changes.add_parameters("change.", &change);
        (errors[0], changes)
    });
    assert!(
        (cpu.0 - gpu.0).abs() < 1e-4 * cpu.0,
        "{} against {}",
        gpu.0,
        cpu.0
    );
    compare(&cpu.1, &gpu.1, &GPU_LEARNING).unwrap_or_else(|complaints| panic!("{complaints}"));
}
