//! The gradient of a learned rate in long episodes, which the engine takes without storing the trace of every step.

use crate::common::bodies::rates_are_as_precise_as_back_propagation;
use crate::common::cases::Case;
use crate::common::compare::{GPU_RATE_PRECISION, Tensors};
use crate::cuts::restricted;
use crate::{Body, body};
use metaplastic::{Engine, Optimiser, Want};

/// Steps of episodes. In the fused kernel an episode fits workgroup memory.
const SEPARATE: [usize; 5] = [30, 64, 250, 1000, 4096];
const FUSED: [usize; 4] = [30, 64, 150, 300];

pub fn bodies() -> Vec<Body> {
    let separate = SEPARATE.map(|steps| {
        body(
            format!("rates are as precise as by back-propagation: T{steps}"),
            move |engine| {
                let times = GPU_RATE_PRECISION;
                rates_are_as_precise_as_back_propagation(steps, times, |case| {
                    separately(engine, case)
                });
            },
        )
    });
    let fused = FUSED.map(|steps| {
        body(
            format!("rates are as precise as by back-propagation, fused: T{steps}"),
            move |engine| {
                let times = GPU_RATE_PRECISION;
                rates_are_as_precise_as_back_propagation(steps, times, |case| fused(engine, case));
            },
        )
    });
    separate.into_iter().chain(fused).collect()
}

fn separately(engine: &Engine, case: &Case) -> Tensors {
    let (parameters, episodes) = (case.parameters().cast::<f32>(), case.episodes().cast());
    let gradients = engine.gradient(&case.network(), &parameters, &episodes, Want::default());
    Tensors::from_gradients(&gradients.expect("a gradient"))
}

/// The gradient as the change by a step so large that the parameter's rounding does not count.
fn fused(engine: &Engine, case: &Case) -> Tensors {
    const LEARNING_RATE: f64 = 1024.0;
    let (network, start) = (case.network(), case.parameters().cast::<f32>());
    // On hardware the kernel takes longer episodes than on a software device.
    let engine = restricted(engine, |profile| profile.workgroup_bytes = 32 << 10);
    let plan = metaplastic::gpu::plan(
        &network,
        crate::fused::profile(&engine),
        case.population,
        case.batch,
        case.steps,
    );
    assert_eq!(plan.expect("it fits").dispatches, 1, "{case}");
    let optimiser = Optimiser {
        rate_bounds: [-1e9, 1e9],
        ..Optimiser::sgd(LEARNING_RATE, 0.0)
    };
    let mut learner = engine
        .learner(&network, &start, &[optimiser])
        .expect("a learner");
    learner.step(&case.episodes().cast()).expect("a meta-step");
    let mut gradient = learner.parameters().expect("parameters").cast::<f64>();
    for (value, &start) in gradient.values_mut().iter_mut().zip(start.values()) {
        *value = (f64::from(start) - *value) / LEARNING_RATE;
    }
    let mut tensors = Tensors::new(case.population);
    tensors.add_parameters("gradient.", &gradient);
    tensors
}
