//! Which parameters a setting is about.

use crate::error::{Error, Result};
use crate::parameters::{Layout, Role, Tensor};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// Some of a network's parameters: all of one role, written `plasticity`, or one layer's, written `layer0.plasticity`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Selector {
    /// Index of the layer; `None` for every layer.
    pub layer: Option<usize>,
    /// What the parameters are to their layer.
    pub role: Role,
}

impl Selector {
    /// The parameters of this role in every layer.
    pub fn role(role: Role) -> Self {
        Self { layer: None, role }
    }

    /// The parameters of this role in one layer.
    pub fn tensor(layer: usize, role: Role) -> Self {
        Self {
            layer: Some(layer),
            role,
        }
    }

    /// Whether it is about `tensor`.
    pub fn is_about(&self, tensor: &Tensor) -> bool {
        self.role == tensor.role && self.layer.is_none_or(|layer| layer == tensor.layer)
    }

    /// Fails unless it is about a tensor that is learned.
    pub(super) fn check(&self, field: &str, layout: &Layout) -> Result<()> {
        let learned = || layout.tensors().iter().filter(|tensor| tensor.learned);
        if learned().any(|tensor| self.is_about(tensor)) {
            return Ok(());
        }
        let names: Vec<_> = learned().take(32).map(Tensor::name).collect();
        let more = learned().count() - names.len();
        let and_more = match more {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        Err(Error::setting(
            field,
            format!(
                "\"{self}\" is no learned tensor of the network; those are {}{and_more}",
                names.join(", ")
            ),
        ))
    }
}

impl fmt::Display for Selector {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.layer {
            Some(layer) => write!(to, "layer{layer}.{}", self.role),
            None => write!(to, "{}", self.role),
        }
    }
}

impl FromStr for Selector {
    type Err = Error;

    /// Fails unless the text is a role, or a layer and a role.
    fn from_str(text: &str) -> Result<Self> {
        let (layer, role) = match text.split_once('.') {
            None => (None, text),
            Some((layer, role)) => (Some(layer), role),
        };
        let digits = layer.map(|layer| layer.strip_prefix("layer").unwrap_or_default());
        let layer = digits.map(str::parse).transpose();
        let (Ok(layer), Ok(role)) = (layer, role.parse()) else {
            let roles = crate::named::listed(Role::ALL.map(Role::name));
            return Err(Error::setting(
                "parameters",
                format!(
                    "{text:?}, expected {roles}, or that of one layer, such as \"layer0.{}\"",
                    Role::Weight
                ),
            ));
        };
        Ok(Self { layer, role })
    }
}

impl TryFrom<String> for Selector {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl From<Selector> for String {
    fn from(selector: Selector) -> Self {
        selector.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn selectors_are_what_they_were_written_as() {
        for (text, selector) in [
            ("plasticity", Selector::role(Role::Plasticity)),
            ("layer0.weight", Selector::tensor(0, Role::Weight)),
            ("layer12.bias", Selector::tensor(12, Role::Bias)),
        ] {
            assert_eq!(text.parse::<Selector>().unwrap(), selector);
            assert_eq!(selector.to_string(), text);
        }
        for text in [
            "",
            "layer0",
            "weights",
            "layer.weight",
            "layer-1.weight",
            "0.weight",
            "layer0.weight.x",
        ] {
            let error = text.parse::<Selector>().unwrap_err().to_string();
            assert!(
                error.contains("\"rate\"") && error.contains("layer0.weight"),
                "{error}"
            );
        }
    }
}
