//! What a run tells on its way, and what comes of it.

use super::recipe::Recipe;
use super::statistics::Statistics;
use super::sweep::PointResult;
use crate::computation::Failure;
use crate::named::named;
use crate::parameters::Parameters;
use serde::{Deserialize, Serialize};

named! {
    /// What a part of a run was for.
    #[non_exhaustive]
    pub enum Phase ("phase") {
        /// Parameters followed their gradients.
        Training = "training",
        /// Parameters stood still, to measure the final error.
        Frozen = "frozen",
    }
}

/// One part of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Report {
    /// Episodes that each network has seen by now.
    pub episode: u64,
    /// What this part was for.
    pub phase: Phase,
    /// Per network, the error per counted step, mean over the episodes since the last report.
    pub error: Vec<f64>,
    /// Networks that have failed by now.
    pub failed: usize,
}

/// What came of one network.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct NetworkResult {
    /// Its seed.
    pub seed: u64,
    /// Mean error per counted step over the frozen episodes. If the run was stopped before their end: over the last
    /// reports that together have as many episodes, or over all; `None` if there was none.
    pub final_error: Option<f64>,
    /// The fraction of wrong answers on as many fresh episodes as ran frozen, where the task judges networks by that; `None`
    /// if the run was stopped.
    pub wrong: Option<f64>,
    /// Whether the final error, or what else the task judges by, is below its threshold, and the network has not failed.
    pub solved: bool,
}

/// What came of a run.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Trained {
    /// The parameters at the end.
    pub parameters: Parameters<f32>,
    /// Every report, in order; of a run that was stopped the last one is of the part that was under way.
    pub history: Vec<Report>,
    /// Every network, in order.
    pub networks: Vec<NetworkResult>,
    /// Networks that stopped learning because a loss or gradient was not finite.
    pub failures: Vec<Failure>,
    /// Whether the observer stopped the run before its end.
    pub stopped: bool,
}

impl Trained {
    /// How many networks solved the task.
    pub fn solved(&self) -> usize {
        self.networks
            .iter()
            .filter(|network| network.solved)
            .count()
    }

    /// Of a sweep by `recipe`, what came of each point.
    pub fn points(&self, recipe: &Recipe) -> Vec<PointResult> {
        let errors: Vec<_> = self.networks.iter().map(|it| it.final_error).collect();
        let solved: Vec<_> = self.networks.iter().map(|it| it.solved).collect();
        PointResult::of_each(recipe, &errors, &solved)
    }

    /// The statistics of the final errors; `None` if the run was stopped before there were any.
    pub fn final_error(&self) -> Option<Statistics> {
        let errors: Option<Vec<f64>> = self.networks.iter().map(|n| n.final_error).collect();
        Statistics::of(&errors?)
    }
}
