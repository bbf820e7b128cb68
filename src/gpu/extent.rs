//! How much of the work one dispatch does.

use super::shared::shared;

shared! {
    /// The uniform of every kernel.
    #[derive(Eq, Hash)]
    pub struct Extent {
        /// Networks of the group.
        pub networks: u32,
        /// Episodes of the cut.
        pub episodes: u32,
        /// Episodes of the whole batch.
        pub batch: u32,
        /// Steps of the segment.
        pub steps: u32,
        /// Of these, the steps that a reverse sweep goes back over: all, but where episodes ended early.
        pub done: u32,
        /// Blocks of episodes of the cut.
        pub blocks: u32,
        /// Episodes of a block, at most.
        pub block_episodes: u32,
        /// The cut's first episode in the batch.
        pub first_episode: u32,
        /// The segment's first step in the episode.
        pub first_step: u32,
        /// Whether the blocks' sums go on from an earlier cut.
        pub accumulate: u32,
        /// Whether the gradients go on from earlier blocks.
        pub reduce_goes_on: u32,
        /// Whether the segment begins the episode.
        pub first_segment: u32,
        /// Whether the segment ends the episode.
        pub last_segment: u32,
        /// Slot of the trace at the segment's start.
        pub trace_start: u32,
        /// Slot of the trace at the segment's end.
        pub trace_end: u32,
        /// Slot of the adjoint trace at the segment's end; the other slot is its start's.
        pub adjoint_slot: u32,
        /// The first step of the segment that is done now,
        pub step: u32,
        /// and the one after the last, in kernels that do several.
        pub until: u32,
        /// Networks that have an input of their own: those of the group, or 1 where they have it in common.
        pub inputs: u32,
        /// The same of targets.
        pub targets: u32,
        /// The same of masks of each episode; 0 where all episodes have one mask.
        pub masks: u32,
    }
}
