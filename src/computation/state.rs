//! A population in training, at one moment.

use super::failure::Failure;
use crate::check::require_finite;
use crate::error::{Error, Result};
use crate::number::Real;
use crate::parameters::{Layout, Parameters};
use ndarray::ArrayView1;
use std::ops::Range;

/// Updates of a network at most: methods take powers of their number.
const MOST_UPDATES: u32 = i32::MAX as u32;

/// Everything that a population in training is at one moment. Put into a learner or a session of the same network, population
/// and optimisers, it goes on from there with the same bits.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct TrainingState<R> {
    /// The networks' parameters.
    pub parameters: Parameters<R>,
    /// What the optimisers remember of each parameter, as [`Method`](crate::optimiser::Method) says; zeros where a method remembers less.
    pub moments: [Parameters<R>; 2],
    /// Updates that each network has made, `[P]`.
    pub updates: Vec<u32>,
    /// Episodes that each network has seen.
    pub episodes: u64,
    /// The networks that stopped learning, in order.
    pub failures: Vec<Failure>,
    /// The meta-steps since the one that the mean loss of a report begins with.
    pub meta_steps: u32,
    /// The sum of each network's losses in them, `[P]`.
    pub losses: Vec<f64>,
}

impl<R: Real> TrainingState<R> {
    /// Of networks that have learned nothing yet. Its fields may then be set, for instance to those that another process saved.
    ///
    /// # Errors
    /// If memory is short.
    pub fn new(parameters: Parameters<R>) -> Result<Self> {
        let (layout, population) = (parameters.shared_layout(), parameters.population());
        let zeros = || Parameters::zeros(layout.clone(), population);
        Ok(Self {
            moments: [zeros()?, zeros()?],
            updates: vec![0; population],
            episodes: 0,
            failures: Vec::new(),
            meta_steps: 0,
            losses: vec![0.0; population],
            parameters,
        })
    }

    /// That of some of the networks.
    pub(crate) fn slice(&self, networks: Range<usize>) -> Self {
        let failures = self
            .failures
            .iter()
            .filter(|it| networks.contains(&it.network));
        let failures = failures.map(|failure| Failure {
            network: failure.network - networks.start,
            ..failure.clone()
        });
        Self {
            parameters: self.parameters.slice(networks.clone()),
            moments: self
                .moments
                .each_ref()
                .map(|moments| moments.slice(networks.clone())),
            updates: self.updates[networks.clone()].to_vec(),
            failures: failures.collect(),
            losses: self.losses[networks.clone()].to_vec(),
            ..*self
        }
    }

    /// Those of populations that go on together, as one.
    pub(crate) fn join(parts: &[Self]) -> Self {
        let parameters = |of: fn(&Self) -> &Parameters<R>| Parameters::join(parts.iter().map(of));
        let (mut failures, mut first) = (Vec::new(), 0);
        for part in parts {
            let own = part.failures.iter().cloned();
            failures.extend(own.map(|it| it.renumbered(first)));
            first += part.parameters.population();
        }
        Self {
            parameters: parameters(|part| &part.parameters),
            moments: [
                parameters(|part| &part.moments[0]),
                parameters(|part| &part.moments[1]),
            ],
            updates: parts.iter().flat_map(|part| part.updates.clone()).collect(),
            losses: parts.iter().flat_map(|part| part.losses.clone()).collect(),
            failures,
            ..parts[0]
        }
    }

    /// Fails unless it is one of `population` networks with parameters as `layout` says.
    pub(crate) fn check(&self, layout: &Layout, population: usize) -> Result<()> {
        let [first, second] = &self.moments;
        for (name, values) in [
            ("parameters", &self.parameters),
            ("first moments", first),
            ("second moments", second),
        ] {
            values.check_shape(name, layout, population)?;
            // The square of a large gradient may be infinite: that parameter makes no more steps, but the run goes on.
            let is_moment = name != "parameters";
            if !is_moment || values.values().iter().any(|value| value.is_nan()) {
                require_finite(name, &ArrayView1::from(values.values()))?;
            }
        }
        for (name, length) in [
            ("updates", self.updates.len()),
            ("losses", self.losses.len()),
        ] {
            if length != population {
                return Err(Error::Shape {
                    name: name.into(),
                    expected: format!("[P = {population}]"),
                    actual: vec![length],
                });
            }
        }
        if let Some(many) = self.updates.iter().find(|&&updates| updates > MOST_UPDATES) {
            let reason = format!("{many}, at most {MOST_UPDATES} are supported");
            return Err(Error::setting("updates", reason));
        }
        for (index, failure) in self.failures.iter().enumerate() {
            let in_order = index == 0 || self.failures[index - 1].network < failure.network;
            if failure.network >= population || !in_order {
                return Err(Error::setting(
                    "failures",
                    format!(
                        "network {} in place {index}, expected indices below {population} in order, each once",
                        failure.network
                    ),
                ));
            }
            if failure.code(layout).is_none() {
                return Err(Error::setting(
                    "failures",
                    format!(
                        "{:?} is no tensor of network {}",
                        failure.tensor, failure.network
                    ),
                ));
            }
        }
        Ok(())
    }
}
