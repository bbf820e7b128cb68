//! What the device knows of a population in training beside its parameters, in structs that the shaders have too.

use super::shared::shared;
use crate::optimiser::{Method, Optimiser, Schedule};

/// A failure code: nothing failed.
pub(super) const NONE: u32 = u32::MAX;

shared! {
    /// What a submission asks for.
    pub struct Control {
        pub first_meta_step: u32,
        pub learn: u32,
        /// Of one dispatch, where one does whole meta-steps.
        pub meta_steps: u32,
    }
}

shared! {
    /// What a network reports.
    pub struct Progress {
        pub meta_steps: u32,
        pub loss: f32,
    }
}

shared! {
    /// Of some of a network's parameters: the largest gradient's size, the sum of squares, each divided by the power of two
    /// of that size, and the first tensor with a gradient that is not finite.
    pub struct Part {
        pub peak: f32,
        pub square: f32,
        pub failed: u32,
    }
}

shared! {
    /// How far a network has come.
    pub struct State {
        pub updates: u32,
        /// What was not finite: [`NONE`], 0 for the loss, or a tensor's index plus one.
        pub failed: u32,
        /// The meta-step that it failed at.
        pub failed_at: u32,
        /// Of the latest gradient, to bring its norm within bounds.
        pub scale: f32,
    }
}

impl State {
    /// A network that has learned nothing yet.
    pub fn fresh() -> Self {
        Self {
            updates: 0,
            failed: NONE,
            failed_at: 0,
            scale: 1.0,
        }
    }
}

/// The optimisers' methods, and the schedules: on the device each is its place here. A name that the shaders do not know is
/// an error when they are rendered.
pub(super) const METHODS: [&str; 3] = ["rmsprop", "sgd", "adam"];
pub(super) const SCHEDULES: [&str; 3] = ["constant", "cosine", "step"];

fn code(names: &[&str], name: &str) -> u32 {
    let code = names.iter().position(|other| *other == name);
    code.expect("every method and schedule is listed") as u32
}

shared! {
    /// A network's optimiser.
    pub struct Settings {
        pub method: u32,
        pub schedule: u32,
        pub learning_rate: f32,
        pub schedule_length: f32,
        pub schedule_factor: f32,
        pub max_step: f32,
        pub max_gradient_norm: f32,
        pub l1: f32,
        pub l2: f32,
        pub rate_min: f32,
        pub rate_max: f32,
        pub plasticity_min: f32,
        pub plasticity_max: f32,
        /// RMSprop's mean rate, SGD's momentum, one minus Adam's beta1.
        pub first: f32,
        /// One minus Adam's beta2.
        pub second: f32,
        pub epsilon: f32,
        /// The logarithm of Adam's beta1.
        pub first_log: f32,
        /// The logarithm of Adam's beta2.
        pub second_log: f32,
    }
}

impl Settings {
    pub fn new(optimiser: &Optimiser) -> Self {
        // Shaders have no infinities: the largest float stands for "no bound".
        let bound = |value: f64| (value as f32).clamp(f32::MIN, f32::MAX);
        let largest = |value: Option<f64>| bound(value.unwrap_or(f64::INFINITY));
        let [plasticity_min, plasticity_max] = optimiser.plasticity_bounds().map(bound);
        let [rate_min, rate_max] = optimiser.rate_bounds.map(bound);
        let (schedule, schedule_length, schedule_factor) = match optimiser.schedule {
            Schedule::Constant => ("constant", 1.0, 1.0),
            Schedule::Cosine { updates, floor } => ("cosine", updates as f32, floor as f32),
            Schedule::Step { every, factor } => ("step", every as f32, factor as f32),
        };
        let common = Self {
            schedule: code(&SCHEDULES, schedule),
            schedule_length,
            schedule_factor,
            learning_rate: optimiser.learning_rate as f32,
            max_step: largest(optimiser.max_step),
            max_gradient_norm: largest(optimiser.max_gradient_norm),
            l1: optimiser.l1 as f32,
            l2: optimiser.l2 as f32,
            rate_min,
            rate_max,
            plasticity_min,
            plasticity_max,
            ..Self::default()
        };
        match optimiser.method {
            Method::Rmsprop { mean_rate, epsilon } => Self {
                method: code(&METHODS, "rmsprop"),
                first: mean_rate as f32,
                epsilon: epsilon as f32,
                ..common
            },
            Method::Sgd { momentum } => Self {
                method: code(&METHODS, "sgd"),
                first: momentum as f32,
                ..common
            },
            Method::Adam {
                beta1,
                beta2,
                epsilon,
            } => Self {
                method: code(&METHODS, "adam"),
                first: (1.0 - beta1) as f32,
                second: (1.0 - beta2) as f32,
                epsilon: epsilon as f32,
                first_log: bound(beta1.ln()),
                second_log: bound(beta2.ln()),
                ..common
            },
        }
    }
}
