//! Training spread over processes: those of a cluster, say.
//!
//! One process, rank 0, runs the program. The others [`serve`] it. Rank 0 makes an engine of its own and those of the others
//! ([`engine`]), on which a [`Learner`](crate::engine::Learner) spreads its networks; all else is computed by rank 0 alone. Where
//! there are fewer networks than processes, and the CPU computes, each process takes its share of every batch's blocks of episodes.
//! Either way the result has the bits of one process.
//!
//! Messages go over [`Link`]s. With the feature `mpi`, the module `mpi` has those of an MPI program.

mod link;
mod message;
#[cfg(feature = "mpi")]
pub mod mpi;
mod remote;
mod serve;
#[cfg(test)]
mod tests;

pub use link::Link;
pub use remote::engine;
pub use serve::serve;
