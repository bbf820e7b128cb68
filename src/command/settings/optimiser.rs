//! The optimiser, its schedule, penalties and bounds, and how parameters start.

use crate::command::number::whole;
use crate::command::values::{
    Bound, Choose, Lists, Several, bound, list, one_of, real, set, several,
};
use clap::builder::BoolValueParser;
use clap::{Arg, ArgMatches, Args, Command, FromArgMatches};
use metaplastic::optimiser::{Constant, Method, Schedule, Selector};
use metaplastic::parameters::Sign;
use metaplastic::training::Recipe;
use metaplastic::{Error, Result};

#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Optimiser and initial parameters")]
pub(super) struct OptimiserSettings {
    /// How a gradient becomes a step
    #[arg(long, value_name = "NAME", value_parser = several(one_of(Method::ALL.map(|method| (method.name(), method)))))]
    optimiser: Option<Several<Method>>,

    /// Learning rate, before the schedule
    #[arg(long, value_name = "VALUE", allow_negative_numbers = true, value_parser = several(real))]
    learning_rate: Option<Several<f64>>,

    #[command(flatten)]
    constants: MethodConstants,

    /// Course of the learning rate over the updates
    #[arg(long, value_name = "NAME", value_parser = several(one_of(Schedule::all(1).map(|one| (one.name(), one.name())))))]
    schedule: Option<Several<&'static str>>,

    /// cosine: updates until the floor is reached [default: all that learn]
    #[arg(long, value_name = "COUNT", allow_negative_numbers = true, value_parser = several(whole::<u32>))]
    schedule_updates: Option<Several<u32>>,

    /// cosine: the last factor
    #[arg(long, value_name = "VALUE", allow_negative_numbers = true, value_parser = several(real))]
    schedule_floor: Option<Several<f64>>,

    /// step: updates between steps [default: a quarter of all that learn]
    #[arg(long, value_name = "COUNT", allow_negative_numbers = true, value_parser = several(whole::<u32>))]
    schedule_every: Option<Several<u32>>,

    /// step: what each step multiplies by [default: 0.5]
    #[arg(long, value_name = "VALUE", allow_negative_numbers = true, value_parser = several(real))]
    schedule_factor: Option<Several<f64>>,

    /// Largest step of any parameter, or none
    #[arg(long, value_name = "VALUE", allow_negative_numbers = true, value_parser = several(bound))]
    max_step: Option<Several<Bound>>,

    /// Largest norm of one network's whole gradient, or none
    #[arg(long, value_name = "VALUE", allow_negative_numbers = true, value_parser = several(bound))]
    max_gradient_norm: Option<Several<Bound>>,

    /// L1 penalty per update on weights and plasticity
    #[arg(long, value_name = "VALUE", allow_negative_numbers = true, value_parser = several(real))]
    l1: Option<Several<f64>>,

    /// L2 penalty per update on weights and plasticity
    #[arg(long, value_name = "VALUE", allow_negative_numbers = true, value_parser = several(real))]
    l2: Option<Several<f64>>,

    /// Least plasticity coefficient, or none
    #[arg(long, value_name = "VALUE", allow_negative_numbers = true, value_parser = several(bound))]
    plasticity_min: Option<Several<Bound>>,

    /// Largest plasticity coefficient, or none
    #[arg(long, value_name = "VALUE", allow_negative_numbers = true, value_parser = several(bound))]
    plasticity_max: Option<Several<Bound>>,

    /// Least value of a learned rate
    #[arg(long, value_name = "VALUE", allow_negative_numbers = true, value_parser = several(real))]
    rate_min: Option<Several<f64>>,

    /// Largest value of a learned rate
    #[arg(long, value_name = "VALUE", allow_negative_numbers = true, value_parser = several(real))]
    rate_max: Option<Several<f64>>,

    /// Parameters that stay as they are: a role (weight, plasticity, bias, rate), or that of a layer (layer0.weight);
    /// several with commas
    #[arg(long, value_name = "NAME", value_delimiter = ',', value_parser = selector)]
    freeze: Vec<Selector>,

    /// What the learning rate is multiplied by for a role or that of a layer; several with commas
    #[arg(long, value_name = "NAME=FACTOR", value_delimiter = ',', value_parser = factor)]
    learning_rate_factor: Vec<(Selector, f64)>,

    /// Standard deviation of initial weights, plasticity coefficients and biases
    #[arg(long, value_name = "VALUE", allow_negative_numbers = true, value_parser = several(real))]
    scale: Option<Several<f64>>,

    /// Standard deviation of initial plasticity coefficients, or none: as the others
    #[arg(long, value_name = "VALUE", allow_negative_numbers = true, value_parser = several(bound))]
    plasticity_scale: Option<Several<Bound>>,

    /// Sign of initial plasticity coefficients
    #[arg(long, value_name = "SIGN", value_parser = several(one_of(Sign::ALL.map(|sign| (sign.name(), sign)))))]
    plasticity_sign: Option<Several<Sign>>,

    /// Whether a final dense layer starts at absolute values
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true", value_parser = several(BoolValueParser::new()))]
    positive_output: Option<Several<bool>>,
}

impl OptimiserSettings {
    /// The options that may have several values.
    pub fn lists(&mut self) -> Lists<'_> {
        let own = [
            list("optimiser", &mut self.optimiser),
            list("learning-rate", &mut self.learning_rate),
            list("schedule", &mut self.schedule),
            list("schedule-updates", &mut self.schedule_updates),
            list("schedule-floor", &mut self.schedule_floor),
            list("schedule-every", &mut self.schedule_every),
            list("schedule-factor", &mut self.schedule_factor),
            list("max-step", &mut self.max_step),
            list("max-gradient-norm", &mut self.max_gradient_norm),
            list("l1", &mut self.l1),
            list("l2", &mut self.l2),
            list("plasticity-min", &mut self.plasticity_min),
            list("plasticity-max", &mut self.plasticity_max),
            list("rate-min", &mut self.rate_min),
            list("rate-max", &mut self.rate_max),
            list("scale", &mut self.scale),
            list("plasticity-scale", &mut self.plasticity_scale),
            list("plasticity-sign", &mut self.plasticity_sign),
            list("positive-output", &mut self.positive_output),
        ];
        let constants = self.constants.0.iter_mut();
        let constants = constants.map(|(name, value)| (*name, value as &mut dyn Choose));
        own.into_iter().flatten().chain(constants).collect()
    }

    pub fn apply(&self, recipe: &mut Recipe) -> Result<()> {
        let updates = recipe
            .meta_steps()
            .saturating_sub(recipe.frozen_meta_steps());
        let optimiser = &mut recipe.optimiser;
        self.apply_to_method(&mut optimiser.method)?;
        self.apply_to_schedule(&mut optimiser.schedule, updates)?;
        set(&mut optimiser.learning_rate, &self.learning_rate);
        set(&mut optimiser.l1, &self.l1);
        set(&mut optimiser.l2, &self.l2);
        let [least, largest] = &mut optimiser.rate_bounds;
        set(least, &self.rate_min);
        set(largest, &self.rate_max);
        for (place, given) in [
            (&mut optimiser.max_step, &self.max_step),
            (&mut optimiser.max_gradient_norm, &self.max_gradient_norm),
            (&mut optimiser.plasticity_min, &self.plasticity_min),
            (&mut optimiser.plasticity_max, &self.plasticity_max),
            (&mut recipe.initial.plasticity_scale, &self.plasticity_scale),
        ] {
            if let Some(given) = given {
                let Bound(value) = given.first();
                *place = value;
            }
        }
        set(&mut recipe.initial.scale, &self.scale);
        set(&mut recipe.initial.plasticity_sign, &self.plasticity_sign);
        set(&mut recipe.initial.positive_output, &self.positive_output);
        if !self.freeze.is_empty() {
            recipe.optimiser.frozen.clone_from(&self.freeze);
        }
        recipe
            .optimiser
            .factors
            .extend(self.learning_rate_factor.iter().copied());
        Ok(())
    }

    fn apply_to_method(&self, method: &mut Method) -> Result<()> {
        if let Some(other) = self.optimiser.as_ref().map(Several::first)
            && other.name() != method.name()
        {
            *method = other;
        }
        for (name, value) in &self.constants.0 {
            let reason = format!("the optimiser is {method}");
            let place = method.constant_mut(name);
            *place.ok_or_else(|| has_none(&flag(name), &reason))? = value.first();
        }
        Ok(())
    }

    fn apply_to_schedule(&self, schedule: &mut Schedule, learning: u32) -> Result<()> {
        let given = self.schedule.as_ref().map(Several::first);
        let mut asked = Schedule::all(learning).into_iter();
        if let Some(other) = asked.find(|one| Some(one.name()) == given)
            && other.name() != schedule.name()
        {
            *schedule = other;
        }
        let (mut none, mut other) = (0, 0);
        let (name, updates, every, constants): (_, _, _, Vec<(&str, &mut f64)>) = match schedule {
            Schedule::Cosine { updates, floor } => {
                let constants = vec![("--schedule-floor", floor)];
                ("cosine", updates, &mut other, constants)
            }
            Schedule::Step { every, factor } => {
                let constants = vec![("--schedule-factor", factor)];
                ("step", &mut none, every, constants)
            }
            other_kind => (other_kind.name(), &mut none, &mut other, Vec::new()),
        };
        let reason = format!("the schedule is {name}");
        for (field, given, at_home, place) in [
            (
                "--schedule-updates",
                &self.schedule_updates,
                name == "cosine",
                updates,
            ),
            (
                "--schedule-every",
                &self.schedule_every,
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
                ("--schedule-floor", &self.schedule_floor),
                ("--schedule-factor", &self.schedule_factor),
            ],
        )
    }
}

/// Sets the constants that are given; one that is not among `places` is an error, for the `reason`.
fn set_constants<const N: usize>(
    (reason, mut places): (&str, Vec<(&str, &mut f64)>),
    given: [(&str, &Option<Several<f64>>); N],
) -> Result<()> {
    for (field, value) in given {
        let Some(value) = value else { continue };
        match places.iter_mut().find(|(name, _)| *name == field) {
            Some((_, place)) => **place = value.first(),
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

/// The constants of all methods, one option for each name.
#[derive(Clone, Debug)]
struct MethodConstants(Vec<(&'static str, Several<f64>)>);

impl MethodConstants {
    /// Each constant, with the methods that have it; those of several come last.
    fn all() -> Vec<(Constant, Vec<&'static str>)> {
        let mut all: Vec<(Constant, Vec<_>)> = Vec::new();
        for method in Method::ALL {
            for (constant, _) in method.constants() {
                match all
                    .iter_mut()
                    .find(|(known, _)| known.name == constant.name)
                {
                    Some((_, methods)) => methods.push(method.name()),
                    None => all.push((constant, vec![method.name()])),
                }
            }
        }
        all.sort_by_key(|(_, methods)| methods.len());
        all
    }
}

impl Args for MethodConstants {
    fn augment_args(mut command: Command) -> Command {
        for (constant, methods) in Self::all() {
            let option = Arg::new(constant.name)
                .long(flag(constant.name).trim_start_matches('-').to_owned())
                .value_name("VALUE")
                .allow_negative_numbers(true)
                .value_parser(several(real))
                .help(format!("{}: {}", methods.join(" and "), constant.account));
            command = command.arg(option);
        }
        command
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for MethodConstants {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let given = Self::all().into_iter().filter_map(|(constant, _)| {
            let value = matches.get_one::<Several<f64>>(constant.name)?;
            Some((constant.name, value.clone()))
        });
        Ok(Self(given.collect()))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

/// `--mean-rate` for `mean_rate`.
fn flag(name: &str) -> String {
    format!("--{}", name.replace('_', "-"))
}

fn selector(text: &str) -> Result<Selector, String> {
    text.parse().map_err(|error: Error| match error {
        Error::Setting { reason, .. } => reason,
        other => other.to_string(),
    })
}

fn factor(text: &str) -> Result<(Selector, f64), String> {
    let Some((name, value)) = text.split_once('=') else {
        return Err("expected a name, = and a number, such as plasticity=0.1".to_owned());
    };
    Ok((selector(name)?, real(value)?))
}
