//! What lies along the lanes of a vector, as data: arrays are laid out by it, and kernels are compiled for each.

use crate::computation::EPISODE_BLOCK;
use crate::number::{Real, pair_width};

/// What the lanes of a vector hold. `kernels::Way` is the same as a type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Along {
    /// A row's synapses, of one episode at a time. Rows are padded to whole vectors, and what a row computes once a step
    /// beside its synapses is computed for that episode alone.
    Synapses,
    /// As many episodes as a pair of vectors has lanes: a synapse's weight is the same in every lane, and what a row
    /// computes once a step it computes for all of them. That suits small layers; a large row's arrays, one vector a
    /// synapse, would not stay in the nearest cache.
    Episodes,
    /// As many networks as a pair of vectors has lanes, of each the same episode of its batch: what each has of its own,
    /// weights and gradients too, lies beside the others'. No row is padded and nothing is summed over lanes. A network that
    /// is alone, or one of the last few, takes the time of a whole group.
    Networks,
    /// As many of a layer's rows as a pair of vectors has lanes, a *block* of them, of one episode at a time: weights, traces
    /// and gradients are transposed, `[rows / W, I, W]`, presynaptic activity is the same in every lane, and what a row
    /// computes once a step it computes for all of the block. Nothing is summed over lanes but the gradient of the input.
    /// Where rows do not fill the last block, its other lanes do what its first one does, with gradients of zero.
    Rows,
}

/// The most lanes of a pair of vectors: `f32` with AVX-512.
pub(super) const MOST_LANES: usize = 32;

/// Numbers that a sweep keeps of a row beside its synapses while the row waits, for each episode: as many as the reverse
/// sweep has.
pub(super) const STATE: usize = 6;

impl Along {
    /// What a sweep has of its own in each lane, `W`: episodes, networks or rows that go together.
    pub fn width<R: Real>(self) -> usize {
        match self {
            Self::Synapses => 1,
            Self::Episodes | Self::Networks | Self::Rows => pair_width::<R>(),
        }
    }

    /// Networks that go together: the last axis of their parameters.
    pub fn networks<R: Real>(self) -> usize {
        match self {
            Self::Networks => self.width::<R>(),
            Self::Synapses | Self::Episodes | Self::Rows => 1,
        }
    }

    /// Rows of a layer that go together, as one block.
    pub fn rows<R: Real>(self) -> usize {
        match self {
            Self::Rows => self.width::<R>(),
            Self::Synapses | Self::Episodes | Self::Networks => 1,
        }
    }

    /// Of a network, the episodes that go together.
    pub fn episodes<R: Real>(self) -> usize {
        self.beside::<R>() / self.networks::<R>()
    }

    /// Episodes that go together, `E`, of one network or of one each: the last axis of what is the same for all rows.
    pub fn beside<R: Real>(self) -> usize {
        self.width::<R>() / self.rows::<R>()
    }

    /// Blocks of a layer's rows; each row is one where none go together.
    pub fn blocks<R: Real>(self, outputs: usize) -> usize {
        outputs.div_ceil(self.rows::<R>())
    }

    /// Rows whose sweeps are interleaved step by step. Where a row's next step waits for a sum over lanes, or for the
    /// activation, the processor has the others to do meanwhile.
    pub const fn together(self) -> usize {
        match self {
            Self::Synapses => 4,
            Self::Networks => 2,
            Self::Episodes | Self::Rows => 1,
        }
    }

    /// Rows of synapses that a sweep keeps of a row while it waits: the trace, or the adjoint trace. Over episodes also the
    /// gradient by plasticity, which is summed over the lanes at the end.
    pub(super) const fn kept_rows(self) -> usize {
        match self {
            Self::Synapses | Self::Networks | Self::Rows => 1,
            Self::Episodes => 2,
        }
    }

    /// Episodes of a block: [`EPISODE_BLOCK`], or a whole group where that has more.
    pub fn block<R: Real>(self) -> usize {
        EPISODE_BLOCK.max(self.episodes::<R>())
    }
}

/// The scratch of one chunk of rows: a slot for every row, or block of them, where rows wait for the next segment of steps, else one for each
/// that is worked on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ScratchSize {
    pub slots: usize,
    /// Elements of a slot.
    pub slot: usize,
}

impl ScratchSize {
    pub fn elements(self) -> usize {
        self.slots * self.slot
    }
}
