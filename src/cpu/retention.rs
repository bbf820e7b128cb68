//! What the gradient of a retention needs (`ARCHITECTURE.md`, "The reverse sweep").

/// Steps between the traces that are kept. The gradient of the retention comes from a sum that is carried back over the
/// steps and never forgets a rounding error; at a checkpoint it is made afresh. Part of the result's last bits.
pub(super) const CHECKPOINT: usize = 64;

/// Checkpoints of an episode.
pub(super) fn checkpoints(steps: usize) -> usize {
    (steps - 1) / CHECKPOINT
}

/// Below this retention its gradient is summed from its definition: the recurrence divides by it. The sum over earlier
/// steps is short there, since each step back multiplies its terms by such a retention.
pub(super) const SMALL: f64 = 0.25;
