//! A network that stopped learning.

use crate::parameters::Layout;

/// Why a network of a population stopped learning: its loss or a gradient was not finite. That update was skipped and
/// the network keeps the parameters it had.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Failure {
    /// Index of the network in the population.
    pub network: usize,
    /// Episodes that the network had seen in its learner before the batch that failed, those of evaluations included. An
    /// update with the caller's gradients has none.
    pub episode: u64,
    /// The tensor that was not finite: `loss`, or `gradient.layer0.weight`, ….
    pub tensor: String,
}

/// What [`Failure::tensor`] says of a loss.
const LOSS: &str = "loss";

impl Failure {
    /// Of what `code` stands for: 0 for the loss, or the index of the parameter tensor, plus one, whose gradient it was.
    pub(crate) fn new(layout: &Layout, network: usize, episode: u64, code: usize) -> Self {
        Self {
            network,
            episode,
            tensor: name(layout, code),
        }
    }

    /// The same in a population that has this one's networks from number `first` on.
    pub(crate) fn renumbered(self, first: usize) -> Self {
        Self {
            network: first + self.network,
            ..self
        }
    }

    /// The code of the tensor that was not finite, if there is such a tensor.
    pub(crate) fn code(&self, layout: &Layout) -> Option<usize> {
        (0..=layout.tensors().len()).find(|&code| name(layout, code) == self.tensor)
    }
}

fn name(layout: &Layout, code: usize) -> String {
    match code.checked_sub(1) {
        None => LOSS.to_owned(),
        Some(index) => format!("gradient.{}", layout.tensors()[index].name()),
    }
}
