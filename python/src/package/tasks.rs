//! Tasks: those that come with the library, and those of Python's.

use super::error::{Failure, Result, setting};
use super::learner::read_optimisers;
use super::network::Network;
use super::parameters::read_initial;
use super::settings;
use super::whole;
use metaplastic::tasks::{self, Draw, EpisodeSource, Sequence, Setup};
use metaplastic::{Error, Loss};
use numpy::{PyArray2, PyArrayMethods};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};
use std::sync::{Arc, Mutex, PoisonError};

/// A distribution of episodes: one of the library's, by `task`, or a subclass of one's own.
///
/// A subclass has `name`, `inputs`, `outputs`, `steps`, `loss` and `solved_below`; `fill(random, input, target)`, which writes one
/// episode into `[T, I]` and `[T, O]`; `setup()`, a dictionary of "network", "optimiser" and "episodes"; and perhaps `counts(step)`.
///
/// >>> import metaplastic as mp
/// >>> input, target, mask = mp.task("one-shot").episodes(batch=5, population=3)
/// >>> input.shape, target.shape, mask.shape
/// ((3, 5, 20, 10), (3, 5, 20, 2), (20,))
#[pyclass(frozen, subclass, module = "metaplastic")]
pub struct Task {
    /// None of a subclass.
    known: Option<Arc<dyn tasks::Task>>,
}

/// A task of the library.
#[pyclass(frozen, extends = Task, module = "metaplastic")]
pub struct LibraryTask(Arc<dyn tasks::Task>);

#[pymethods]
impl LibraryTask {
    #[getter]
    fn name(&self) -> String {
        self.0.name().to_owned()
    }

    #[getter]
    fn inputs(&self) -> usize {
        self.0.inputs()
    }

    #[getter]
    fn outputs(&self) -> usize {
        self.0.outputs()
    }

    #[getter]
    fn steps(&self) -> usize {
        self.0.steps()
    }

    #[getter]
    fn loss(&self) -> &'static str {
        self.0.loss().name()
    }

    #[getter]
    fn solved_below(&self) -> f64 {
        self.0.solved_below()
    }
}

/// A task of the library, by its name.
#[pyfunction]
#[pyo3(signature = (name, **settings))]
pub fn task(
    py: Python<'_>,
    name: &str,
    settings: Option<&Bound<'_, PyDict>>,
) -> Result<Py<LibraryTask>> {
    let Some(task) = tasks::named(name) else {
        let known: Vec<_> = tasks::all()
            .iter()
            .map(|it| format!("{:?}", it.name()))
            .collect();
        return Err(Error::UnknownName {
            what: "task".to_owned(),
            name: name.to_owned(),
            known: known.join(", "),
        }
        .into());
    };
    let known = match settings {
        None => task,
        Some(given) => task.with_settings(&settings::table("task", given)?)?,
    };
    let task = Task {
        known: Some(known.clone()),
    };
    let task = PyClassInitializer::from(task).add_subclass(LibraryTask(known));
    Ok(Py::new(py, task)?)
}

#[pymethods]
impl Task {
    #[new]
    #[pyo3(signature = (*_arguments, **_named))]
    fn new(_arguments: &Bound<'_, PyTuple>, _named: Option<&Bound<'_, PyDict>>) -> Self {
        Self { known: None }
    }

    /// Whether a step counts towards the loss; of a subclass that does not say, every step does.
    fn counts(&self, step: usize) -> bool {
        self.known.as_ref().is_none_or(|task| task.counts(step))
    }

    /// Episodes of one meta-step: input, target and mask.
    #[pyo3(signature = (batch = 1, *, population = 1, meta_step = 0, seed = 0))]
    fn episodes(
        this: &Bound<'_, Self>,
        #[pyo3(from_py_with = whole::batch)] batch: usize,
        #[pyo3(from_py_with = whole::population)] population: usize,
        #[pyo3(from_py_with = whole::meta_step)] meta_step: u32,
        #[pyo3(from_py_with = whole::seed)] seed: u64,
    ) -> Result<(Py<PyAny>, Py<PyAny>, Py<PyAny>)> {
        let py = this.py();
        let shared = Self::shared(this)?;
        let source = EpisodeSource {
            task: shared.task(),
            seed,
            purpose: metaplastic::random::Purpose::Training,
            batch,
            seeds: None,
            first: 0,
        };
        let made = super::process::compute(py, || source.episodes(population, meta_step))??;
        shared.raised()?;
        let metaplastic::episodes::Objective::Target {
            target,
            mask: metaplastic::Mask::Steps(mask),
        } = made.objective
        else {
            unreachable!("a task's episodes have a target, and a mask of steps");
        };
        Ok((
            super::arrays::give(py, made.input.into_owned()),
            super::arrays::give(py, target.into_owned()),
            super::arrays::give(py, mask),
        ))
    }

    fn __repr__(this: &Bound<'_, Self>) -> Result<String> {
        let name: String = this.getattr("name")?.extract()?;
        Ok(format!("<Task {name}>"))
    }
}

impl Task {
    /// The task as the engine takes it.
    pub fn shared(this: &Bound<'_, Self>) -> Result<Shared> {
        if let Some(known) = &this.get().known {
            return Ok(Shared::Known(known.clone()));
        }
        Ok(Shared::Own(Arc::new(Own::of(this)?)))
    }
}

/// A task for the time of one call.
pub enum Shared {
    Known(Arc<dyn tasks::Task>),
    Own(Arc<Own>),
}

impl Shared {
    pub fn task(&self) -> Arc<dyn tasks::Task> {
        match self {
            Self::Known(task) => task.clone(),
            Self::Own(task) => task.clone(),
        }
    }

    /// Fails with what the task raised, if it did.
    pub fn raised(&self) -> Result<()> {
        let Self::Own(own) = self else {
            return Ok(());
        };
        let raised = own
            .raised
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        raised.map_or(Ok(()), |error| Err(error.into()))
    }

    pub fn has_raised(&self) -> bool {
        match self {
            Self::Known(_) => false,
            Self::Own(own) => own
                .raised
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .is_some(),
        }
    }
}

/// A task that is a class of Python's.
pub struct Own {
    object: Py<Task>,
    name: String,
    sizes: [usize; 3],
    loss: Loss,
    counts: Vec<bool>,
    solved_below: f64,
    /// The first exception of its methods that engines call; what they made of that episode is given up with the call.
    raised: Mutex<Option<PyErr>>,
}

impl std::fmt::Debug for Own {
    fn fmt(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(to, "Task({})", self.name)
    }
}

impl Own {
    fn of(task: &Bound<'_, Task>) -> Result<Self> {
        let sizes = [
            whole::inputs(&task.getattr("inputs")?)?,
            whole::outputs(&task.getattr("outputs")?)?,
            whole::steps(&task.getattr("steps")?)?,
        ];
        let loss: String = task.getattr("loss")?.extract()?;
        let counts = (0..sizes[2]).map(|step| task.call_method1("counts", (step,))?.is_truthy());
        Ok(Self {
            name: task.getattr("name")?.extract()?,
            loss: loss.parse()?,
            counts: counts.collect::<PyResult<_>>()?,
            solved_below: task.getattr("solved_below")?.extract()?,
            object: task.clone().unbind(),
            sizes,
            raised: Mutex::new(None),
        })
    }

    fn fill_in_python(
        &self,
        py: Python<'_>,
        draw: Draw,
        input: &mut [f32],
        target: &mut [f32],
    ) -> PyResult<()> {
        let [inputs, outputs, steps] = self.sizes;
        let given = PyArray2::<f32>::zeros(py, [steps, inputs], false);
        let wanted = PyArray2::<f32>::zeros(py, [steps, outputs], false);
        let random = Random(Mutex::new(draw.sequence()));
        self.object
            .call_method1(py, "fill", (random, &given, &wanted))?;
        for (to, from) in [(input, given), (target, wanted)] {
            let from = from.readonly();
            let from = from.as_slice()?;
            if from.len() != to.len() {
                let reason = format!("resized to {} numbers from {}", from.len(), to.len());
                return Err(Failure::from(setting("task.fill", reason)).into());
            }
            to.copy_from_slice(from);
        }
        Ok(())
    }
}

impl tasks::Task for Own {
    fn name(&self) -> &str {
        &self.name
    }

    fn inputs(&self) -> usize {
        self.sizes[0]
    }

    fn outputs(&self) -> usize {
        self.sizes[1]
    }

    fn steps(&self) -> usize {
        self.sizes[2]
    }

    fn loss(&self) -> Loss {
        self.loss
    }

    fn solved_below(&self) -> f64 {
        self.solved_below
    }

    fn counts(&self, step: usize) -> bool {
        self.counts.get(step).copied().unwrap_or(false)
    }

    fn fill(&self, draw: Draw, input: &mut [f32], target: &mut [f32]) {
        let filled = Python::attach(|py| self.fill_in_python(py, draw, input, target));
        if let Err(error) = filled {
            let mut raised = self.raised.lock().unwrap_or_else(PoisonError::into_inner);
            raised.get_or_insert(error);
        }
    }

    fn setup(&self) -> metaplastic::Result<Setup> {
        let made = Python::attach(|py| read_setup(self.object.bind(py)));
        made.map_err(|failure| match failure {
            Failure::Engine(error) => error,
            Failure::Python(error) => {
                let reason = error.to_string();
                let mut raised = self.raised.lock().unwrap_or_else(PoisonError::into_inner);
                raised.get_or_insert(error);
                setting("task.setup", reason)
            }
        })
    }
}

/// What `setup()` returns: a dictionary of a network, an optimiser, episodes, and how parameters start.
fn read_setup(task: &Bound<'_, Task>) -> Result<Setup> {
    let made = task.call_method0("setup")?;
    let made = made.cast::<PyDict>().map_err(PyErr::from)?;
    let missing = |name: &str| setting(format!("task.setup.{name}"), "missing");
    let network = made
        .get_item("network")?
        .ok_or_else(|| missing("network"))?;
    let network = network.cast::<Network>().map_err(PyErr::from)?;
    let network = (*network.get().0).clone();
    let optimiser = made
        .get_item("optimiser")?
        .ok_or_else(|| missing("optimiser"))?;
    let optimiser = read_optimisers(&optimiser)?.swap_remove(0);
    let episodes = made
        .get_item("episodes")?
        .ok_or_else(|| missing("episodes"))?;
    let mut setup = Setup::new(network, optimiser, whole::episodes(&episodes)?);
    if let Some(initial) = made.get_item("initial")? {
        setup.initial = read_initial(Some(initial.cast::<PyDict>().map_err(PyErr::from)?))?;
    }
    if let Some(batch) = made.get_item("batch")? {
        setup.batch = whole::batch(&batch)?;
    }
    if let Some(population) = made.get_item("population")? {
        setup.population = whole::population(&population)?;
    }
    Ok(setup)
}

/// The random words of one episode, as numbers of several kinds.
#[pyclass(frozen, module = "metaplastic")]
pub struct Random(Mutex<Sequence>);

impl Random {
    fn with<T>(&self, draw: impl FnOnce(&mut Sequence) -> T) -> T {
        draw(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[pymethods]
impl Random {
    /// 32 random bits.
    fn bits(&self) -> u32 {
        self.with(Sequence::bits)
    }

    /// A whole number from 0 to `count - 1`.
    fn below(&self, #[pyo3(from_py_with = whole::count)] count: u32) -> Result<u32> {
        if count == 0 {
            let field = "count".to_owned();
            return Err(Error::ZeroSize { field }.into());
        }
        Ok(self.with(|random| random.below(count)))
    }

    /// A number from 0 up to, and without, 1.
    fn unit(&self) -> f32 {
        self.with(Sequence::unit)
    }

    /// 1 or -1.
    fn sign(&self) -> f32 {
        self.with(Sequence::sign)
    }
}
