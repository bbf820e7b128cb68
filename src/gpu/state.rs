//! What the device knows of a population in training beside its parameters, in structs that the shaders have too.

use super::shared::shared;
use crate::optimiser::{Method, Optimiser, Schedule};
use crate::parameters::Layout;

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
        /// The method's own, as its text says.
        pub constant0: f32,
        pub constant1: f32,
        pub constant2: f32,
        pub constant3: f32,
        pub constant4: f32,
    }
}

impl Settings {
    pub fn new(optimiser: &Optimiser) -> Self {
        // Shaders have no infinities: the largest float stands for "no bound".
        let bound = |value: f64| (value as f32).clamp(f32::MIN, f32::MAX);
        let largest = |value: Option<f64>| bound(value.unwrap_or(f64::INFINITY));
        let [plasticity_min, plasticity_max] = optimiser.plasticity_bounds().map(bound);
        let [rate_min, rate_max] = optimiser.rate_bounds.map(bound);
        let (schedule_length, schedule_factor) = match optimiser.schedule {
            Schedule::Constant => (1.0, 1.0),
            Schedule::Cosine { updates, floor } => (updates as f32, floor as f32),
            Schedule::Step { every, factor } => (every as f32, factor as f32),
        };
        let (method, schedule) = (optimiser.method.name(), optimiser.schedule.name());
        let code = |place: Option<usize>| place.expect("it is one of them") as u32;
        let constants = (optimiser.method.entry().for_device)(&optimiser.method.values());
        let [constant0, constant1, constant2, constant3, constant4] = constants.map(bound);
        Self {
            // On the device each method, and each schedule, is its place among all.
            method: code(Method::ALL.iter().position(|one| one.name() == method)),
            schedule: code(
                Schedule::all(1)
                    .iter()
                    .position(|one| one.name() == schedule),
            ),
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
            constant0,
            constant1,
            constant2,
            constant3,
            constant4,
        }
    }

    /// An `Optimiser` of the shaders, as bytes: the settings, then the tensors' factors.
    pub fn with_factors(optimiser: &Optimiser, layout: &Layout) -> Vec<u8> {
        let factors = optimiser.factors(layout).into_iter();
        let factors: Vec<_> = factors.map(|factor| factor as f32).collect();
        let mut bytes = bytemuck::bytes_of(&Self::new(optimiser)).to_vec();
        bytes.extend_from_slice(bytemuck::bytes_of(&0.0f32));
        bytes.extend_from_slice(bytemuck::cast_slice(&factors));
        bytes
    }

    /// Its length for a network of so many tensors.
    pub fn bytes_with_factors(tensors: usize) -> usize {
        size_of::<Self>() + size_of::<f32>() * (tensors + 1)
    }
}
