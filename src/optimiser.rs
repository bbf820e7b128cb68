//! Optimisers: how parameters follow their gradients.
//!
//! One update of one network, in this order:
//! 1. the gradient is scaled down to `max_gradient_norm`, if it is larger;
//! 2. the method turns it into a step with the scheduled learning rate, clipped to `±max_step`;
//! 3. weights and plasticity coefficients (of every layer) shrink by `l1·sign(v) + l2·v`; biases and rates do not;
//! 4. rates and plasticity coefficients are clipped to their bounds.

use crate::error::{Error, Result};
use crate::number::require_in_range;
use crate::parameters::{Parameters, Role};
use serde::{Deserialize, Serialize};

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
}

/// The rule that turns a gradient `g` into a step; the parameter changes by minus the step.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Method {
    /// `ms += mean_rate (g² − ms)`, starting at the first `g²`; step `lr · g / sqrt(ms + epsilon)` (Miconi 2016).
    Rmsprop {
        /// How fast the mean square follows.
        #[serde(default = "hundredth")]
        mean_rate: f64,
        /// Added under the square root.
        #[serde(default = "epsilon")]
        epsilon: f64,
    },
    /// `v ← momentum · v + g`; step `lr · v`.
    Sgd {
        /// How much of the last step's direction stays.
        #[serde(default)]
        momentum: f64,
    },
    /// Adam with bias correction (Kingma and Ba 2015): step `lr · m̂ / (sqrt(v̂) + epsilon)`.
    Adam {
        /// Decay of the mean.
        #[serde(default = "beta1")]
        beta1: f64,
        /// Decay of the mean square.
        #[serde(default = "beta2")]
        beta2: f64,
        /// Added to the square root.
        #[serde(default = "epsilon")]
        epsilon: f64,
    },
}

/// The learning rate's factor at update `k = 0, 1, …`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Schedule {
    /// 1.
    #[default]
    Constant,
    /// `floor + (1 − floor) (1 + cos(π min(k / updates, 1))) / 2`; with no updates, the floor.
    Cosine {
        /// Updates until the floor is reached.
        updates: u32,
        /// The last factor.
        #[serde(default)]
        floor: f64,
    },
    /// `factor ^ floor(k / every)`; where `every` is zero, 1.
    Step {
        /// Updates between steps.
        every: u32,
        /// What each step multiplies by, at most 1.
        factor: f64,
    },
}

fn unit() -> [f64; 2] {
    [0.0, 1.0]
}

fn hundredth() -> f64 {
    0.01
}

fn epsilon() -> f64 {
    1e-8
}

fn beta1() -> f64 {
    0.9
}

fn beta2() -> f64 {
    0.999
}

impl Schedule {
    /// The factor at update `k`. Settings that [`Optimiser::check`] refuses have one too.
    pub fn factor(self, k: u32) -> f64 {
        match self {
            Self::Constant => 1.0,
            Self::Cosine { updates, floor } => {
                let fraction = (f64::from(k) / f64::from(updates)).min(1.0);
                floor + (1.0 - floor) * 0.5 * (1.0 + (std::f64::consts::PI * fraction).cos())
            }
            Self::Step { every, factor } => {
                factor.powf(f64::from(k.checked_div(every).unwrap_or(0)))
            }
        }
    }
}

impl Optimiser {
    /// A method with its learning rate; no clipping, no penalties, constant schedule.
    pub fn new(method: Method, learning_rate: f64) -> Self {
        Self {
            method,
            learning_rate,
            schedule: Schedule::Constant,
            max_step: None,
            max_gradient_norm: None,
            l1: 0.0,
            l2: 0.0,
            rate_bounds: unit(),
            plasticity_min: None,
            plasticity_max: None,
        }
    }

    /// RMSprop with the constants of Miconi 2016.
    pub fn rmsprop(learning_rate: f64) -> Self {
        Self::new(
            Method::Rmsprop {
                mean_rate: hundredth(),
                epsilon: epsilon(),
            },
            learning_rate,
        )
    }

    /// Gradient descent with momentum.
    pub fn sgd(learning_rate: f64, momentum: f64) -> Self {
        Self::new(Method::Sgd { momentum }, learning_rate)
    }

    /// Adam with the usual constants.
    pub fn adam(learning_rate: f64) -> Self {
        Self::new(
            Method::Adam {
                beta1: beta1(),
                beta2: beta2(),
                epsilon: epsilon(),
            },
            learning_rate,
        )
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
        let fraction = |field, value| {
            range(
                field,
                value,
                (0.0..1.0).contains(&(value as f32)),
                "0 to 1, without 1",
            )
        };
        match self.method {
            Method::Rmsprop { mean_rate, epsilon } => {
                range(
                    "mean_rate",
                    mean_rate,
                    mean_rate > 0.0 && mean_rate <= 1.0,
                    "more than 0, at most 1",
                )?;
                range("epsilon", epsilon, epsilon > 0.0, "more than 0")?;
            }
            Method::Sgd { momentum } => fraction("momentum", momentum)?,
            Method::Adam {
                beta1,
                beta2,
                epsilon,
            } => {
                fraction("beta1", beta1)?;
                fraction("beta2", beta2)?;
                range("epsilon", epsilon, epsilon > 0.0, "more than 0")?;
            }
        }
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
        Ok(())
    }

    /// Fails if a learned rate of network `index` starts outside its bounds.
    pub(crate) fn check_start(&self, index: usize, parameters: &Parameters<f32>) -> Result<()> {
        let [low, high] = self.rate_bounds.map(|bound| bound as f32);
        for tensor in parameters.layout().tensors() {
            if tensor.role != Role::Rate || !tensor.learned {
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

    #[test]
    fn schedules() {
        let cosine = Schedule::Cosine {
            updates: 100,
            floor: 0.1,
        };
        assert!((cosine.factor(0) - 1.0).abs() < 1e-12);
        assert!((cosine.factor(50) - 0.55).abs() < 1e-12);
        assert!((cosine.factor(1000) - 0.1).abs() < 1e-12);
        let step = Schedule::Step {
            every: 10,
            factor: 0.5,
        };
        assert_eq!(
            [0, 9, 10, 25].map(|k| step.factor(k)),
            [1.0, 1.0, 0.5, 0.25]
        );
        for k in [0, 3, u32::MAX] {
            let every = Schedule::Step {
                every: 0,
                factor: 0.5,
            };
            assert_eq!(every.factor(k), 1.0);
            let cosine = Schedule::Cosine {
                updates: 0,
                floor: 0.1,
            };
            assert!((cosine.factor(k) - 0.1).abs() < 1e-12);
        }
    }

    #[test]
    fn settings_out_of_range_are_named() {
        let good = Optimiser::adam(1e-3);
        good.check().unwrap();
        type Change = fn(&mut Optimiser);
        let bad: [(&str, Change); 16] = [
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
}
