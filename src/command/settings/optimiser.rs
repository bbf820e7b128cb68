//! The optimiser, its schedule, penalties and bounds, and how parameters start.

use super::values::{Bound, one_of, real, set};
use crate::command::number::whole;
use clap::Args;
use metaplastic::training::Recipe;
use metaplastic::{Error, Method, Optimiser, Result, Schedule, Sign};

#[derive(Clone, Copy, Debug)]
enum MethodName {
    Rmsprop,
    Sgd,
    Adam,
}

#[derive(Clone, Copy, Debug)]
enum ScheduleName {
    Constant,
    Cosine,
    Step,
}

const METHODS: [(&str, MethodName); 3] = [
    ("rmsprop", MethodName::Rmsprop),
    ("sgd", MethodName::Sgd),
    ("adam", MethodName::Adam),
];

const SCHEDULES: [(&str, ScheduleName); 3] = [
    ("constant", ScheduleName::Constant),
    ("cosine", ScheduleName::Cosine),
    ("step", ScheduleName::Step),
];

const SIGNS: [(&str, Sign); 3] = [
    ("either", Sign::Either),
    ("positive", Sign::Positive),
    ("negative", Sign::Negative),
];

#[derive(Args, Debug)]
#[command(next_help_heading = "Optimiser and initial parameters")]
pub(super) struct OptimiserSettings {
    /// How a gradient becomes a step
    #[arg(long, value_name = "NAME", value_parser = one_of(METHODS))]
    optimiser: Option<MethodName>,

    /// Learning rate, before the schedule
    #[arg(long, value_name = "VALUE", allow_negative_numbers = true, value_parser = real)]
    learning_rate: Option<f64>,

    /// rmsprop: how fast the mean square follows
    #[arg(long, value_name = "VALUE", allow_negative_numbers = true, value_parser = real)]
    mean_rate: Option<f64>,

    /// sgd: how much of the last step's direction stays
    #[arg(long, value_name = "VALUE", allow_negative_numbers = true, value_parser = real)]
    momentum: Option<f64>,

    /// adam: decay of the mean
    #[arg(long, value_name = "VALUE", allow_negative_numbers = true, value_parser = real)]
    beta1: Option<f64>,

    /// adam: decay of the mean square
    #[arg(long, value_name = "VALUE", allow_negative_numbers = true, value_parser = real)]
    beta2: Option<f64>,

    /// rmsprop and adam: keeps the division finite
    #[arg(long, value_name = "VALUE", allow_negative_numbers = true, value_parser = real)]
    epsilon: Option<f64>,

    /// Course of the learning rate over the updates
    #[arg(long, value_name = "NAME", value_parser = one_of(SCHEDULES))]
    schedule: Option<ScheduleName>,

    /// cosine: updates until the floor is reached [default: all that learn]
    #[arg(long, value_name = "COUNT", allow_negative_numbers = true, value_parser = whole::<u32>)]
    schedule_updates: Option<u32>,

    /// cosine: the last factor
    #[arg(long, value_name = "VALUE", allow_negative_numbers = true, value_parser = real)]
    schedule_floor: Option<f64>,

    /// step: updates between steps [default: a quarter of all that learn]
    #[arg(long, value_name = "COUNT", allow_negative_numbers = true, value_parser = whole::<u32>)]
    schedule_every: Option<u32>,

    /// step: what each step multiplies by [default: 0.5]
    #[arg(long, value_name = "VALUE", allow_negative_numbers = true, value_parser = real)]
    schedule_factor: Option<f64>,

    /// Largest step of any parameter, or none
    #[arg(long, value_name = "VALUE", allow_negative_numbers = true)]
    max_step: Option<Bound>,

    /// Largest norm of one network's whole gradient, or none
    #[arg(long, value_name = "VALUE", allow_negative_numbers = true)]
    max_gradient_norm: Option<Bound>,

    /// L1 penalty per update on weights and plasticity
    #[arg(long, value_name = "VALUE", allow_negative_numbers = true, value_parser = real)]
    l1: Option<f64>,

    /// L2 penalty per update on weights and plasticity
    #[arg(long, value_name = "VALUE", allow_negative_numbers = true, value_parser = real)]
    l2: Option<f64>,

    /// Least plasticity coefficient, or none
    #[arg(long, value_name = "VALUE", allow_negative_numbers = true)]
    plasticity_min: Option<Bound>,

    /// Largest plasticity coefficient, or none
    #[arg(long, value_name = "VALUE", allow_negative_numbers = true)]
    plasticity_max: Option<Bound>,

    /// Least value of a learned rate
    #[arg(long, value_name = "VALUE", allow_negative_numbers = true, value_parser = real)]
    rate_min: Option<f64>,

    /// Largest value of a learned rate
    #[arg(long, value_name = "VALUE", allow_negative_numbers = true, value_parser = real)]
    rate_max: Option<f64>,

    /// Standard deviation of initial weights, plasticity coefficients and biases
    #[arg(long, value_name = "VALUE", allow_negative_numbers = true, value_parser = real)]
    scale: Option<f64>,

    /// Standard deviation of initial plasticity coefficients, or none: as the others
    #[arg(long, value_name = "VALUE", allow_negative_numbers = true)]
    plasticity_scale: Option<Bound>,

    /// Sign of initial plasticity coefficients
    #[arg(long, value_name = "SIGN", value_parser = one_of(SIGNS))]
    plasticity_sign: Option<Sign>,

    /// Whether a final dense layer starts at absolute values
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true")]
    positive_output: Option<bool>,
}

impl OptimiserSettings {
    pub fn apply(&self, recipe: &mut Recipe) -> Result<()> {
        let updates = recipe
            .meta_steps()
            .saturating_sub(recipe.frozen_meta_steps());
        let optimiser = &mut recipe.optimiser;
        self.apply_to_method(&mut optimiser.method)?;
        self.apply_to_schedule(&mut optimiser.schedule, updates)?;
        set(&mut optimiser.learning_rate, self.learning_rate);
        set(&mut optimiser.l1, self.l1);
        set(&mut optimiser.l2, self.l2);
        let [least, largest] = &mut optimiser.rate_bounds;
        set(least, self.rate_min);
        set(largest, self.rate_max);
        for (place, given) in [
            (&mut optimiser.max_step, self.max_step),
            (&mut optimiser.max_gradient_norm, self.max_gradient_norm),
            (&mut optimiser.plasticity_min, self.plasticity_min),
            (&mut optimiser.plasticity_max, self.plasticity_max),
            (&mut recipe.initial.plasticity_scale, self.plasticity_scale),
        ] {
            set(place, given.map(|Bound(value)| value));
        }
        set(&mut recipe.initial.scale, self.scale);
        set(&mut recipe.initial.plasticity_sign, self.plasticity_sign);
        set(&mut recipe.initial.positive_output, self.positive_output);
        Ok(())
    }

    fn apply_to_method(&self, method: &mut Method) -> Result<()> {
        let default = match self.optimiser {
            None => None,
            Some(MethodName::Rmsprop) => Some(Optimiser::rmsprop(0.0)),
            Some(MethodName::Sgd) => Some(Optimiser::sgd(0.0, 0.0)),
            Some(MethodName::Adam) => Some(Optimiser::adam(0.0)),
        };
        if let Some(Optimiser { method: other, .. }) = default
            && std::mem::discriminant(&other) != std::mem::discriminant(method)
        {
            *method = other;
        }
        let constants: (&str, Vec<(&str, &mut f64)>) = match method {
            Method::Rmsprop { mean_rate, epsilon } => (
                "the optimiser is rmsprop",
                vec![("--mean-rate", mean_rate), ("--epsilon", epsilon)],
            ),
            Method::Sgd { momentum } => ("the optimiser is sgd", vec![("--momentum", momentum)]),
            Method::Adam {
                beta1,
                beta2,
                epsilon,
            } => (
                "the optimiser is adam",
                vec![
                    ("--beta1", beta1),
                    ("--beta2", beta2),
                    ("--epsilon", epsilon),
                ],
            ),
        };
        set_constants(
            constants,
            [
                ("--mean-rate", self.mean_rate),
                ("--momentum", self.momentum),
                ("--beta1", self.beta1),
                ("--beta2", self.beta2),
                ("--epsilon", self.epsilon),
            ],
        )
    }

    fn apply_to_schedule(&self, schedule: &mut Schedule, learning: u32) -> Result<()> {
        let default = match self.schedule {
            None => None,
            Some(ScheduleName::Constant) => Some(Schedule::Constant),
            Some(ScheduleName::Cosine) => Some(Schedule::Cosine {
                updates: learning.max(1),
                floor: 0.0,
            }),
            Some(ScheduleName::Step) => Some(Schedule::Step {
                every: learning.div_ceil(4).max(1),
                factor: 0.5,
            }),
        };
        if let Some(other) = default
            && std::mem::discriminant(&other) != std::mem::discriminant(schedule)
        {
            *schedule = other;
        }
        let (mut none, mut other) = (0, 0);
        let (name, updates, every, constants): (_, _, _, Vec<(&str, &mut f64)>) = match schedule {
            Schedule::Constant => ("constant", &mut none, &mut other, Vec::new()),
            Schedule::Cosine { updates, floor } => {
                let constants = vec![("--schedule-floor", floor)];
                ("cosine", updates, &mut other, constants)
            }
            Schedule::Step { every, factor } => {
                let constants = vec![("--schedule-factor", factor)];
                ("step", &mut none, every, constants)
            }
        };
        let reason = format!("the schedule is {name}");
        for (field, given, at_home, place) in [
            (
                "--schedule-updates",
                self.schedule_updates,
                name == "cosine",
                updates,
            ),
            (
                "--schedule-every",
                self.schedule_every,
                name == "step",
                every,
            ),
        ] {
            if given.is_some() && !at_home {
                return Err(has_none(field, &reason));
            }
            set(place, given);
        }
        set_constants(
            (&reason, constants),
            [
                ("--schedule-floor", self.schedule_floor),
                ("--schedule-factor", self.schedule_factor),
            ],
        )
    }
}

/// Sets the constants that are given; one that is not among `places` is an error, for the `reason`.
fn set_constants<const N: usize>(
    (reason, mut places): (&str, Vec<(&str, &mut f64)>),
    given: [(&str, Option<f64>); N],
) -> Result<()> {
    for (field, value) in given {
        let Some(value) = value else { continue };
        match places.iter_mut().find(|(name, _)| *name == field) {
            Some((_, place)) => **place = value,
            None => return Err(has_none(field, reason)),
        }
    }
    Ok(())
}

fn has_none(field: &str, reason: &str) -> Error {
    Error::Setting {
        field: field.into(),
        reason: format!("{reason}, which has no such constant"),
    }
}
