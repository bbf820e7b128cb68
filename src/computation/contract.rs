//! What both engines hold to, so that a result does not depend on how work is cut.

/// Episodes whose gradients are summed before the sum goes on: part of the result's last bits. Where vectors lie along
/// episodes and a pair of them has more lanes, the CPU engine takes as many as those.
pub(crate) const EPISODE_BLOCK: usize = 16;

/// Steps between two checkpoints, or a multiple of them: products over steps are summed in pieces of so many.
pub(crate) const PIECE: usize = 16;

/// Which traces are kept for the reverse sweep of a layer whose rows step together. It begins anew from each of them, and replays
/// the steps from there to the next one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Checkpoints {
    steps: usize,
}

impl Checkpoints {
    /// Of episodes of so many steps.
    pub fn of(steps: usize) -> Self {
        Self { steps }
    }

    /// Steps from one to the next: about as many as there are checkpoints.
    pub fn apart(self) -> usize {
        PIECE * self.steps.isqrt().div_ceil(PIECE).max(1)
    }

    /// How many there are, beside the traces at the first step.
    pub fn count(self) -> usize {
        self.steps.saturating_sub(1) / self.apart()
    }

    /// Steps that are replayed at once.
    pub fn replayed(self) -> usize {
        self.apart().min(self.steps)
    }
}
