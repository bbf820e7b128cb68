//! Tasks: what the random episodes are, and how a network is judged by them.
//!
//! [`Task`] is what everything else knows of a task. Those that come with the crate are one file each and one line of
//! the registry; a task of one's own needs neither.
//!
//! An episode of a task is there as a whole. Where the next input depends on the last output, there is an [`Environment`]
//! instead.
//!
//! Every episode is a function of the network's seed, its purpose, the meta-step and its index in the batch. A counter-based
//! generator makes it, so that any episode can be made alone, in any order. A task may give its episodes in WGSL too, bit
//! for bit; then a GPU makes them.

mod association;
mod completion;
mod draw;
mod environment;
mod pattern;
mod pattern_memory;
mod registry;
mod right;
mod sizes;
mod source;
mod task;
pub(crate) mod written;

pub use association::{Association, MAX_PATTERNS};
pub use completion::Completion;
pub use draw::{Draw, Sequence};
pub use environment::{Draws, Environment};
pub use pattern::MAX_BITS;
pub use pattern_memory::PatternMemory;
pub use registry::{all, named};
pub use right::{has_right_label, right_signs};
pub use source::EpisodeSource;
#[cfg(feature = "gpu")]
pub(crate) use source::mask;
pub(crate) use source::{EVALUATED, check_loss, check_network};
pub(crate) use task::frozen_episodes;
pub use task::{Paper, Setup, Task, TaskKernel, TaskSetting};
pub(crate) use written::{read_table, table_of};
