//! The methods by which a gradient becomes a step, one entry of a table each.
//!
//! Everything that knows the methods follows from the table: the enum, the checks, TOML and its comments, the command
//! line, the device's settings and the branches of `shaders/update.wgsl`.

#[cfg(feature = "gpu")]
use super::update::DEVICE_CONSTANTS;
use super::update::{Formula, WithFormula};
use super::{adam, rmsprop, sgd};
use crate::error::{Error, Result};
use crate::named::unknown;
use crate::number::require_in_range;
use serde::de::Error as _;
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

/// A constant of a method.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Constant {
    /// Its name in files; on the command line with hyphens.
    pub name: &'static str,
    /// What it is where nothing is said.
    pub default: f64,
    /// What it is, for people.
    pub account: &'static str,
    range: Range,
}

/// Which values a constant may have, and that in words.
type Range = (fn(f64) -> bool, &'static str);

const POSITIVE: Range = (|value| value > 0.0, "more than 0");
const UP_TO_ONE: Range = (
    |value| value > 0.0 && value <= 1.0,
    "more than 0, at most 1",
);
/// In single precision too, on which the engines compute.
const BELOW_ONE: Range = (
    |value| (0.0..1.0).contains(&(value as f32)),
    "0 to 1, without 1",
);

/// How the engines do a method.
#[derive(Debug)]
pub(crate) struct Entry {
    pub name: &'static str,
    /// Numbers that it remembers of each parameter: 1 or 2. They begin at 0.
    pub moments: usize,
    /// The constants as the shader has them.
    #[cfg(feature = "gpu")]
    pub for_device: fn(constants: &[f64]) -> [f64; DEVICE_CONSTANTS],
    /// The same step in WGSL, of four parameters.
    #[cfg(feature = "gpu")]
    pub wgsl: &'static str,
}

macro_rules! methods {
    ($(
        $(#[$doc:meta])*
        $Variant:ident $DEFAULT:ident = $name:literal, $module:ident {
            $($constant:ident = $default:literal, $range:expr, $account:literal;)+
        }
    )+) => {
        /// The rule that turns a gradient `g` into a step; the parameter changes by minus the step.
        #[derive(Clone, Copy, Debug, PartialEq)]
        #[non_exhaustive]
        pub enum Method {
            $($(#[$doc])* $Variant { $(#[doc = $account] $constant: f64,)+ },)+
        }

        impl Method {
            /// Every method, with the constants that it has where nothing is said.
            pub const ALL: [Self; [$($name),+].len()] = [$(Self::$DEFAULT),+];
            $(pub(super) const $DEFAULT: Self = Self::$Variant { $($constant: $default),+ };)+

            /// The name in files, on the command line and in shaders.
            pub const fn name(&self) -> &'static str {
                self.entry().name
            }

            /// Its constants, in order, with their values.
            pub fn constants(&self) -> Vec<(Constant, f64)> {
                match *self {
                    $(Self::$Variant { $($constant),+ } => vec![$((
                        Constant {
                            name: stringify!($constant),
                            default: $default,
                            account: $account,
                            range: $range,
                        },
                        $constant,
                    )),+],)+
                }
            }

            /// The constant of a name, if the method has it, to be changed.
            pub fn constant_mut(&mut self, name: &str) -> Option<&mut f64> {
                match self {
                    $(Self::$Variant { $($constant),+ } => match name {
                        $(stringify!($constant) => Some($constant),)+
                        _ => None,
                    },)+
                }
            }

            /// Does something with the method's formula.
            #[inline(always)]
            pub(crate) fn with_formula(&self, work: impl WithFormula) {
                match self {
                    $(Self::$Variant { .. } => work.run::<$module::Rule>(),)+
                }
            }

            pub(crate) const fn entry(&self) -> &'static Entry {
                match self {
                    $(Self::$Variant { .. } => &Entry {
                        name: $name,
                        moments: <$module::Rule as Formula>::MOMENTS,
                        #[cfg(feature = "gpu")]
                        for_device: $module::for_device,
                        #[cfg(feature = "gpu")]
                        wgsl: include_str!(concat!("../../shaders/methods/", $name, ".wgsl")),
                    },)+
                }
            }
        }
    };
}

methods! {
    /// `ms += mean_rate (g² − ms)`, starting at the first `g²`; step `lr · g / sqrt(ms + epsilon)` (Miconi 2016).
    Rmsprop RMSPROP = "rmsprop", rmsprop {
        mean_rate = 0.01, UP_TO_ONE, "how fast the mean square follows";
        epsilon = 1e-8, POSITIVE, "keeps the division finite";
    }
    /// `v ← momentum · v + g`; step `lr · v`.
    Sgd SGD = "sgd", sgd {
        momentum = 0.0, BELOW_ONE, "how much of the last step's direction stays";
    }
    /// Adam with bias correction (Kingma and Ba 2015): step `lr · m̂ / (sqrt(v̂) + epsilon)`.
    Adam ADAM = "adam", adam {
        beta1 = 0.9, BELOW_ONE, "decay of the mean";
        beta2 = 0.999, BELOW_ONE, "decay of the mean square";
        epsilon = 1e-8, POSITIVE, "keeps the division finite";
    }
}

impl Method {
    /// The constants' values, in order.
    pub(crate) fn values(&self) -> Vec<f64> {
        self.constants()
            .into_iter()
            .map(|(_, value)| value)
            .collect()
    }

    /// Fails unless every constant is in its range.
    pub(super) fn check(&self) -> Result<()> {
        for (constant, value) in self.constants() {
            let field = format!("optimiser.{}", constant.name);
            require_in_range::<f32>(&field, value)?;
            let (holds, expected) = constant.range;
            if !holds(value) {
                return Err(Error::setting(
                    field,
                    format!("{value:?}, expected {expected}"),
                ));
            }
        }
        Ok(())
    }
}

impl fmt::Display for Method {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.pad(self.name())
    }
}

impl FromStr for Method {
    type Err = Error;

    /// The method of a name, with the constants that it has where nothing is said. Fails if there is none, and lists them.
    fn from_str(text: &str) -> Result<Self> {
        let known = Self::ALL.into_iter().find(|method| method.name() == text);
        known.ok_or_else(|| {
            let names = Self::ALL.iter().map(Self::name);
            unknown("optimiser.method.kind", text, names)
        })
    }
}

impl Serialize for Method {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let constants = self.constants();
        let mut map = to.serialize_map(Some(1 + constants.len()))?;
        map.serialize_entry("kind", self.name())?;
        for (constant, value) in constants {
            map.serialize_entry(constant.name, &value)?;
        }
        map.end()
    }
}

impl<'de> Deserialize<'de> for Method {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        struct Written {
            kind: String,
            #[serde(flatten)]
            constants: BTreeMap<String, f64>,
        }
        let Written { kind, constants } = Written::deserialize(from)?;
        let mut method: Self = kind.parse().map_err(D::Error::custom)?;
        for (name, value) in constants {
            let Some(place) = method.constant_mut(&name) else {
                let known = method.constants().into_iter();
                let known = crate::named::listed(known.map(|(constant, _)| constant.name));
                let unknown = format!("unknown constant `{name}` of {method}, expected {known}");
                return Err(D::Error::custom(unknown));
            };
            *place = value;
        }
        Ok(method)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_method_has_what_the_engines_need_of_it() {
        for method in Method::ALL {
            method.check().unwrap();
            assert!((1..=2).contains(&method.entry().moments), "{method}");
            assert_eq!(method.name().parse::<Method>().unwrap(), method);
            let text = toml::to_string(&method).unwrap();
            assert_eq!(toml::from_str::<Method>(&text).unwrap(), method);
            let kind = format!("kind = {:?}", method.name());
            assert_eq!(toml::from_str::<Method>(&kind).unwrap(), method);
        }
    }

    #[test]
    fn what_a_method_has_not_is_named() {
        for (text, parts) in [
            (
                "kind = \"lion\"",
                ["lion", "\"rmsprop\", \"sgd\" or \"adam\""],
            ),
            ("kind = \"sgd\"\nbeta1 = 0.5", ["beta1", "\"momentum\""]),
            ("kind = \"sgd\"\nmomentum = \"much\"", ["much", "f64"]),
            ("momentum = 0.5", ["kind", "missing"]),
        ] {
            let error = toml::from_str::<Method>(text).unwrap_err().to_string();
            assert!(parts.iter().all(|part| error.contains(part)), "{error}");
        }
        let whole = toml::from_str::<Method>("kind = \"sgd\"\nmomentum = 0").unwrap();
        assert_eq!(whole, Method::Sgd { momentum: 0.0 });
    }
}
