//! Optimisers: how parameters follow their gradients.
//!
//! One update of one network, in this order:
//! 1. the gradient is scaled down to `max_gradient_norm`, if it is larger;
//! 2. the method turns it into a step with the scheduled learning rate, times the parameter's own factor, clipped to
//!    `±max_step`;
//! 3. weights and plasticity coefficients (of every layer) shrink by `l1·sign(v) + l2·v`; biases and rates do not;
//! 4. rates and plasticity coefficients are clipped to their bounds.
//!
//! Frozen parameters take no part in any of it.

mod adam;
mod method;
mod rmsprop;
mod schedule;
mod selector;
mod sgd;
mod update;

pub use method::{Constant, Method};
pub use schedule::Schedule;
pub use selector::Selector;
#[cfg(feature = "gpu")]
pub(crate) use update::DEVICE_CONSTANTS;
pub(crate) use update::{Formula, NUMBERS, Update, WithFormula, clamp};

use crate::error::{Error, Result};
use crate::number::{Real, require_in_range};
use crate::parameters::{Layout, Parameters, Role, Tensor};
use crate::zip::zip_eq;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// How one network's parameters follow their gradients.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Optimiser {
    /// The rule that turns a gradient into a step.
    pub method: Method,
    /// The learning rate before the schedule.
    pub learning_rate: f64,
    /// The learning rate's course over the updates.
    #[serde(default)]
    pub schedule: Schedule,
    /// The largest step of any parameter.
    #[serde(default, with = "crate::optional")]
    pub max_step: Option<f64>,
    /// The largest norm of one network's whole gradient.
    #[serde(default, with = "crate::optional")]
    pub max_gradient_norm: Option<f64>,
    /// L1 penalty per update on weights and plasticity coefficients, at most 1e30.
    #[serde(default)]
    pub l1: f64,
    /// L2 penalty per update on weights and plasticity coefficients, at most 1.
    #[serde(default)]
    pub l2: f64,
    /// Bounds of learned rates.
    #[serde(default = "unit")]
    pub rate_bounds: [f64; 2],
    /// Least plasticity coefficient.
    #[serde(default, with = "crate::optional")]
    pub plasticity_min: Option<f64>,
    /// Largest plasticity coefficient.
    #[serde(default, with = "crate::optional")]
    pub plasticity_max: Option<f64>,
    /// Parameters that stay as they are, as though they were not learned.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub frozen: Vec<Selector>,
    /// What the learning rate is multiplied by for some parameters; more than 0. A factor of one layer's parameters stands
    /// in the place of that of their role. Penalties are not multiplied.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub factors: BTreeMap<Selector, f64>,
}

fn unit() -> [f64; 2] {
    [0.0, 1.0]
}

impl Optimiser {
    /// A method with its learning rate; no clipping, no penalties, constant schedule.
    pub fn new(method: Method, learning_rate: f64) -> Self {
        Self {
            method,
            learning_rate,
            schedule: Schedule::default(),
            max_step: None,
            max_gradient_norm: None,
            l1: 0.0,
            l2: 0.0,
            rate_bounds: unit(),
            plasticity_min: None,
            plasticity_max: None,
            frozen: Vec::new(),
            factors: BTreeMap::new(),
        }
    }

    /// RMSprop with the constants of Miconi 2016.
    pub fn rmsprop(learning_rate: f64) -> Self {
        Self::new(Method::RMSPROP, learning_rate)
    }

    /// Gradient descent with momentum.
    pub fn sgd(learning_rate: f64, momentum: f64) -> Self {
        Self::new(Method::Sgd { momentum }, learning_rate)
    }

    /// Adam with the usual constants.
    pub fn adam(learning_rate: f64) -> Self {
        Self::new(Method::ADAM, learning_rate)
    }

    /// Bounds of the plasticity coefficients, infinite where there is none.
    pub fn plasticity_bounds(&self) -> [f64; 2] {
        [
            self.plasticity_min.unwrap_or(f64::NEG_INFINITY),
            self.plasticity_max.unwrap_or(f64::INFINITY),
        ]
    }

    /// Fails unless every setting is in its range.
    ///
    /// # Errors
    /// Names the first setting that is not.
    pub fn check(&self) -> Result<()> {
        let range = |field: &str, value: f64, valid: bool, expected: &str| {
            let field = format!("optimiser.{field}");
            require_in_range::<f32>(&field, value)?;
            if valid {
                return Ok(());
            }
            Err(Error::setting(
                field,
                format!("{value:?}, expected {expected}"),
            ))
        };
        range(
            "learning_rate",
            self.learning_rate,
            self.learning_rate >= 0.0,
            "at least 0",
        )?;
        for (field, value) in [
            ("max_step", self.max_step),
            ("max_gradient_norm", self.max_gradient_norm),
        ] {
            if let Some(value) = value {
                range(field, value, value > 0.0, "more than 0")?;
            }
        }
        // Beyond these a penalty could make a parameter grow, out of the range of f32 in the end.
        for (field, value, largest) in [("l1", self.l1, 1e30), ("l2", self.l2, 1.0)] {
            let expected = format!("0 to {largest:?}");
            range(field, value, (0.0..=largest).contains(&value), &expected)?;
        }
        self.method.check()?;
        match self.schedule {
            Schedule::Constant => {}
            Schedule::Cosine { updates, floor } => {
                range(
                    "schedule.updates",
                    f64::from(updates),
                    updates > 0,
                    "at least 1",
                )?;
                range(
                    "schedule.floor",
                    floor,
                    (0.0..=1.0).contains(&floor),
                    "0 to 1",
                )?;
            }
            Schedule::Step { every, factor } => {
                range("schedule.every", f64::from(every), every > 0, "at least 1")?;
                range(
                    "schedule.factor",
                    factor,
                    factor > 0.0 && factor <= 1.0,
                    "more than 0, at most 1",
                )?;
            }
        }
        let [low, high] = self.rate_bounds;
        range("rate_bounds", high, true, "")?;
        range(
            "rate_bounds",
            low,
            low <= high,
            &format!("at most the other bound, which is {high:?}"),
        )?;
        for (field, value) in [
            ("plasticity_min", self.plasticity_min),
            ("plasticity_max", self.plasticity_max),
        ] {
            if let Some(value) = value {
                range(field, value, true, "")?;
            }
        }
        let [low, high] = self.plasticity_bounds();
        if low > high {
            return Err(Error::setting(
                "optimiser.plasticity_min",
                format!("{low}, expected at most plasticity_max, which is {high}"),
            ));
        }
        for (selector, &factor) in &self.factors {
            let expected = "more than 0 (to keep parameters as they are, freeze them)";
            range(
                &format!("factors.{selector}"),
                factor,
                factor > 0.0,
                expected,
            )?;
            if self.frozen.contains(selector) {
                return Err(Error::setting(
                    format!("optimiser.factors.{selector}"),
                    format!("{factor:?}, but \"{selector}\" is among the frozen parameters"),
                ));
            }
        }
        Ok(())
    }

    /// Fails unless what is frozen, or has a factor, is among the learned parameters of `layout`.
    ///
    /// # Errors
    /// Names the first that is not, and those that there are.
    pub(crate) fn check_parameters(&self, layout: &Layout) -> Result<()> {
        for selector in &self.frozen {
            selector.check("optimiser.frozen", layout)?;
        }
        for selector in self.factors.keys() {
            selector.check("optimiser.factors", layout)?;
        }
        Ok(())
    }

    /// What the learning rate is multiplied by, for each tensor of `layout`; 0 for those that stay as they are.
    pub(crate) fn factors(&self, layout: &Layout) -> Vec<f64> {
        let tensors = layout.tensors().iter();
        let factor = |tensor: &Tensor| {
            let is_frozen = || self.frozen.iter().any(|selector| selector.is_about(tensor));
            if !tensor.learned || is_frozen() {
                return 0.0;
            }
            let own = Selector::tensor(tensor.layer, tensor.role);
            let factor = self.factors.get(&own);
            let factor = factor.or_else(|| self.factors.get(&Selector::role(tensor.role)));
            factor.copied().unwrap_or(1.0)
        };
        tensors.map(factor).collect()
    }

    /// Fails if a learned rate of network `index` starts outside its bounds.
    pub(crate) fn check_start<R: Real>(
        &self,
        index: usize,
        parameters: &Parameters<R>,
    ) -> Result<()> {
        let [low, high] = self.rate_bounds.map(R::from_f64);
        let factors = self.factors(parameters.layout());
        for (tensor, factor) in zip_eq(parameters.layout().tensors(), factors) {
            if tensor.role != Role::Rate || factor == 0.0 {
                continue;
            }
            for &value in &parameters.network(index)[tensor.range()] {
                if !(low..=high).contains(&value) {
                    return Err(Error::setting(
                        tensor.name(),
                        format!(
                            "starts at {value} in network {index}, outside its bounds {low} to {high}"
                        ),
                    ));
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::{Activation, Layer, Loss, Network, Plastic, Rate};

    #[test]
    fn optimisers_are_what_they_are_in_toml_where_nothing_is_said() {
        let read = |text: &str| toml::from_str::<Optimiser>(text).unwrap();
        for method in Method::ALL {
            let kind = method.name();
            let text = format!("learning_rate = 0.5\nmethod = {{ kind = \"{kind}\" }}");
            assert_eq!(read(&text), Optimiser::new(method, 0.5));
        }
        let adam = "learning_rate = 0.5\nmethod = { kind = \"adam\" }\n";
        assert_eq!(read(adam), Optimiser::adam(0.5));
        let cosine = format!("{adam}schedule = {{ kind = \"cosine\", updates = 7 }}");
        assert_eq!(read(&cosine).schedule, Schedule::cosine(7));
    }

    #[test]
    fn settings_out_of_range_are_named() {
        let good = Optimiser::adam(1e-3);
        good.check().unwrap();
        type Change = fn(&mut Optimiser);
        let bad: [(&str, Change); 19] = [
            ("learning_rate", |o| o.learning_rate = f64::NAN),
            ("learning_rate: 1e300, beyond the range of f32", |o| {
                o.learning_rate = 1e300
            }),
            ("max_step: 1e-60, beyond the range of f32", |o| {
                o.max_step = Some(1e-60)
            }),
            ("rate_bounds: 1e39, beyond", |o| o.rate_bounds = [0.0, 1e39]),
            ("rate_bounds: -1e39, beyond", |o| {
                o.rate_bounds = [-1e39, 0.0]
            }),
            ("plasticity_max: inf, expected a finite value", |o| {
                o.plasticity_max = Some(f64::INFINITY)
            }),
            ("epsilon: 1e-50, beyond", |o| {
                o.method = Method::Rmsprop {
                    mean_rate: 0.1,
                    epsilon: 1e-50,
                }
            }),
            // In single precision it is 1.
            ("momentum", |o| {
                o.method = Method::Sgd {
                    momentum: 1.0 - 1e-9,
                }
            }),
            ("max_step", |o| o.max_step = Some(0.0)),
            ("l1", |o| o.l1 = -1.0),
            ("l1", |o| o.l1 = 1e31),
            ("l2", |o| o.l2 = 1.5),
            ("schedule.factor", |o| {
                o.schedule = Schedule::Step {
                    every: 1,
                    factor: 1.5,
                }
            }),
            ("momentum", |o| o.method = Method::Sgd { momentum: 1.0 }),
            ("rate_bounds", |o| o.rate_bounds = [1.0, 0.0]),
            ("factors.bias: 0.0, expected more than 0", |o| {
                o.factors.insert(Selector::role(Role::Bias), 0.0);
            }),
            ("factors.layer3.bias: 1e39, beyond", |o| {
                o.factors.insert(Selector::tensor(3, Role::Bias), 1e39);
            }),
            ("factors.bias: 2.0, but \"bias\" is among the frozen", |o| {
                o.factors.insert(Selector::role(Role::Bias), 2.0);
                o.frozen.push(Selector::role(Role::Bias));
            }),
            ("schedule.every", |o| {
                o.schedule = Schedule::Step {
                    every: 0,
                    factor: 0.5,
                }
            }),
        ];
        for (field, change) in bad {
            let mut optimiser = good.clone();
            change(&mut optimiser);
            assert!(optimiser.check().unwrap_err().to_string().contains(field));
        }
    }

    #[test]
    fn factors_of_a_layer_come_before_those_of_a_role() {
        let layers = [
            Layer::from(Plastic::new(3, 2, Rate::learned(0.1)).activation(Activation::Tanh)),
            Layer::from(Plastic::new(2, 2, Rate::fixed(0.1)).activation(Activation::Tanh)),
        ];
        let network = Network::new(Loss::SquaredError, layers).unwrap();
        let layout = Layout::new(&network).unwrap();
        let mut optimiser = Optimiser::adam(1e-3);
        // Weight, plasticity, bias, rate.
        assert_eq!(
            optimiser.factors(&layout),
            [1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 0.0]
        );
        for (selector, factor) in [("bias", 0.5), ("layer1.bias", 2.0), ("rate", 3.0)] {
            optimiser.factors.insert(selector.parse().unwrap(), factor);
        }
        optimiser.frozen = vec![
            "layer0.weight".parse().unwrap(),
            "plasticity".parse().unwrap(),
        ];
        assert_eq!(
            optimiser.factors(&layout),
            [0.0, 0.0, 0.5, 3.0, 1.0, 0.0, 2.0, 0.0]
        );
        optimiser.check().unwrap();
        optimiser.check_parameters(&layout).unwrap();

        for text in ["layer2.weight", "layer1.rate"] {
            let selector: Selector = text.parse().unwrap();
            let frozen = Optimiser {
                frozen: vec![selector],
                ..Optimiser::adam(1e-3)
            };
            let mut faster = Optimiser::adam(1e-3);
            faster.factors.insert(selector, 2.0);
            for (field, optimiser) in [("frozen", frozen), ("factors", faster)] {
                let error = optimiser.check_parameters(&layout).unwrap_err().to_string();
                for part in [
                    field,
                    text,
                    "layer0.weight, layer0.plasticity, layer0.bias, layer0.rate, layer1.weight",
                ] {
                    assert!(error.contains(part), "{error}");
                }
            }
        }
    }
}
