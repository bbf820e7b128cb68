//! Other processes, as rank 0 has them.

use super::link::Link;
use super::message::{
    Command, Reply, Source, bytes_of, decode, encode, malformed, numbers, parameters_of, state,
    state_parts,
};
use crate::computation::{
    Exchange, Failure, Held, LearnerBackend, PopulationBackend, TrainingState,
};
use crate::engine::{Elsewhere, Engine};
use crate::episodes::Episodes;
use crate::error::{Error, Result};
use crate::network::Network;
use crate::number::Real;
use crate::optimiser::Optimiser;
use crate::parameters::{Layout, Parameters};
use crate::tasks::EpisodeSource;
use crate::tensors::episodes_to_bytes;
use std::marker::PhantomData;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// The engine of this process and those of others, which [`serve`](super::serve) at the other ends of the links. When the last clone of
/// it is gone, they have nothing more to do.
pub fn engine(own: Engine, links: impl IntoIterator<Item = Box<dyn Link>>) -> Engine {
    with_exchange(own, links, None)
}

/// The same; what ties the processes to each other lets them share batches.
pub(super) fn with_exchange(
    own: Engine,
    links: impl IntoIterator<Item = Box<dyn Link>>,
    exchange: Option<Arc<dyn Exchange>>,
) -> Engine {
    let others = (1..).zip(links).map(|(rank, link)| {
        ENGINES.fetch_add(1, Ordering::SeqCst);
        let link = Mutex::new(link);
        Arc::new(Rank { rank, link }) as Arc<dyn Elsewhere>
    });
    own.with_others(others.collect(), exchange)
}

/// Engines in other processes that there are; a thread that nobody waits for may have some of them.
static ENGINES: AtomicUsize = AtomicUsize::new(0);

/// Whether no engine in another process is left.
#[cfg(feature = "mpi")]
pub(super) fn all_are_gone() -> bool {
    ENGINES.load(Ordering::SeqCst) == 0
}

/// Another process.
#[derive(Debug)]
struct Rank {
    rank: usize,
    link: Mutex<Box<dyn Link>>,
}

impl Rank {
    /// Sends a command and waits for what comes back. Nobody else does so meanwhile.
    fn ask(&self, command: &Command, arrays: &[&[u8]]) -> Result<(Reply, Vec<Vec<u8>>)> {
        let mut link = self.link.lock().unwrap_or_else(PoisonError::into_inner);
        link.send(encode(command, arrays))?;
        match decode(&link.receive()?)? {
            (Reply::Failed(reason), _) => Err(Error::Rank {
                rank: self.rank,
                reason,
            }),
            reply => Ok(reply),
        }
    }
}

impl Drop for Rank {
    fn drop(&mut self) {
        let link = self.link.get_mut().unwrap_or_else(PoisonError::into_inner);
        // A process that cannot be reached has nothing more to do either.
        let _ = link.send(encode(&Command::End, &[]));
        ENGINES.fetch_sub(1, Ordering::SeqCst);
    }
}

/// So that nothing has the number of another.
static NUMBERS: AtomicU64 = AtomicU64::new(0);

fn number() -> u64 {
    NUMBERS.fetch_add(1, Ordering::Relaxed)
}

impl Elsewhere for Rank {
    fn open_single(
        self: Arc<Self>,
        network: &Network,
        parameters: &Parameters<f32>,
        optimisers: Vec<Optimiser>,
        shares_batches: bool,
    ) -> Result<Box<dyn LearnerBackend<f32>>> {
        RemoteLearner::open(self, network, parameters, optimisers, shares_batches)
    }

    fn open_double(
        self: Arc<Self>,
        network: &Network,
        parameters: &Parameters<f64>,
        optimisers: Vec<Optimiser>,
        shares_batches: bool,
    ) -> Result<Box<dyn LearnerBackend<f64>>> {
        RemoteLearner::open(self, network, parameters, optimisers, shares_batches)
    }
}

/// A population in training in another process.
#[derive(Debug)]
struct RemoteLearner<R: Real> {
    rank: Arc<Rank>,
    learner: u64,
    layout: Arc<Layout>,
    population: usize,
    /// Whether a change failed there, which may have begun.
    is_under_way: bool,
    /// The networks that have failed, where nothing changed since they were told.
    failures: Option<Vec<Failure>>,
    /// Where episodes last came from, as it is written: it is not asked again whether they can be had.
    source: Mutex<Vec<u8>>,
    precision: PhantomData<R>,
}

/// Episodes that another process keeps.
#[derive(Debug)]
struct RemoteHeld {
    rank: Arc<Rank>,
    held: u64,
}

impl Drop for RemoteHeld {
    fn drop(&mut self) {
        let _ = self.rank.ask(&Command::Release(self.held), &[]);
    }
}

impl<R: Real> RemoteLearner<R> {
    fn open(
        rank: Arc<Rank>,
        network: &Network,
        parameters: &Parameters<R>,
        optimisers: Vec<Optimiser>,
        shares_batches: bool,
    ) -> Result<Box<dyn LearnerBackend<R>>> {
        let learner = Self {
            learner: number(),
            layout: parameters.shared_layout().clone(),
            population: parameters.population(),
            is_under_way: false,
            failures: None,
            source: Mutex::default(),
            precision: PhantomData,
            rank,
        };
        let open = Command::Open {
            learner: learner.learner,
            network: network.clone(),
            double: R::NAME == f64::NAME,
            population: learner.population,
            optimisers,
            shares_batches,
        };
        learner.rank.ask(&open, &[bytes_of(parameters.values())])?;
        Ok(Box::new(learner))
    }

    /// A command that changes something.
    fn change(&mut self, command: &Command, arrays: &[&[u8]]) -> Result<(Reply, Vec<Vec<u8>>)> {
        self.failures = None;
        let reply = self.rank.ask(command, arrays);
        self.is_under_way |= reply.is_err();
        reply
    }

    fn losses<T: Real>(&mut self, command: &Command, arrays: &[&[u8]]) -> Result<Vec<T>> {
        let (reply, arrays) = self.change(command, arrays)?;
        let losses = numbers(arrays.first().ok_or_else(|| malformed("no losses"))?)?;
        if let Reply::Failures(failures) = reply {
            self.failures = Some(failures);
        }
        match losses.len() == self.population {
            true => Ok(losses),
            false => Err(malformed("losses of another population")),
        }
    }
}

impl<R: Real> Drop for RemoteLearner<R> {
    fn drop(&mut self) {
        let _ = self.rank.ask(&Command::Close(self.learner), &[]);
    }
}

impl<R: Real> LearnerBackend<R> for RemoteLearner<R> {
    fn population(&self) -> &dyn PopulationBackend<R> {
        self
    }

    fn population_mut(&mut self) -> &mut dyn PopulationBackend<R> {
        self
    }

    fn step(&mut self, episodes: &Episodes<'_, R>) -> Result<Vec<R>> {
        let episodes = episodes_to_bytes(episodes)?;
        self.losses(&Command::Step(self.learner), &[&episodes])
    }

    fn hold(&mut self, episodes: &Episodes<'_, R>) -> Result<Held> {
        let (learner, held) = (self.learner, number());
        let episodes = episodes_to_bytes(episodes)?;
        self.change(&Command::Hold { learner, held }, &[&episodes])?;
        let rank = self.rank.clone();
        Ok(Held(Box::new(RemoteHeld { rank, held })))
    }

    fn step_on(&mut self, held: &Held) -> Result<Vec<R>> {
        let Some(&RemoteHeld { held, .. }) = held.0.downcast_ref() else {
            return Err(Error::setting("episodes", "held on another engine"));
        };
        let learner = self.learner;
        self.losses(&Command::StepOn { learner, held }, &[])
    }

    fn apply(&mut self, gradients: &Parameters<R>) -> Result<()> {
        let gradients = bytes_of(gradients.values());
        self.change(&Command::Apply(self.learner), &[gradients])?;
        Ok(())
    }

    fn check_source(&self, source: &EpisodeSource) -> Result<()> {
        let written = encode(&Source::new(source), &[]);
        let mut last = self.source.lock().unwrap_or_else(PoisonError::into_inner);
        if *last == written {
            return Ok(());
        }
        let read = decode::<Source>(&written);
        let is_known = read
            .and_then(|(read, _)| read.read())
            .is_ok_and(|it| *it.task == *source.task);
        if !is_known {
            return Err(Error::setting(
                "task",
                format!(
                    "{:?} is no task that other processes know: those that come with the crate, and files of episodes, can be \
                     spread over them",
                    source.task.name()
                ),
            ));
        }
        let check = Command::Check(self.learner, Source::new(source));
        self.rank.ask(&check, &[])?;
        *last = written;
        Ok(())
    }

    fn run(
        &mut self,
        source: &EpisodeSource,
        since: u32,
        meta_steps: Range<u32>,
        learn: bool,
    ) -> Result<Vec<f64>> {
        let run = Command::Run {
            learner: self.learner,
            source: Source::new(source),
            since,
            meta_steps,
            learn,
        };
        self.losses(&run, &[])
    }
}

impl<R: Real> PopulationBackend<R> for RemoteLearner<R> {
    fn parameters(&self) -> Result<Parameters<R>> {
        let (_, arrays) = self.rank.ask(&Command::Parameters(self.learner), &[])?;
        let values = arrays.first().ok_or_else(|| malformed("no parameters"))?;
        parameters_of(values, &self.layout, self.population)
    }

    fn set_parameters(&mut self, parameters: &Parameters<R>) -> Result<()> {
        let mut state = self.state()?;
        state.parameters = parameters.clone();
        self.set_state(&state)
    }

    fn is_under_way(&self) -> bool {
        self.is_under_way
    }

    fn failures(&self) -> Result<Vec<Failure>> {
        if let Some(failures) = &self.failures {
            return Ok(failures.clone());
        }
        match self.rank.ask(&Command::Failures(self.learner), &[])? {
            (Reply::Failures(failures), _) => Ok(failures),
            _ => Err(malformed("not what was asked for")),
        }
    }

    fn state(&self) -> Result<TrainingState<R>> {
        match self.rank.ask(&Command::State(self.learner), &[])? {
            (Reply::State(head), arrays) => state(head, &arrays, &self.layout, self.population),
            _ => Err(malformed("not what was asked for")),
        }
    }

    fn set_state(&mut self, state: &TrainingState<R>) -> Result<()> {
        let (head, arrays) = state_parts(state);
        self.change(&Command::SetState(self.learner, head), &arrays)?;
        Ok(())
    }
}
