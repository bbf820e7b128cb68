//! What a process does for rank 0.

use super::link::Link;
use super::message::{
    Command, Reply, Source, bytes_of, decode, encode, malformed, parameters_of, state, state_parts,
};
use crate::engine::{Engine, HeldEpisodes, Learner};
use crate::error::{Error, Result};
use crate::network::Network;
use crate::number::Real;
use crate::optimiser::Optimiser;
use crate::parameters::Layout;
use crate::tasks::{EpisodeSource, Task};
use crate::tensors::episodes_from_bytes;
use std::collections::HashMap;
use std::sync::Arc;

/// Does on `engine` what rank 0 asks for over `link`, until that has nothing more to do.
///
/// # Errors
/// If rank 0 cannot be reached. What fails here is told to rank 0.
pub fn serve(engine: &Engine, link: &mut dyn Link) -> Result<()> {
    serve_with(engine, None, link)?;
    Ok(())
}

/// Why a process has nothing more to do.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Over {
    /// The engine is gone; there may be another.
    Engine,
    /// So is the program.
    Program,
}

/// The same; `sharing` is the engine for learners that share batches.
pub(super) fn serve_with(
    engine: &Engine,
    sharing: Option<&Engine>,
    link: &mut dyn Link,
) -> Result<Over> {
    let mut single = Learners::<f32>::default();
    let mut double = Learners::<f64>::default();
    loop {
        let message = link.receive()?;
        let (command, arrays) = match decode(&message) {
            Ok(message) => message,
            Err(error) => {
                link.send(failed(error))?;
                continue;
            }
        };
        let is_double = |learner: &u64| double.opened.contains_key(learner);
        let answer = match &command {
            Command::End => return Ok(Over::Engine),
            Command::Leave => return Ok(Over::Program),
            Command::Open {
                double: true,
                shares_batches,
                ..
            } => double.open(place(engine, sharing, *shares_batches), command, &arrays),
            Command::Open { shares_batches, .. } => {
                single.open(place(engine, sharing, *shares_batches), command, &arrays)
            }
            Command::Close(learner)
            | Command::Step(learner)
            | Command::Hold { learner, .. }
            | Command::StepOn { learner, .. }
            | Command::Apply(learner)
            | Command::Check(learner, _)
            | Command::Run { learner, .. }
            | Command::Parameters(learner)
            | Command::Failures(learner)
            | Command::State(learner)
            | Command::SetState(learner, _)
                if is_double(learner) =>
            {
                double.answer(command, &arrays)
            }
            Command::Release(held) => {
                single.held.remove(held);
                double.held.remove(held);
                Ok(encode(&Reply::Done, &[]))
            }
            _ => single.answer(command, &arrays),
        };
        link.send(answer.unwrap_or_else(failed))?;
    }
}

fn failed(error: Error) -> Vec<u8> {
    encode(&Reply::Failed(error.to_string()), &[])
}

fn place<'a>(
    engine: &'a Engine,
    sharing: Option<&'a Engine>,
    shares_batches: bool,
) -> Result<&'a Engine> {
    match (shares_batches, sharing) {
        (false, _) => Ok(engine),
        (true, Some(engine)) => Ok(engine),
        (true, None) => Err(malformed("nothing to share batches with")),
    }
}

/// Learners of one precision, and episodes held for them.
#[derive(Debug)]
struct Learners<R: Real> {
    opened: HashMap<u64, Opened<R>>,
    held: HashMap<u64, HeldEpisodes<R>>,
    /// The last one that episodes were wanted of.
    task: Option<Arc<dyn Task>>,
}

#[derive(Debug)]
struct Opened<R: Real> {
    network: Network,
    layout: Arc<Layout>,
    population: usize,
    learner: Learner<R>,
}

impl<R: Real> Default for Learners<R> {
    fn default() -> Self {
        Self {
            opened: HashMap::new(),
            held: HashMap::new(),
            task: None,
        }
    }
}

impl<R: Real> Learners<R> {
    fn open(
        &mut self,
        engine: Result<&Engine>,
        command: Command,
        arrays: &[Vec<u8>],
    ) -> Result<Vec<u8>> {
        let Command::Open {
            learner,
            network,
            population,
            optimisers,
            ..
        } = command
        else {
            return Err(malformed("nothing to open"));
        };
        let opened = Opened::new(engine?, network, population, &optimisers, arrays)?;
        self.opened.insert(learner, opened);
        Ok(encode(&Reply::Done, &[]))
    }

    fn answer(&mut self, command: Command, arrays: &[Vec<u8>]) -> Result<Vec<u8>> {
        let Self { opened, held, task } = self;
        let done = Ok(encode(&Reply::Done, &[]));
        let first = || arrays.first().ok_or_else(|| malformed("no array"));
        match command {
            Command::Close(learner) => {
                opened.remove(&learner);
                if opened.is_empty() {
                    *task = None;
                }
                done
            }
            Command::Step(learner) => {
                let it = find(opened, learner)?;
                let episodes = episodes_from_bytes(first()?, &it.network, it.population)?;
                let losses = it.learner.step(&episodes)?;
                it.told(&losses)
            }
            Command::Hold {
                learner,
                held: number,
            } => {
                let it = find(opened, learner)?;
                let episodes = episodes_from_bytes(first()?, &it.network, it.population)?;
                held.insert(number, it.learner.hold(&episodes)?);
                done
            }
            Command::StepOn {
                learner,
                held: number,
            } => {
                let held = held
                    .get(&number)
                    .ok_or_else(|| malformed("no such episodes"))?;
                let it = find(opened, learner)?;
                let losses = it.learner.step_on(held)?;
                it.told(&losses)
            }
            Command::Apply(learner) => {
                let it = find(opened, learner)?;
                let gradients = parameters_of(first()?, &it.layout, it.population)?;
                it.learner.apply(&gradients)?;
                done
            }
            Command::Check(learner, source) => {
                read(task, source)?.check(&find(opened, learner)?.network)?;
                done
            }
            Command::Run {
                learner,
                source,
                since,
                meta_steps,
                learn,
            } => {
                let it = find(opened, learner)?;
                let source = read(task, source)?;
                let losses = it.learner.go_on(&source, since, meta_steps, learn)?;
                it.told(&losses)
            }
            Command::Parameters(learner) => {
                let parameters = find(opened, learner)?.learner.parameters()?;
                Ok(encode(&Reply::Done, &[bytes_of(parameters.values())]))
            }
            Command::Failures(learner) => {
                let failures = find(opened, learner)?.learner.failures()?;
                Ok(encode(&Reply::Failures(failures), &[]))
            }
            Command::State(learner) => {
                let state = find(opened, learner)?.learner.state()?;
                let (head, arrays) = state_parts(&state);
                Ok(encode(&Reply::State(head), &arrays))
            }
            Command::SetState(learner, head) => {
                let it = find(opened, learner)?;
                let state = state(head, arrays, &it.layout, it.population)?;
                it.learner.set_state(&state)?;
                done
            }
            Command::Open { .. } | Command::Release(_) | Command::End | Command::Leave => {
                Err(malformed("not for a learner"))
            }
        }
    }
}

fn find<R: Real>(opened: &mut HashMap<u64, Opened<R>>, learner: u64) -> Result<&mut Opened<R>> {
    let opened = opened.get_mut(&learner);
    opened.ok_or_else(|| malformed("no such learner"))
}

impl<R: Real> Opened<R> {
    /// What is told of meta-steps: losses, and the networks that have failed.
    fn told<T: bytemuck::NoUninit>(&self, losses: &[T]) -> Result<Vec<u8>> {
        let failures = self.learner.failures()?;
        Ok(encode(&Reply::Failures(failures), &[bytes_of(losses)]))
    }

    fn new(
        engine: &Engine,
        network: Network,
        population: usize,
        optimisers: &[Optimiser],
        arrays: &[Vec<u8>],
    ) -> Result<Self> {
        let layout = Arc::new(Layout::new(&network)?);
        let values = arrays.first().ok_or_else(|| malformed("no parameters"))?;
        let parameters = parameters_of(values, &layout, population)?;
        let learner = engine.learner(&network, &parameters, optimisers)?;
        Ok(Self {
            network,
            layout,
            population,
            learner,
        })
    }
}

/// Reads where episodes come from. A task that is the last one again has what that has read from files.
fn read(last: &mut Option<Arc<dyn Task>>, source: Source) -> Result<EpisodeSource> {
    let mut source = source.read()?;
    match last {
        Some(last) if **last == *source.task => source.task = last.clone(),
        _ => *last = Some(source.task.clone()),
    }
    Ok(source)
}
