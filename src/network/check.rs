//! What plastic and recurrent layers must be.

use super::layer::{Plastic, Plasticity, Rate, Recurrent, RecurrentInput};
use super::table::without_trace;
use crate::error::{Error, Result};
use crate::rule::Rule;

impl Plastic {
    /// Fails unless its settings fit each other and have values.
    pub(super) fn check(&self) -> Result<()> {
        if self.plasticity == Plasticity::None {
            return self.check_without_trace();
        }
        require_finite("rate.value", self.rate.value)?;
        if let Some(bound) = self.bound
            && !(bound.is_finite() && bound > 0.0)
        {
            let reason = format!("{bound}, expected a finite value above 0");
            return Err(Error::setting("bound", reason));
        }
        for (name, coefficient) in &self.coefficients {
            require_finite(&format!("coefficients.{name}.value"), coefficient.value)?;
        }
        let (known, used) = (self.coefficients.keys(), self.rule.coefficients());
        if !known.clone().eq(used) {
            let names = |names: Vec<&String>| match names.is_empty() {
                true => "none".to_owned(),
                false => crate::named::listed(names),
            };
            let reason = format!(
                "{}, but those of the rule are {}",
                names(known.collect()),
                names(used.iter().collect())
            );
            return Err(Error::setting("coefficients", reason));
        }
        Ok(())
    }

    /// Fails if something is said of a trace.
    fn check_without_trace(&self) -> Result<()> {
        let said = [
            ("rule", self.rule != Rule::default()),
            ("rate", self.rate != Rate::default()),
            ("plastic_bias", self.plastic_bias),
            ("bound", self.bound.is_some()),
            ("modulation", self.modulation.is_some()),
            ("coefficients", !self.coefficients.is_empty()),
        ];
        match said.into_iter().find(|(_, is_said)| *is_said) {
            Some((field, _)) => Err(without_trace(field)),
            None => Ok(()),
        }
    }
}

impl Recurrent {
    /// Fails unless its sizes fit each other.
    pub(super) fn check(&self) -> Result<()> {
        let [own, outputs] = [self.synapses.inputs, self.synapses.outputs];
        if own != outputs {
            let reason =
                format!("{own}, but the layer has {outputs} neurons, which hear each other");
            return Err(Error::setting("synapses.inputs", reason));
        }
        if self.input == RecurrentInput::Identity && self.inputs != outputs {
            let reason = format!(
                "{}, but with input = \"identity\" each of the {outputs} outputs has one input",
                self.inputs
            );
            return Err(Error::setting("inputs", reason));
        }
        Ok(())
    }
}

fn require_finite(field: &str, value: f64) -> Result<()> {
    match value.is_finite() {
        true => Ok(()),
        false => Err(Error::setting(
            field,
            format!("{value}, expected a finite value"),
        )),
    }
}
