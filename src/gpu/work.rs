//! What is to be computed, for a group of networks.

use super::extent::Extent;
use crate::computation::{InCommon, ObjectiveKind, Request};
use crate::network::Network;
use crate::tasks::{Task, TaskKernel};

/// A computation for a group of networks.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Work {
    pub networks: usize,
    pub request: Request,
    /// How the device makes the episodes, if it does.
    pub task: Option<TaskKernel>,
    /// Whether the work is a learner's meta-step, which counts its loss.
    pub is_meta_step: bool,
    /// Whether the optimiser follows the gradient.
    pub learn: bool,
    /// Whether the whole batch is computed at once: its arrays stay on the device from the forward half to the reverse one.
    pub is_whole: bool,
    /// Whether the forward half may also be done one step at a time.
    pub stepwise: bool,
}

impl Work {
    /// The outputs or gradients that are asked for.
    pub fn new(networks: usize, request: Request) -> Self {
        Self {
            networks,
            request,
            task: None,
            is_meta_step: false,
            learn: false,
            is_whole: false,
            stepwise: false,
        }
        .of(networks)
    }

    /// A meta-step of training on the caller's episodes.
    pub fn training(network: &Network, networks: usize, batch: usize, steps: usize) -> Self {
        Self {
            is_meta_step: true,
            learn: true,
            ..Self::new(networks, Request::training(network, batch, steps))
        }
    }

    /// A meta-step on a task's episodes, which the device makes where it can; unless `learn`, with frozen parameters.
    pub fn on_task(
        network: &Network,
        networks: usize,
        batch: usize,
        task: &dyn Task,
        learn: bool,
    ) -> Self {
        let training = Self::training(network, networks, batch, task.steps());
        let mask_per_episode = task.counts_by_episode();
        Self {
            task: task.kernel().filter(|_| !mask_per_episode),
            learn,
            request: Request {
                gradient: learn,
                objective: ObjectiveKind::Target { mask_per_episode },
                ..training.request
            },
            ..training
        }
    }

    /// What groups of networks in training are made for before there is a batch: they are split further where that asks
    /// for it.
    pub fn first(network: &Network, networks: usize) -> Self {
        Self::training(network, networks, 1, 1)
    }

    /// The same for another number of networks.
    pub fn of(&self, networks: usize) -> Self {
        let mut work = self.clone();
        work.networks = networks;
        if networks == 1 {
            // A network alone has nothing in common with others.
            work.request.in_common = InCommon::default();
        }
        work
    }

    /// Networks that have an array of their own, which they may have in common: then one stands for all.
    pub fn owners(&self, in_common: bool) -> usize {
        match in_common {
            true => 1,
            false => self.networks,
        }
    }

    /// What every dispatch is told.
    pub fn extent(&self) -> Extent {
        let in_common = self.request.in_common;
        let owners = |in_common| self.owners(in_common) as u32;
        Extent {
            networks: self.networks as u32,
            batch: self.request.batch as u32,
            inputs: owners(in_common.input),
            targets: owners(in_common.target),
            masks: match self.mask_per_episode() {
                true => owners(in_common.mask),
                false => 0,
            },
            ..Extent::default()
        }
    }

    /// Whether there is a target, and so a loss.
    pub fn has_target(&self) -> bool {
        matches!(self.request.objective, ObjectiveKind::Target { .. })
    }

    /// Whether every episode has a mask of its own.
    pub fn mask_per_episode(&self) -> bool {
        let own = ObjectiveKind::Target {
            mask_per_episode: true,
        };
        self.request.objective == own
    }

    /// Synapse-steps of all episodes.
    pub fn amount(&self, network: &Network) -> u64 {
        synapse_steps(
            network,
            self.networks,
            self.request.batch,
            self.request.steps,
        )
    }
}

/// How often a synapse of some networks goes through a step of some episodes.
pub(super) fn synapse_steps(
    network: &Network,
    networks: usize,
    episodes: usize,
    steps: usize,
) -> u64 {
    [networks, episodes, steps, network.synapses().max(1)]
        .iter()
        .fold(1u64, |product, &size| product.saturating_mul(size as u64))
}
