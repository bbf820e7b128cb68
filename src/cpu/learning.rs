//! What a population that learns has beside its parameters: optimisers with their memory, and networks that failed.

use super::optimiser::Moments;
use crate::computation::{Failure, TrainingState};
use crate::error::Result;
use crate::memory;
use crate::number::Real;
use crate::optimiser::Optimiser;
use crate::parameters::{Layout, Parameters, Tensor};
use rayon::prelude::*;

/// The optimisers of a population, and how far each network has come.
#[derive(Debug)]
pub(super) struct Learning<R> {
    networks: Vec<NetworkLearning<R>>,
    /// Episodes that each network has seen.
    pub episodes: u64,
    /// The meta-steps since the one that means begin at.
    pub meta_steps: u32,
}

/// What one network has beside its parameters.
#[derive(Debug)]
pub(super) struct NetworkLearning<R> {
    pub optimiser: Optimiser,
    pub moments: Moments<R>,
    /// Of the last meta-step, as the parameters lie.
    pub gradient: Vec<R>,
    /// The losses of the meta-steps since the one that means begin at.
    pub losses: f64,
    pub failure: Option<Failure>,
}

impl<R: Real> Learning<R> {
    /// One optimiser for each network.
    pub fn new(layout: &Layout, optimisers: Vec<Optimiser>) -> Result<Self> {
        memory::require(
            "the optimiser's state",
            (4 * size_of::<R>() * layout.size()
                + size_of::<f64>() * layout.tensors().len()
                + size_of::<NetworkLearning<R>>()) as u128
                * optimisers.len() as u128,
        )?;
        let networks = optimisers.into_iter().map(|optimiser| NetworkLearning {
            moments: Moments::new(&optimiser, layout),
            gradient: vec![R::zero(); layout.size()],
            losses: 0.0,
            failure: None,
            optimiser,
        });
        Ok(Self {
            networks: networks.collect(),
            episodes: 0,
            meta_steps: 0,
        })
    }

    /// Every network with its number and its parameters, in parallel.
    pub fn networks<'a>(
        &'a mut self,
        parameters: &'a mut Parameters<R>,
    ) -> impl IndexedParallelIterator<Item = (usize, &'a mut [R], &'a mut NetworkLearning<R>)> {
        let size = parameters.layout().size();
        let values = parameters.values_mut().par_chunks_mut(size);
        let networks = values.zip_eq(&mut self.networks).enumerate();
        networks.map(|(index, (values, network))| (index, values, network))
    }

    /// Groups of so many networks, the last of which may be smaller: the number of the first, their parameters, and they. In
    /// parallel.
    pub fn groups<'a>(
        &'a mut self,
        parameters: &'a mut Parameters<R>,
        networks: usize,
    ) -> impl IndexedParallelIterator<Item = (usize, &'a mut [R], &'a mut [NetworkLearning<R>])>
    {
        let size = parameters.layout().size();
        let values = parameters.values_mut().par_chunks_mut(size * networks);
        let groups = values.zip_eq(self.networks.par_chunks_mut(networks));
        let groups = groups.enumerate();
        groups.map(move |(index, (values, group))| (index * networks, values, group))
    }

    /// Means begin anew.
    pub fn forget_losses(&mut self) {
        for network in &mut self.networks {
            network.losses = 0.0;
        }
    }

    /// The networks that stopped learning, in order.
    pub fn failures(&self) -> Vec<Failure> {
        let networks = self.networks.iter();
        networks.filter_map(|it| it.failure.clone()).collect()
    }

    /// Everything, of a population with these parameters.
    pub fn state(&self, parameters: &Parameters<R>) -> Result<TrainingState<R>> {
        let moments = |which: usize| -> Result<Parameters<R>> {
            let (layout, population) = (parameters.shared_layout(), parameters.population());
            let mut moments = Parameters::zeros(layout.clone(), population)?;
            let values = moments.values_mut().chunks_exact_mut(layout.size());
            for (values, network) in values.zip(&self.networks) {
                if let Some(from) = network.moments.get(which) {
                    values.copy_from_slice(from);
                }
            }
            Ok(moments)
        };
        let networks = || self.networks.iter();
        Ok(TrainingState {
            moments: [moments(0)?, moments(1)?],
            updates: networks().map(|it| it.moments.updates()).collect(),
            episodes: self.episodes,
            failures: self.failures(),
            meta_steps: self.meta_steps,
            losses: networks().map(|it| it.losses).collect(),
            parameters: parameters.clone(),
        })
    }

    /// Goes on from a state of this population.
    pub fn set_state(&mut self, state: &TrainingState<R>) {
        for (index, network) in self.networks.iter_mut().enumerate() {
            let moments = [0, 1].map(|which| state.moments[which].network(index));
            network.moments.set(moments, state.updates[index]);
            network.losses = state.losses[index];
            let failures = state.failures.iter();
            network.failure = failures.clone().find(|it| it.network == index).cloned();
        }
        self.episodes = state.episodes;
        self.meta_steps = state.meta_steps;
    }
}

impl<R: Real> NetworkLearning<R> {
    /// One update with the gradient, unless network `index` has failed or fails now.
    pub fn learn(
        &mut self,
        layout: &Layout,
        values: &mut [R],
        index: usize,
        episode: u64,
        loss: f64,
    ) {
        self.check_loss(layout, index, episode, loss);
        self.check_gradient(layout, index, episode);
        if self.failure.is_none() {
            self.moments
                .update(&self.optimiser, layout, values, &self.gradient);
        }
    }

    pub fn check_loss(&mut self, layout: &Layout, index: usize, episode: u64, loss: f64) {
        if self.failure.is_none() && !loss.is_finite() {
            self.failure = Some(Failure::new(layout, index, episode, 0));
        }
    }

    pub fn check_gradient(&mut self, layout: &Layout, index: usize, episode: u64) {
        if self.failure.is_some() {
            return;
        }
        let finite = |tensor: &Tensor| {
            let values = &self.gradient[tensor.range()];
            values.iter().all(|value| value.is_finite())
        };
        let mut learned = self.moments.learned(layout);
        let failed = learned.find(|(_, tensor)| !finite(tensor));
        if let Some((number, _)) = failed {
            self.failure = Some(Failure::new(layout, index, episode, number + 1));
        }
    }
}
