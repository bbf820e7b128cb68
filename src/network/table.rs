//! Plastic and recurrent layers as they are written in TOML.

use super::Activation;
use super::layer::{
    Coefficient, Modulation, Plastic, Plasticity, Rate, Recurrent, RecurrentInput, has_bias,
};
use crate::error::{Error, Result};
use crate::rule::{Rule, RuleText};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Declares a table with the keys of both kinds, and those of its own before.
macro_rules! table {
    ($(#[$about:meta])* $Table:ident { $($(#[$of_field:meta])* $field:ident: $Type:ty,)* }) => {
        $(#[$about])*
        #[derive(Clone, Serialize, Deserialize)]
        #[serde(deny_unknown_fields)]
        pub(super) struct $Table {
            inputs: usize,
            outputs: usize,
            $($(#[$of_field])* $field: $Type,)*
            #[serde(default)]
            activation: Activation,
            #[serde(skip_serializing_if = "Option::is_none")]
            rule: Option<RuleText>,
            #[serde(default)]
            plasticity: Plasticity,
            #[serde(skip_serializing_if = "Option::is_none")]
            plastic_bias: Option<bool>,
            #[serde(skip_serializing_if = "Option::is_none")]
            bound: Option<f64>,
            #[serde(skip_serializing_if = "Option::is_none")]
            rate: Option<Rate>,
            #[serde(skip_serializing_if = "Option::is_none")]
            modulation: Option<Modulation>,
            #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
            coefficients: BTreeMap<String, Coefficient>,
            #[serde(default = "has_bias")]
            bias: bool,
        }

        impl $Table {
            /// The synapses, of so many presynaptic neurons.
            fn synapses(self, inputs: usize) -> Result<Plastic> {
                if self.plasticity == Plasticity::None {
                    let given = [
                        ("rule", self.rule.is_some()),
                        ("rate", self.rate.is_some()),
                        ("plastic_bias", self.plastic_bias == Some(true)),
                        ("bound", self.bound.is_some()),
                        ("modulation", self.modulation.is_some()),
                        ("coefficients", !self.coefficients.is_empty()),
                    ];
                    if let Some((field, _)) = given.into_iter().find(|(_, is_given)| *is_given) {
                        return Err(without_trace(field));
                    }
                }
                let names: Vec<_> = self.coefficients.keys().map(String::as_str).collect();
                let rule = self.rule.unwrap_or_else(|| Rule::default().into());
                let rule = rule.with_coefficients(&names)?;
                Ok(Plastic {
                    inputs,
                    outputs: self.outputs,
                    activation: self.activation,
                    rule,
                    plasticity: self.plasticity,
                    plastic_bias: self.plastic_bias.unwrap_or_default(),
                    bound: self.bound,
                    rate: self.rate.unwrap_or_default(),
                    modulation: self.modulation,
                    coefficients: self.coefficients,
                    bias: self.bias,
                })
            }

            fn of(inputs: usize, synapses: Plastic, $($field: $Type),*) -> Self {
                let has_trace = synapses.has_trace();
                Self {
                    inputs,
                    outputs: synapses.outputs,
                    $($field,)*
                    activation: synapses.activation,
                    rule: has_trace.then(|| synapses.rule.into()),
                    plasticity: synapses.plasticity,
                    plastic_bias: synapses.plastic_bias.then_some(true),
                    bound: synapses.bound,
                    rate: has_trace.then_some(synapses.rate),
                    modulation: synapses.modulation,
                    coefficients: synapses.coefficients,
                    bias: synapses.bias,
                }
            }
        }
    };
}

table! {
    /// `kind = "plastic"`.
    PlasticTable {}
}

table! {
    /// `kind = "recurrent"`.
    RecurrentTable {
        #[serde(default)]
        input: RecurrentInput,
    }
}

/// The error that something is said of a trace that there is not.
pub(super) fn without_trace(field: &str) -> Error {
    Error::setting(
        field,
        "given, but with plasticity = \"none\" there is no trace: leave it out, or choose another plasticity",
    )
}

impl TryFrom<PlasticTable> for Plastic {
    type Error = Error;

    fn try_from(table: PlasticTable) -> Result<Self> {
        let inputs = table.inputs;
        table.synapses(inputs)
    }
}

impl From<Plastic> for PlasticTable {
    fn from(layer: Plastic) -> Self {
        Self::of(layer.inputs, layer)
    }
}

impl TryFrom<RecurrentTable> for Recurrent {
    type Error = Error;

    fn try_from(table: RecurrentTable) -> Result<Self> {
        let outputs = table.outputs;
        Ok(Self {
            inputs: table.inputs,
            input: table.input,
            synapses: table.synapses(outputs)?,
        })
    }
}

impl From<Recurrent> for RecurrentTable {
    fn from(layer: Recurrent) -> Self {
        Self::of(layer.inputs, layer.synapses, layer.input)
    }
}
