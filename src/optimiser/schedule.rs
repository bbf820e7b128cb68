//! The learning rate's course over the updates.

use serde::{Deserialize, Serialize};
use std::fmt;

/// The learning rate's factor at update `k = 0, 1, …`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
#[non_exhaustive]
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

impl Schedule {
    /// Half a cosine, down to 0 after `updates` updates.
    pub fn cosine(updates: u32) -> Self {
        Self::Cosine {
            updates,
            floor: f64::default(),
        }
    }

    /// Every schedule, as it suits a run of `updates` updates: the cosine comes to 0 at its end, and the step halves the
    /// learning rate after each quarter of it.
    pub fn all(updates: u32) -> [Self; 3] {
        [
            Self::Constant,
            Self::cosine(updates.max(1)),
            Self::Step {
                every: updates.div_ceil(4).max(1),
                factor: 0.5,
            },
        ]
    }

    /// The name in files, on the command line and in shaders.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Constant => "constant",
            Self::Cosine { .. } => "cosine",
            Self::Step { .. } => "step",
        }
    }

    /// The factor at update `k`. Settings that [`super::Optimiser::check`] refuses have one too.
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

impl fmt::Display for Schedule {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.pad(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schedules_follow_their_formulas() {
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
    fn names_of_schedules_are_those_in_files() {
        for schedule in Schedule::all(40) {
            let text = toml::to_string(&schedule).unwrap();
            let kind = format!("kind = {:?}", schedule.to_string());
            assert!(text.lines().any(|line| line == kind), "{text}");
        }
    }
}
