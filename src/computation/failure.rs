//! A network that stopped learning.

/// Why a network of a population stopped learning: its loss or a gradient was not finite. That update was skipped and
/// the network keeps the parameters it had.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[non_exhaustive]
pub struct Failure {
    /// Index of the network in the population.
    pub network: usize,
    /// Episodes that the network had seen in its learner before the batch that failed, those of evaluations included. An
    /// update with the caller's gradients has none.
    pub episode: u64,
    /// The tensor that was not finite: `loss`, or `gradient.layer0.weight`, ….
    pub tensor: String,
}
