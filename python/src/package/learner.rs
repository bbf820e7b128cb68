//! A population in training.

use super::arrays::{by_name, give, perhaps_by_name};
use super::engine::{Engine, engine_or_cpu};
use super::episodes::{Given, TakenEpisodes};
use super::error::{Result, setting};
use super::network::Network;
use super::parameters::{Parameters, Values};
use super::process::{Birthplace, compute, forked};
use super::session::other_precision;
use super::settings;
use super::state::{give_state, take_state};
use super::tasks::Task;
use super::turns::{Turn, Turns};
use super::whole;
use metaplastic::engine::Failure;
use metaplastic::random::Purpose;
use metaplastic::tasks::EpisodeSource;
use metaplastic::{Error, Optimiser};
use numpy::IntoPyArray;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PyTuple};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Of either precision.
enum Kept {
    Single(Box<metaplastic::Learner<f32>>),
    Double(Box<metaplastic::Learner<f64>>),
}

/// A population in training, whose parameters and optimiser state stay on the engine's device.
///
/// `optimiser` is one for all networks, or a list of one for each.
///
/// >>> import metaplastic as mp
/// >>> task = mp.task("one-shot")
/// >>> network = mp.Recipe(task).network
/// >>> learner = mp.Learner(network, mp.Parameters.initialise(network, 3), mp.Optimiser("adam", 0.01))
/// >>> learner.train(task, 10, batch=4).shape                   # the mean loss of each network
/// (3,)
/// >>> state = learner.training_state()                         # to be saved: np.savez("state.npz", **state)
/// >>> learner.set_training_state(state)                        # of this learner, or of another like it
/// >>> state["first_moment.layer0.weight"].shape                # [P, O, I]
/// (3, 2, 10)
#[pyclass(frozen, module = "metaplastic")]
pub struct Learner {
    kept: Turns<Kept>,
    network: Arc<metaplastic::Network>,
    engine: &'static str,
    birthplace: Birthplace,
}

macro_rules! in_learner {
    ($this:expr, $py:expr, $learner:ident => $body:expr) => {{
        let mut kept = $this.kept($py)?;
        match &mut *kept {
            Kept::Single($learner) => $body,
            Kept::Double($learner) => $body,
        }
    }};
}

/// How long a call computes before it looks for signals.
const BETWEEN_SIGNALS: Duration = Duration::from_millis(100);

impl Learner {
    fn kept(&self, py: Python<'_>) -> Result<Turn<'_, Kept>> {
        if self.engine != "cpu" && !self.birthplace.is_here() {
            return Err(forked().into());
        }
        self.kept.take(py)
    }

    /// Meta-steps, until their end or a signal.
    fn run(
        &self,
        py: Python<'_>,
        source: &EpisodeSource,
        [first, end]: [u32; 2],
        learn: bool,
    ) -> Result<Py<PyAny>> {
        in_learner!(self, py, learner => {
            let (mut done, mut next) = (first, 1);
            loop {
                let part = done..end.min(done.saturating_add(next));
                let start = Instant::now();
                let to = part.end;
                let losses = compute(py, || learner.go_on(source, first, part, learn))??;
                done = to;
                py.check_signals()?;
                if done >= end {
                    return Ok(losses.into_pyarray(py).into_any().unbind());
                }
                if start.elapsed() < BETWEEN_SIGNALS / 2 {
                    next = next.saturating_mul(2);
                }
            }
        })
    }
}

#[pymethods]
impl Learner {
    #[new]
    #[pyo3(signature = (network, parameters, optimiser, *, engine = None))]
    fn new(
        py: Python<'_>,
        network: &Network,
        parameters: &Parameters,
        optimiser: &Bound<'_, PyAny>,
        engine: Option<&Engine>,
    ) -> Result<Self> {
        let (optimisers, engine) = (read_optimisers(optimiser)?, engine_or_cpu(engine)?);
        let network = &network.0;
        let kept = match &parameters.0 {
            Values::Single(it) => {
                let learner = compute(py, || engine.learner(network, it, &optimisers))??;
                Kept::Single(Box::new(learner))
            }
            Values::Double(it) => {
                let learner = compute(py, || engine.learner(network, it, &optimisers))??;
                Kept::Double(Box::new(learner))
            }
        };
        Ok(Self {
            kept: Turns::new("learner", kept),
            network: network.clone(),
            engine: engine.kind(),
            birthplace: Birthplace::here(),
        })
    }

    /// One meta-step on the caller's episodes.
    #[pyo3(signature = (input, target, mask = None, states = None))]
    fn step(
        &self,
        py: Python<'_>,
        input: &Bound<'_, PyAny>,
        target: &Bound<'_, PyAny>,
        mask: Option<&Bound<'_, PyAny>>,
        #[pyo3(from_py_with = perhaps_by_name)] states: Option<Bound<'_, PyDict>>,
    ) -> Result<Py<PyAny>> {
        let given = Given {
            input: Some(input),
            target: Some(target),
            mask,
            states: states.as_ref(),
            ..Given::default()
        };
        in_learner!(self, py, learner => {
            let taken = TakenEpisodes::of(&self.network, given)?;
            let episodes = taken.views()?;
            let losses = compute(py, || learner.step(&episodes))??;
            Ok(give(py, metaplastic::ndarray::Array1::from(losses)))
        })
    }

    /// Meta-steps on episodes of a task.
    #[pyo3(signature = (task, meta_steps, *, first = 0, batch = 1, seed = 0))]
    fn train(
        &self,
        py: Python<'_>,
        task: &Bound<'_, Task>,
        #[pyo3(from_py_with = whole::meta_steps)] meta_steps: u32,
        #[pyo3(from_py_with = whole::first)] first: u32,
        #[pyo3(from_py_with = whole::batch)] batch: usize,
        #[pyo3(from_py_with = whole::seed)] seed: u64,
    ) -> Result<Py<PyAny>> {
        self.on_task(
            py,
            task,
            Purpose::Training,
            [first, meta_steps],
            batch,
            seed,
        )
    }

    /// The same with frozen parameters.
    #[pyo3(signature = (task, meta_steps, *, first = 0, batch = 1, seed = 0))]
    fn evaluate(
        &self,
        py: Python<'_>,
        task: &Bound<'_, Task>,
        #[pyo3(from_py_with = whole::meta_steps)] meta_steps: u32,
        #[pyo3(from_py_with = whole::first)] first: u32,
        #[pyo3(from_py_with = whole::batch)] batch: usize,
        #[pyo3(from_py_with = whole::seed)] seed: u64,
    ) -> Result<Py<PyAny>> {
        self.on_task(
            py,
            task,
            Purpose::Evaluation,
            [first, meta_steps],
            batch,
            seed,
        )
    }

    /// One update with the caller's gradients.
    fn apply(&self, py: Python<'_>, gradients: &Parameters) -> Result<()> {
        let mut kept = self.kept(py)?;
        match (&mut *kept, &gradients.0) {
            (Kept::Single(learner), Values::Single(it)) => Ok(compute(py, || learner.apply(it))??),
            (Kept::Double(learner), Values::Double(it)) => Ok(compute(py, || learner.apply(it))??),
            _ => Err(other_precision("gradients", "learner").into()),
        }
    }

    #[getter]
    fn parameters(&self, py: Python<'_>) -> Result<Parameters> {
        in_learner!(self, py, learner => {
            let learner = &mut **learner;
            Ok(Parameters::of(compute(py, move || learner.parameters())??, &self.network))
        })
    }

    /// Everything that the population is, as arrays by name: from there training goes on with the same bits.
    fn training_state(&self, py: Python<'_>) -> Result<Py<PyDict>> {
        in_learner!(self, py, learner => {
            let learner = &mut **learner;
            give_state(py, compute(py, move || learner.state())??)
        })
    }

    /// Goes on from there.
    fn set_training_state(
        &self,
        py: Python<'_>,
        #[pyo3(from_py_with = by_name)] state: Bound<'_, PyDict>,
    ) -> Result<()> {
        in_learner!(self, py, learner => {
            let state = take_state(&self.network, &state)?;
            Ok(compute(py, || learner.set_state(&state))??)
        })
    }

    #[getter]
    fn failures(&self, py: Python<'_>) -> Result<Vec<(usize, u64, String)>> {
        in_learner!(self, py, learner => Ok(failures(learner.failures()?)))
    }
}

impl Learner {
    fn on_task(
        &self,
        py: Python<'_>,
        task: &Bound<'_, Task>,
        purpose: Purpose,
        [first, count]: [u32; 2],
        batch: usize,
        seed: u64,
    ) -> Result<Py<PyAny>> {
        let task = Task::shared(task)?;
        let source = EpisodeSource {
            task: task.task(),
            seed,
            purpose,
            batch,
            seeds: None,
            first: 0,
        };
        if count == 0 {
            let field = "meta_steps".to_owned();
            return Err(Error::ZeroSize { field }.into());
        }
        let end = first.checked_add(count).ok_or_else(|| {
            let most = u32::MAX - first;
            setting(
                "meta_steps",
                format!("{count} from the {first}th on, at most {most} are supported"),
            )
        })?;
        let learned = self.run(py, &source, [first, end], purpose == Purpose::Training);
        task.raised()?;
        learned
    }
}

/// One optimiser, or one for each network.
pub fn read_optimisers(given: &Bound<'_, PyAny>) -> Result<Vec<Optimiser>> {
    let one = |given: &Bound<'_, PyAny>| {
        let table = settings::of_object("optimiser", given)?;
        settings::read::<Optimiser>("optimiser", table)
    };
    let several = given.is_instance_of::<PyList>() || given.is_instance_of::<PyTuple>();
    match several {
        false => Ok(vec![one(given)?]),
        true => given.try_iter()?.map(|given| one(&given?)).collect(),
    }
}

/// Failures as Python has them.
pub fn failures(failures: Vec<Failure>) -> Vec<(usize, u64, String)> {
    let failures = failures.into_iter();
    failures
        .map(|it| (it.network, it.episode, it.tensor))
        .collect()
}
