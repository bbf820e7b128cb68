//! The processes of an MPI program.
//!
//! ```no_run
//! use metaplastic::Engine;
//! use metaplastic::ranks::mpi::World;
//!
//! let world = World::start()?;
//! if world.rank() == 0 {
//!     let engine = world.engine(Engine::cpu())?;
//!     // … train with it
//! } else {
//!     world.serve()?;
//! }
//! # Ok::<(), metaplastic::Error>(())
//! ```

use super::link::Link;
use super::message::{decode, encode};
use super::remote::{all_are_gone, with_exchange};
use super::serve::{Over, serve_with};
use crate::computation::Exchange;
use crate::engine::{Engine, EngineKind};
use crate::error::{Error, Result};
use mpi::Threading;
use mpi::datatype::PartitionMut;
use mpi::environment::Universe;
use mpi::topology::SimpleCommunicator;
use mpi::traits::*;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// What a process that failed gives in the place of the number of its bytes.
const FAILED: i64 = -1;

/// All processes of an MPI program, of which this is one. They take leave of each other when this is dropped, which waits for
/// engines of [`World::engine`] that are still in use.
pub struct World {
    rank: usize,
    ranks: usize,
    /// Of the processes on this machine.
    local_rank: usize,
    local_ranks: usize,
    /// Ends MPI.
    _universe: Universe,
}

/// What rank 0 tells the others between two engines.
#[derive(Debug, Serialize, Deserialize)]
enum Call {
    /// An engine of this kind is wanted.
    Begin(String),
    /// The program is over.
    Leave,
}

/// What they say to that.
type Answer = std::result::Result<(), String>;

impl World {
    /// Begins to use MPI, in a program that `mpirun` started.
    ///
    /// # Errors
    /// If it was begun before, or the MPI library does not let several threads use it.
    pub fn start() -> Result<Self> {
        let started = mpi::initialize_with_threading(Threading::Multiple);
        let Some((universe, threading)) = started else {
            return Err(Error::out_of_turn("MPI", "it has been started before"));
        };
        if threading < Threading::Multiple {
            return Err(Error::setting(
                "MPI",
                "this library of it lets one thread use it, expected MPI_THREAD_MULTIPLE",
            ));
        }
        let world = SimpleCommunicator::world();
        let local = world.split_shared(world.rank());
        Ok(Self {
            rank: index(world.rank()),
            ranks: index(world.size()),
            local_rank: index(local.rank()),
            local_ranks: index(local.size()),
            _universe: universe,
        })
    }

    /// The number of this process, from 0 on.
    pub fn rank(&self) -> usize {
        self.rank
    }

    /// Processes.
    pub fn ranks(&self) -> usize {
        self.ranks
    }

    /// Threads that this process should have, of so many cores that the system lets it use: all of them, where it has been
    /// bound to some of the machine's; else an equal share.
    pub fn threads(&self, cores: usize, cores_of_machine: usize) -> usize {
        match cores < cores_of_machine {
            true => cores,
            false => (cores / self.local_ranks).max(1),
        }
    }

    /// On rank 0: its own engine and one of the same kind in every other process, as one.
    ///
    /// # Errors
    /// If another process has no such engine.
    pub fn engine(&self, own: Engine) -> Result<Engine> {
        let begin = encode(&Call::Begin(own.kind().to_owned()), &[]);
        let mut links: Vec<_> = (1..self.ranks).map(|rank| MpiLink { rank }).collect();
        for link in &mut links {
            link.send(begin.clone())?;
        }
        for link in &mut links {
            let (answer, _) = decode::<Answer>(&link.receive()?)?;
            answer.map_err(|reason| Error::Rank {
                rank: link.rank,
                reason,
            })?;
        }
        let links = links
            .into_iter()
            .map(|link| Box::new(link) as Box<dyn Link>);
        let exchange = self
            .exchange()
            .filter(|_| own.kind() == EngineKind::Cpu.name());
        Ok(with_exchange(own, links, exchange))
    }

    /// On the other ranks: does what rank 0 asks for, until that has left.
    ///
    /// # Errors
    /// If what comes is no message.
    pub fn serve(&self) -> Result<()> {
        let mut link = MpiLink { rank: 0 };
        loop {
            let (call, _) = decode::<Call>(&link.receive()?)?;
            let Call::Begin(kind) = call else {
                return Ok(());
            };
            let engine = kind.parse().and_then(|kind| self.own_engine(kind));
            let answer: Answer = match &engine {
                Ok(_) => Ok(()),
                Err(error) => Err(error.to_string()),
            };
            link.send(encode(&answer, &[]))?;
            if let Ok(engine) = engine {
                let sharing = self.exchange().map(|it| engine.sharing(it));
                if serve_with(&engine, sharing.as_ref(), &mut link)? == Over::Program {
                    return Ok(());
                }
            }
        }
    }

    /// The CPU, or the GPU that is this process's among those of its machine.
    fn own_engine(&self, kind: EngineKind) -> Result<Engine> {
        if kind == EngineKind::Cpu {
            return Ok(Engine::cpu());
        }
        let count = hardware_adapters();
        match self.local_rank.checked_rem(count.len()) {
            Some(own) => Engine::gpu(Some(&count[own].to_string())),
            None => Engine::gpu(None),
        }
    }

    fn exchange(&self) -> Option<Arc<dyn Exchange>> {
        Some(Arc::new(MpiExchange {
            rank: self.rank,
            ranks: self.ranks,
            has_failed: AtomicBool::new(false),
        }))
    }
}

impl std::fmt::Debug for World {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "rank {} of {}", self.rank, self.ranks)
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if self.rank > 0 {
            return;
        }
        // No thread may use MPI once it has been ended.
        while !all_are_gone() {
            thread::sleep(Duration::from_millis(1));
        }
        for rank in 1..self.ranks {
            let _ = MpiLink { rank }.send(encode(&Call::Leave, &[]));
        }
    }
}

#[cfg(feature = "gpu")]
fn hardware_adapters() -> Vec<usize> {
    let adapters = crate::gpu::adapters().into_iter();
    let hardware = adapters.filter(|adapter| adapter.kind != "software");
    hardware.map(|adapter| adapter.index).collect()
}

#[cfg(not(feature = "gpu"))]
fn hardware_adapters() -> Vec<usize> {
    Vec::new()
}

/// A rank or a size, which MPI has as `int`.
fn index(number: i32) -> usize {
    usize::try_from(number).expect("at least 0")
}

/// Messages to and from another process.
#[derive(Debug)]
struct MpiLink {
    rank: usize,
}

impl Link for MpiLink {
    fn send(&mut self, message: Vec<u8>) -> Result<()> {
        let world = SimpleCommunicator::world();
        // Counts are `int` in MPI.
        let length = message.len() as u64;
        let to = world.process_at_rank(self.rank as i32);
        to.send(&length);
        for part in message.chunks(i32::MAX as usize) {
            to.send(part);
        }
        Ok(())
    }

    fn receive(&mut self) -> Result<Vec<u8>> {
        let world = SimpleCommunicator::world();
        let from = world.process_at_rank(self.rank as i32);
        // MPI waits with all the power of a core, which another thread may need. Asking now and then makes a wait a tenth longer, or
        // a millisecond, and by what the system adds to a short sleep.
        let begin = Instant::now();
        let message = loop {
            if let Some((message, _)) = from.immediate_matched_probe() {
                break message;
            }
            let pause = begin.elapsed() / 10;
            thread::sleep(pause.clamp(Duration::from_micros(1), Duration::from_millis(1)));
        };
        let (length, _): (u64, _) = message.matched_receive();
        let mut bytes = vec![0; length as usize];
        for part in bytes.chunks_mut(i32::MAX as usize) {
            from.receive_into(part);
        }
        Ok(bytes)
    }
}

/// Ties the processes that share batches.
#[derive(Debug)]
struct MpiExchange {
    rank: usize,
    ranks: usize,
    has_failed: AtomicBool,
}

impl MpiExchange {
    /// What every process gives as the number of its bytes.
    fn lengths(&self, own: i64) -> Vec<i64> {
        let mut lengths = vec![0; self.ranks];
        SimpleCommunicator::world().all_gather_into(&own, &mut lengths[..]);
        lengths
    }
}

impl Exchange for MpiExchange {
    fn rank(&self) -> usize {
        self.rank
    }

    fn ranks(&self) -> usize {
        self.ranks
    }

    fn gather(&self, own: &[u8]) -> Vec<Vec<u8>> {
        let nothing = || vec![Vec::new(); self.ranks];
        if self.has_failed.load(Ordering::SeqCst) {
            return nothing();
        }
        let lengths = self.lengths(own.len() as i64);
        // Counts and places are `int` in MPI.
        let sum: i64 = lengths.iter().sum();
        if lengths.contains(&FAILED) || i32::try_from(sum).is_err() {
            self.has_failed.store(true, Ordering::SeqCst);
            return nothing();
        }
        let counts: Vec<i32> = lengths.iter().map(|&length| length as i32).collect();
        let places = counts.iter().scan(0, |place, count| {
            *place += count;
            Some(*place - count)
        });
        let places: Vec<i32> = places.collect();
        let mut all = vec![0; sum as usize];
        let mut parts = PartitionMut::new(&mut all[..], &counts[..], &places[..]);
        SimpleCommunicator::world().all_gather_varcount_into(own, &mut parts);
        let of_rank =
            |(&place, &count): (&i32, &i32)| all[place as usize..(place + count) as usize].to_vec();
        places.iter().zip(&counts).map(of_rank).collect()
    }

    fn give_up(&self) {
        self.lengths(FAILED);
    }

    fn has_failed(&self) -> bool {
        self.has_failed.swap(false, Ordering::SeqCst)
    }
}
