//! A population on the CPU engine: its parameters and, where it learns, how far each network has come.

use super::learning::Learning;
use crate::computation::{Failure, PopulationBackend, TrainingState};
use crate::error::Result;
use crate::number::Real;
use crate::optimiser::Optimiser;
use crate::parameters::{Layout, Parameters};
use rayon::prelude::*;
use std::sync::Arc;

/// The networks of a population.
#[derive(Debug)]
pub(super) struct Population<R: Real> {
    pub parameters: Parameters<R>,
    /// Where they learn.
    learning: Option<Learning<R>>,
    /// Whether the parameters were replaced since someone looked.
    pub is_replaced: bool,
}

impl<R: Real> Population<R> {
    /// The networks learn by `optimisers`, one for each; none where they do not learn.
    pub fn new(parameters: &Parameters<R>, optimisers: Option<Vec<Optimiser>>) -> Result<Self> {
        let learning = |optimisers| Learning::new(parameters.layout(), optimisers);
        Ok(Self {
            learning: optimisers.map(learning).transpose()?,
            parameters: parameters.clone(),
            is_replaced: false,
        })
    }

    pub fn size(&self) -> usize {
        self.parameters.population()
    }

    pub fn layout(&self) -> &Arc<Layout> {
        self.parameters.shared_layout()
    }

    /// What networks that learn have; whoever calls has seen to it that they do.
    pub fn learning(&self) -> &Learning<R> {
        self.learning.as_ref().expect("the networks learn")
    }

    /// The same, to be changed with the parameters.
    pub fn learners(&mut self) -> (&mut Learning<R>, &mut Parameters<R>) {
        let learning = self.learning.as_mut().expect("the networks learn");
        (learning, &mut self.parameters)
    }

    /// One update of every network with the caller's gradients, which no episode has been seen for.
    pub fn apply(&mut self, gradients: &Parameters<R>) {
        let layout = self.layout().clone();
        let (learning, parameters) = self.learners();
        let episode = learning.episodes;
        let networks = learning.networks(parameters);
        networks.for_each(|(index, values, network)| {
            network.gradient.copy_from_slice(gradients.network(index));
            network.learn(&layout, values, index, episode, 0.0);
        });
        self.is_replaced = true;
    }
}

impl<R: Real> PopulationBackend<R> for Population<R> {
    fn parameters(&self) -> Result<Parameters<R>> {
        Ok(self.parameters.clone())
    }

    fn set_parameters(&mut self, parameters: &Parameters<R>) -> Result<()> {
        self.parameters.clone_from(parameters);
        self.is_replaced = true;
        Ok(())
    }

    /// Here no call fails when it has begun to change something.
    fn is_under_way(&self) -> bool {
        false
    }

    fn failures(&self) -> Result<Vec<Failure>> {
        let learning = self.learning.as_ref();
        Ok(learning.map(Learning::failures).unwrap_or_default())
    }

    fn state(&self) -> Result<TrainingState<R>> {
        self.learning().state(&self.parameters)
    }

    fn set_state(&mut self, state: &TrainingState<R>) -> Result<()> {
        let (learning, _) = self.learners();
        learning.set_state(state);
        self.set_parameters(&state.parameters)
    }
}
