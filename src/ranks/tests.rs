//! Threads as processes: what they compute together is what one computes.

use super::link::Link;
use super::remote::{engine, with_exchange};
use super::serve::{serve, serve_with};
use crate::computation::Exchange;
use crate::engine::{Engine, Learner, TrainingState};
use crate::episodes::{Episodes, Mask};
use crate::error::{Error, Result};
use crate::network::{Activation, Loss, Network, Plastic, Rate};
use crate::number::Real;
use crate::optimiser::Optimiser;
use crate::parameters::{Initial, Parameters};
use crate::random::Purpose;
use crate::tasks::{Association, Draw, EpisodeSource, Setup, Task};
use ndarray::{Array3, Array4};
use std::fmt::Debug;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Barrier, Mutex};
use std::thread;

#[derive(Debug)]
struct Channel(Sender<Vec<u8>>, Receiver<Vec<u8>>);

fn gone<T>(_: T) -> Error {
    Error::Rank {
        rank: 0,
        reason: "it is gone".into(),
    }
}

impl Link for Channel {
    fn send(&mut self, message: Vec<u8>) -> Result<()> {
        self.0.send(message).map_err(gone)
    }

    fn receive(&mut self) -> Result<Vec<u8>> {
        self.1.recv().map_err(gone)
    }
}

/// Threads that exchange what they have.
#[derive(Debug)]
struct Meeting {
    barrier: Barrier,
    given: Mutex<Vec<Option<Vec<u8>>>>,
}

#[derive(Debug)]
struct Member {
    rank: usize,
    ranks: usize,
    meeting: Arc<Meeting>,
    has_failed: AtomicBool,
    gathered: Arc<AtomicUsize>,
}

impl Member {
    fn give(&self, own: Option<Vec<u8>>) -> Vec<Option<Vec<u8>>> {
        self.meeting.given.lock().unwrap()[self.rank] = own;
        self.meeting.barrier.wait();
        let all = self.meeting.given.lock().unwrap().clone();
        self.meeting.barrier.wait();
        all
    }
}

impl Exchange for Member {
    fn rank(&self) -> usize {
        self.rank
    }

    fn ranks(&self) -> usize {
        self.ranks
    }

    fn gather(&self, own: &[u8]) -> Vec<Vec<u8>> {
        if self.has_failed.load(Ordering::SeqCst) {
            return vec![Vec::new(); self.ranks];
        }
        self.gathered.fetch_add(1, Ordering::SeqCst);
        let all = self.give(Some(own.to_vec()));
        if all.iter().any(Option::is_none) {
            self.has_failed.store(true, Ordering::SeqCst);
        }
        all.into_iter().map(Option::unwrap_or_default).collect()
    }

    fn give_up(&self) {
        self.give(None);
    }

    fn has_failed(&self) -> bool {
        self.has_failed.swap(false, Ordering::SeqCst)
    }
}

/// So many processes' engines as one, and how often batches were exchanged.
fn ranks(count: usize, shares_batches: bool) -> (Engine, Arc<AtomicUsize>) {
    let meeting = Arc::new(Meeting {
        barrier: Barrier::new(count),
        given: Mutex::new(vec![None; count]),
    });
    let gathered = Arc::new(AtomicUsize::new(0));
    let member = |rank| {
        Arc::new(Member {
            rank,
            ranks: count,
            meeting: meeting.clone(),
            has_failed: AtomicBool::new(false),
            gathered: gathered.clone(),
        }) as Arc<dyn Exchange>
    };
    let links = (1..count).map(|rank| {
        let (to, from_first) = channel();
        let (to_first, from) = channel();
        let exchange = member(rank);
        thread::spawn(move || {
            let mut link = Channel(to_first, from_first);
            let own = Engine::cpu();
            match shares_batches {
                true => {
                    serve_with(&own, Some(&own.sharing(exchange)), &mut link).unwrap();
                }
                false => serve(&own, &mut link).unwrap(),
            }
        });
        Box::new(Channel(to, from)) as Box<dyn Link>
    });
    let links: Vec<_> = links.collect();
    let own = Engine::cpu();
    let engine = match shares_batches {
        true => with_exchange(own, links, Some(member(0))),
        false => engine(own, links),
    };
    (engine, gathered)
}

fn network() -> Network {
    let task = Association::ONE_SHOT;
    let layer = Plastic::new(task.inputs(), task.outputs(), Rate::learned(0.1));
    Network::new(task.loss(), [layer.activation(Activation::Tanh)]).unwrap()
}

fn source(batch: usize) -> EpisodeSource {
    EpisodeSource {
        task: Arc::new(Association::ONE_SHOT),
        seed: 5,
        purpose: Purpose::Training,
        batch,
        seeds: None,
        first: 0,
    }
}

fn episodes<R: Real>(population: usize, batch: usize) -> Episodes<'static, R> {
    let drawn = source(batch).episodes(population, 3).unwrap();
    let (steps, mask) = (drawn.steps(), |(p, b, t): (usize, usize, usize)| {
        R::from_f64(((p + b + t) % 3) as f64)
    });
    let mask = Array3::from_shape_fn((population, batch, steps), mask);
    let target = Array4::from_elem((1, batch, steps, 2), R::from_f64(0.25));
    let cast = drawn.cast::<R>();
    Episodes::new(cast.input).with_masked_target(target, Mask::Episodes(mask))
}

/// Everything that a learner can do, and what came of it.
fn everything<R: Real + Debug>(
    engine: &Engine,
    population: usize,
    batch: usize,
) -> (TrainingState<R>, Vec<f64>, Vec<R>) {
    let network = network();
    let parameters =
        Parameters::<R>::initialise(&network, &Initial::default(), population, 1).unwrap();
    let rates = (0..population).map(|n| Optimiser::adam(0.01 * (1 + n) as f64));
    let optimisers: Vec<_> = rates.collect();
    let mut learner = engine.learner(&network, &parameters, &optimisers).unwrap();
    let mut means = learner.train(&source(batch), 0..3).unwrap();
    means.extend(learner.evaluate(&source(batch), 3..5).unwrap());
    let episodes = episodes(population, batch);
    let mut losses = learner.step(&episodes).unwrap();
    let held = learner.hold(&episodes).unwrap();
    losses.extend(learner.step_on(&held).unwrap());
    means.extend(
        learner
            .train_on([episodes.clone(), episodes.clone()])
            .unwrap(),
    );
    learner.apply(&learner.parameters().unwrap()).unwrap();
    // Another one goes on from the state.
    let state = learner.state().unwrap();
    let mut other: Learner<R> = engine.learner(&network, &parameters, &optimisers).unwrap();
    other.set_state(&state).unwrap();
    means.extend(other.train(&source(batch), 5..6).unwrap());
    assert_eq!(other.failures().unwrap(), []);
    (other.state().unwrap(), means, losses)
}

#[test]
fn networks_spread_over_processes_are_those_of_one() {
    for (count, population) in [(2, 2), (2, 5), (3, 7), (4, 3)] {
        let (several, _) = ranks(count, false);
        assert_eq!(
            everything::<f32>(&several, population, 2),
            everything(&Engine::cpu(), population, 2),
            "{count} processes, {population} networks"
        );
    }
    let (several, _) = ranks(3, false);
    assert_eq!(
        everything::<f64>(&several, 4, 2),
        everything(&Engine::cpu(), 4, 2)
    );
}

#[test]
fn seeds_that_begin_again_do_so_wherever_the_networks_are() {
    let network = network();
    let parameters = Parameters::<f32>::initialise(&network, &Initial::default(), 7, 1).unwrap();
    let swept = EpisodeSource {
        seeds: Some(3),
        ..source(2)
    };
    let train = |engine: &Engine| {
        let optimisers = [Optimiser::adam(0.1)];
        let mut learner = engine.learner(&network, &parameters, &optimisers).unwrap();
        let means = learner.train(&swept, 0..4).unwrap();
        (means, learner.parameters().unwrap())
    };
    assert_eq!(train(&ranks(3, false).0), train(&Engine::cpu()));
}

#[test]
fn networks_spread_over_engines_are_those_of_one() {
    let several = Engine::several([Engine::cpu(), Engine::cpu(), Engine::cpu()]).unwrap();
    for population in [1, 3, 8] {
        assert_eq!(
            everything::<f32>(&several, population, 2),
            everything(&Engine::cpu(), population, 2)
        );
    }
    assert!(several.device().contains(" + "), "{}", several.device());
    Engine::several([]).unwrap_err();
    assert!(matches!(
        Engine::several([Engine::cpu()]).unwrap(),
        Engine::Cpu(_)
    ));
}

#[test]
fn batches_that_processes_share_are_those_of_one() {
    // 5 blocks of 16 episodes, or 3 of 32.
    let batch = 80;
    for (count, population) in [(2, 1), (3, 1), (3, 2), (4, 1)] {
        let (several, gathered) = ranks(count, true);
        assert_eq!(
            everything::<f32>(&several, population, batch),
            everything(&Engine::cpu(), population, batch),
            "{count} processes, {population} networks"
        );
        assert!(gathered.load(Ordering::SeqCst) > 0, "nothing was shared");
    }
    let (several, _) = ranks(2, true);
    assert_eq!(
        everything::<f64>(&several, 1, batch),
        everything(&Engine::cpu(), 1, batch)
    );
}

#[test]
fn failures_are_told_by_their_networks_own_numbers() {
    let (several, _) = ranks(3, false);
    let network = network();
    let parameters = Parameters::<f32>::initialise(&network, &Initial::default(), 5, 1).unwrap();
    let optimisers = [Optimiser::sgd(0.1, 0.0)];
    let mut learner = several.learner(&network, &parameters, &optimisers).unwrap();
    let mut gradients = parameters.clone();
    let size = gradients.layout().size();
    for network in [1, 4] {
        gradients.values_mut()[network * size] = f32::NAN;
    }
    learner.apply(&gradients).unwrap();
    let failed: Vec<_> = learner
        .failures()
        .unwrap()
        .iter()
        .map(|it| it.network)
        .collect();
    assert_eq!(failed, [1, 4]);
    let state = learner.state().unwrap();
    let mut alone = Engine::cpu()
        .learner(&network, &parameters, &optimisers)
        .unwrap();
    alone.apply(&gradients).unwrap();
    assert_eq!(state, alone.state().unwrap());
    learner.set_state(&state).unwrap();
    assert_eq!(learner.state().unwrap(), state);
}

/// A link that counts what is sent.
#[derive(Debug)]
struct Counted(Channel, Arc<AtomicUsize>);

impl Link for Counted {
    fn send(&mut self, message: Vec<u8>) -> Result<()> {
        self.1.fetch_add(1, Ordering::SeqCst);
        self.0.send(message)
    }

    fn receive(&mut self) -> Result<Vec<u8>> {
        self.0.receive()
    }
}

/// A process that waits for a message loses some of its time.
#[test]
fn meta_steps_take_one_message_and_what_failed_comes_back_with_their_losses() {
    let (to, from_first) = channel();
    let (to_first, from) = channel();
    thread::spawn(move || serve(&Engine::cpu(), &mut Channel(to_first, from_first)));
    let sent = Arc::new(AtomicUsize::new(0));
    let link = Counted(Channel(to, from), sent.clone());
    let engine = engine(Engine::cpu(), [Box::new(link) as Box<dyn Link>]);
    let parameters = Parameters::<f32>::initialise(&network(), &Initial::default(), 4, 3).unwrap();
    let optimisers = vec![Optimiser::adam(0.01); 4];
    let mut learner = engine
        .learner(&network(), &parameters, &optimisers)
        .unwrap();
    let source = source(1);
    // Opened; asked whether the task is known.
    learner.go_on(&source, 0, 0..2, true).unwrap();
    assert_eq!(sent.load(Ordering::SeqCst), 3);
    for n in 1..4 {
        learner.go_on(&source, 0, 2 * n..2 * n + 2, true).unwrap();
        assert_eq!(learner.failures().unwrap(), []);
        assert_eq!(sent.load(Ordering::SeqCst), 3 + n as usize);
    }
    // Another source is asked for.
    let other = EpisodeSource { seed: 9, ..source };
    learner.go_on(&other, 0, 8..9, true).unwrap();
    assert_eq!(sent.load(Ordering::SeqCst), 8);
    // What may have changed is asked for, too.
    let mut state = learner.state().unwrap();
    let size = state.parameters.layout().size();
    state.parameters.values_mut()[3 * size..].fill(f32::MAX);
    learner.set_state(&state).unwrap();
    assert_eq!(learner.failures().unwrap(), []);
    assert_eq!(sent.load(Ordering::SeqCst), 11);
    // A network of the other process fails.
    learner.go_on(&other, 0, 9..11, true).unwrap();
    let failures = learner.failures().unwrap();
    assert_eq!(sent.load(Ordering::SeqCst), 12);
    assert_eq!(
        failures.iter().map(|it| it.network).collect::<Vec<_>>(),
        [3]
    );
}

#[test]
fn a_process_that_is_gone_is_an_error_and_nothing_goes_on() {
    let (to, from_first) = channel();
    let (to_first, from) = channel();
    thread::spawn(move || {
        let mut link = Channel(to_first, from_first);
        // It opens a learner, knows the task, and is gone.
        for _ in 0..2 {
            assert!(!link.receive().unwrap().is_empty());
            let done = super::message::encode(&super::message::Reply::Done, &[]);
            link.send(done).unwrap();
        }
    });
    let several = engine(
        Engine::cpu(),
        [Box::new(Channel(to, from)) as Box<dyn Link>],
    );
    let network = network();
    let parameters = Parameters::<f32>::initialise(&network, &Initial::default(), 2, 1).unwrap();
    let mut learner = several
        .learner(&network, &parameters, &[Optimiser::adam(0.1)])
        .unwrap();
    let error = learner.train(&source(1), 0..2).unwrap_err();
    assert!(matches!(error, Error::Rank { .. }), "{error}");
    let error = learner.train(&source(1), 2..3).unwrap_err();
    assert!(matches!(error, Error::Unfinished { .. }), "{error}");
}

#[test]
fn a_process_that_gives_up_is_waited_for_by_none() {
    let meeting = Arc::new(Meeting {
        barrier: Barrier::new(2),
        given: Mutex::new(vec![None; 2]),
    });
    let [own, other] = [0, 1].map(|rank| {
        Arc::new(Member {
            rank,
            ranks: 2,
            meeting: meeting.clone(),
            has_failed: AtomicBool::new(false),
            gathered: Arc::default(),
        })
    });
    let engine = Engine::cpu().sharing(own);
    let network = network();
    let parameters = Parameters::<f32>::initialise(&network, &Initial::default(), 1, 1).unwrap();
    let mut learner = engine
        .learner(&network, &parameters, &[Optimiser::adam(0.1)])
        .unwrap();
    thread::scope(|scope| {
        scope.spawn(|| other.give_up());
        let error = learner.train(&source(80), 0..2).unwrap_err();
        assert!(matches!(error, Error::Ranks), "{error}");
    });
}

#[test]
fn a_task_that_other_processes_do_not_know_is_refused_before_anything_is_done() {
    let (several, _) = ranks(2, true);
    let network = network();
    let parameters = Parameters::<f32>::initialise(&network, &Initial::default(), 1, 1).unwrap();
    let mut learner = several
        .learner(&network, &parameters, &[Optimiser::adam(0.1)])
        .unwrap();
    let unknown = EpisodeSource {
        task: Arc::new(Unknown),
        ..source(80)
    };
    let error = learner.train(&unknown, 0..2).unwrap_err();
    assert!(error.to_string().contains("\"unknown\""), "{error}");
    learner.train(&source(80), 0..2).unwrap();
}

/// One-shot by another name.
#[derive(Debug)]
struct Unknown;

impl Task for Unknown {
    fn name(&self) -> &str {
        "unknown"
    }

    fn inputs(&self) -> usize {
        Association::ONE_SHOT.inputs()
    }

    fn outputs(&self) -> usize {
        Association::ONE_SHOT.outputs()
    }

    fn steps(&self) -> usize {
        Association::ONE_SHOT.steps()
    }

    fn loss(&self) -> Loss {
        Association::ONE_SHOT.loss()
    }

    fn solved_below(&self) -> f64 {
        Association::ONE_SHOT.solved_below()
    }

    fn fill(&self, draw: Draw, input: &mut [f32], target: &mut [f32]) {
        Association::ONE_SHOT.fill(draw, input, target);
    }

    fn setup(&self) -> Result<Setup> {
        Association::ONE_SHOT.setup()
    }
}
