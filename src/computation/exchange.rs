//! Processes that compute one network's batch together.

use std::fmt::Debug;

/// Ties a process to others that run the same meta-steps of the same networks, each with some blocks of every batch. What the blocks
/// come to is exchanged, so that each process adds all of it up in the order of the blocks, and all have the same bits.
pub(crate) trait Exchange: Debug + Send + Sync {
    /// This process among them, from 0 on.
    fn rank(&self) -> usize;

    /// Processes.
    fn ranks(&self) -> usize;

    /// Gives `own` to all, and takes what each gives, by rank. All call it as often, in the same order. Nothing comes of it, from
    /// any process, once one of them has failed.
    fn gather(&self, own: &[u8]) -> Vec<Vec<u8>>;

    /// Tells the others, who may wait, that this process fails.
    fn give_up(&self);

    /// Whether one of the processes failed since this was last asked.
    fn has_failed(&self) -> bool;
}
