//! A population trained on a task from start to end.

use super::engine::Engine;
use super::error::{Result, setting};
use super::network::Network;
use super::parameters::{Parameters, Values};
use super::process::{compute, compute_and_watch};
use super::settings;
use super::tasks::{Shared, Task};
use super::whole;
use metaplastic::engine::EngineKind;
use metaplastic::ndarray::Array2;
use metaplastic::training::{self, Event, Training};
use numpy::IntoPyArray;
use pyo3::prelude::*;
use pyo3::types::PyDict;
use std::ops::ControlFlow;
use std::sync::Arc;

/// Every setting of a run, from the task's paper where nothing is said.
///
/// >>> import metaplastic as mp
/// >>> recipe = mp.Recipe(mp.task("one-shot"), population=2, episodes=200)
/// >>> trained = mp.train(recipe, callback=lambda report: report.episode < 100)
/// >>> trained.stopped, trained.errors.shape[1]
/// (True, 2)
#[pyclass(frozen, module = "metaplastic")]
pub struct Recipe {
    recipe: training::Recipe,
    task: Py<Task>,
}

#[pymethods]
impl Recipe {
    #[new]
    #[pyo3(signature = (task, name = "paper", **settings))]
    fn new(
        task: &Bound<'_, Task>,
        name: &str,
        settings: Option<&Bound<'_, PyDict>>,
    ) -> Result<Self> {
        let shared = Task::shared(task)?;
        let named = training::Recipe::named(shared.task(), name);
        shared.raised()?;
        let recipe = named?.ok_or_else(|| {
            let known = training::Recipe::NAMES.join(", ");
            setting(
                "recipe",
                format!("{name:?} is none of the task's; there are {known}"),
            )
        })?;
        Self {
            recipe,
            task: task.clone().unbind(),
        }
        .varied(settings)
    }

    /// The same with other settings.
    #[pyo3(signature = (**settings))]
    fn variation(&self, settings: Option<&Bound<'_, PyDict>>) -> Result<Self> {
        Python::attach(|py| Self {
            recipe: self.recipe.clone(),
            task: self.task.clone_ref(py),
        })
        .varied(settings)
    }

    #[staticmethod]
    #[pyo3(signature = (text, task, origin = "recipe"))]
    fn from_toml(text: &str, task: &Bound<'_, Task>, origin: &str) -> Result<Self> {
        let shared = Task::shared(task)?.task();
        Ok(Self {
            recipe: training::Recipe::from_toml_for(&shared, text, origin)?,
            task: task.clone().unbind(),
        })
    }

    fn to_toml(&self) -> String {
        self.recipe.to_toml()
    }

    #[getter]
    fn network(&self) -> Network {
        Network(Arc::new(self.recipe.network.clone()))
    }

    #[getter]
    fn task(&self, py: Python<'_>) -> Py<Task> {
        self.task.clone_ref(py)
    }

    #[getter]
    fn population(&self) -> usize {
        self.recipe.population
    }

    #[getter]
    fn episodes(&self) -> u64 {
        self.recipe.episodes
    }

    #[getter]
    fn batch(&self) -> usize {
        self.recipe.batch
    }

    #[getter]
    fn seed(&self) -> u64 {
        self.recipe.seed
    }
}

impl Recipe {
    fn varied(self, given: Option<&Bound<'_, PyDict>>) -> Result<Self> {
        let Some(given) = given else {
            return Ok(self);
        };
        let table = settings::table("", given)?;
        Ok(Self {
            recipe: self.recipe.variation(&table.to_string(), "settings")?,
            task: self.task,
        })
    }
}

/// One part of a run: `error` is that of each network since the last report, `[P]`.
#[pyclass(frozen, get_all, module = "metaplastic")]
pub struct Report {
    episode: u64,
    phase: &'static str,
    error: Py<PyAny>,
    failed: usize,
}

/// What came of a run. Of its `R` reports: `episodes` `[R]`, `errors` `[R, P]` and `phases`; of its networks: `final_error`, `wrong`
/// and `solved`, `[P]`.
#[pyclass(frozen, get_all, module = "metaplastic")]
pub struct Trained {
    network: Py<Network>,
    parameters: Py<Parameters>,
    episodes: Py<PyAny>,
    errors: Py<PyAny>,
    phases: Vec<&'static str>,
    final_error: Py<PyAny>,
    wrong: Py<PyAny>,
    solved: Py<PyAny>,
    failures: Vec<(usize, u64, String)>,
    stopped: bool,
    engine: String,
}

impl Trained {
    fn of(
        py: Python<'_>,
        network: &metaplastic::Network,
        trained: training::Trained,
        engine: &Engine,
    ) -> Result<Self> {
        let history = &trained.history;
        let shape = (history.len(), trained.networks.len());
        let errors = history
            .iter()
            .flat_map(|report| report.error.iter().copied());
        let errors = Array2::from_shape_vec(shape, errors.collect()).expect("one for each network");
        let episodes: Vec<u64> = history.iter().map(|report| report.episode).collect();
        let each = |value: fn(&training::NetworkResult) -> Option<f64>| -> Vec<f64> {
            let networks = trained.networks.iter();
            networks.map(|it| value(it).unwrap_or(f64::NAN)).collect()
        };
        let (final_error, wrong) = (each(|it| it.final_error), each(|it| it.wrong));
        let solved: Vec<bool> = trained.networks.iter().map(|it| it.solved).collect();
        let network = Arc::new(network.clone());
        Ok(Self {
            network: Py::new(py, Network(network.clone()))?,
            episodes: episodes.into_pyarray(py).into_any().unbind(),
            errors: errors.into_pyarray(py).into_any().unbind(),
            phases: history.iter().map(|report| report.phase.name()).collect(),
            final_error: final_error.into_pyarray(py).into_any().unbind(),
            wrong: wrong.into_pyarray(py).into_any().unbind(),
            solved: solved.into_pyarray(py).into_any().unbind(),
            failures: super::learner::failures(trained.failures),
            stopped: trained.stopped,
            parameters: Py::new(py, Parameters::of(trained.parameters, &network))?,
            engine: engine.describe(),
        })
    }
}

/// Trains as a recipe says, to its end or until the callback, which gets each `Report`, returns False.
///
/// Without an `engine`, a hardware GPU is taken where the work pays for it, else the CPU. With `parameters` it begins from those.
#[pyfunction]
#[pyo3(signature = (recipe, *, callback = None, parameters = None, engine = None))]
pub fn train(
    py: Python<'_>,
    recipe: &Recipe,
    callback: Option<&Bound<'_, PyAny>>,
    parameters: Option<&Parameters>,
    engine: Option<Py<Engine>>,
) -> Result<Trained> {
    let mut settings = recipe.recipe.clone();
    let shared = Task::shared(recipe.task.bind(py))?;
    // An own task keeps what it raises for one call.
    if let Shared::Own(_) = &shared {
        settings.task = shared.task();
    }
    let engine = match engine {
        Some(engine) => engine,
        None => {
            let work = settings.synapse_steps();
            let choice = py.detach(|| metaplastic::Engine::choose(EngineKind::Auto, None, work))?;
            Py::new(py, Engine::of(choice.engine, &choice.reason))?
        }
    };
    let here = engine.get().here()?;
    let training = match parameters.map(|it| &it.0) {
        None => compute(py, || Training::new(&here, &settings))?,
        Some(Values::Single(it)) => {
            compute(py, || Training::from_parameters(&here, &settings, it))?
        }
        Some(Values::Double(_)) => {
            let error = super::session::other_precision("parameters", "training, which is float32");
            return Err(error.into());
        }
    };
    let training = training?;
    let trained = compute_and_watch(
        py,
        |watch| {
            training.run_watched(|event| {
                let report = match event {
                    Event::Report(report) => Some(report.clone()),
                    _ => None,
                };
                match shared.has_raised() || !watch(report) {
                    true => ControlFlow::Break(()),
                    false => ControlFlow::Continue(()),
                }
            })
        },
        |py, report: Option<training::Report>| {
            let (Some(callback), Some(report)) = (callback, report) else {
                return Ok(true);
            };
            let report = Report {
                episode: report.episode,
                phase: report.phase.name(),
                error: report.error.into_pyarray(py).into_any().unbind(),
                failed: report.failed,
            };
            let answer = callback.call1((report,))?;
            // NumPy's too, which a comparison of arrays gives.
            Ok(answer.extract::<bool>().unwrap_or(true))
        },
    )?;
    shared.raised()?;
    Trained::of(py, &settings.network, trained?, engine.get())
}

/// What networks do on fresh episodes, at each step.
#[pyclass(frozen, get_all, module = "metaplastic")]
pub struct Evaluation {
    error: Py<PyAny>,
    accuracy: Py<PyAny>,
    counted: Py<PyAny>,
    episodes: u64,
}

/// Runs fresh episodes of a task through every network: `error` and `accuracy` at each step, `[P, T]`.
#[pyfunction]
#[pyo3(signature = (network, parameters, task, *, episodes = 1000, seed = 0, engine = None))]
pub fn evaluate(
    py: Python<'_>,
    network: &Network,
    parameters: &Parameters,
    task: &Bound<'_, Task>,
    #[pyo3(from_py_with = whole::episodes)] episodes: u64,
    #[pyo3(from_py_with = whole::seed)] seed: u64,
    engine: Option<&Engine>,
) -> Result<Evaluation> {
    let engine = super::engine::engine_or_cpu(engine)?;
    let shared = Task::shared(task)?;
    let Values::Single(parameters) = &parameters.0 else {
        let error = super::session::other_precision("parameters", "evaluation, which is float32");
        return Err(error.into());
    };
    let (network, task) = (&network.0, shared.task());
    let evaluation = compute(py, || {
        training::Evaluation::new(&engine, network, parameters, &task, seed, episodes)
    })?;
    shared.raised()?;
    let evaluation = evaluation?;
    Ok(Evaluation {
        error: evaluation.error.into_pyarray(py).into_any().unbind(),
        accuracy: evaluation.accuracy.into_pyarray(py).into_any().unbind(),
        counted: evaluation.counted.into_pyarray(py).into_any().unbind(),
        episodes: evaluation.episodes,
    })
}
