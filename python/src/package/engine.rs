//! Engines, and their calls on whole episodes.

use super::arrays::{Float, perhaps_by_name};
use super::episodes::{Given, TakenEpisodes};
use super::error::Result;
use super::network::Network;
use super::parameters::{Parameters, Values};
use super::process::{Birthplace, compute, forked};
use super::results::{Gradients, Outcome};
use super::whole;
use metaplastic::Want;
use metaplastic::engine::EngineKind;
use pyo3::prelude::*;
use pyo3::types::PyDict;
use std::sync::Arc;

/// What computes: the CPU, or a GPU (in float32 only).
///
/// >>> import metaplastic as mp
/// >>> mp.Engine.cpu().kind
/// 'cpu'
#[pyclass(frozen, module = "metaplastic")]
pub struct Engine {
    engine: metaplastic::Engine,
    reason: String,
    birthplace: Birthplace,
}

#[pymethods]
impl Engine {
    #[staticmethod]
    fn cpu() -> Self {
        Self::of(metaplastic::Engine::cpu(), "asked for")
    }

    #[staticmethod]
    #[pyo3(signature = (device = None))]
    fn gpu(
        py: Python<'_>,
        #[pyo3(from_py_with = whole::device)] device: Option<String>,
    ) -> Result<Self> {
        let engine = py.detach(|| metaplastic::Engine::gpu(device.as_deref()))?;
        Ok(Self::of(engine, "asked for"))
    }

    /// The one that suits so much work.
    #[staticmethod]
    #[pyo3(signature = (synapse_steps, kind = "auto", device = None))]
    fn choose(
        py: Python<'_>,
        #[pyo3(from_py_with = whole::synapse_steps)] synapse_steps: u64,
        kind: &str,
        #[pyo3(from_py_with = whole::device)] device: Option<String>,
    ) -> Result<Self> {
        let kind: EngineKind = kind.parse()?;
        let choice =
            py.detach(|| metaplastic::Engine::choose(kind, device.as_deref(), synapse_steps))?;
        Ok(Self::of(choice.engine, &choice.reason))
    }

    #[getter]
    fn kind(&self) -> &'static str {
        self.engine.kind()
    }

    #[getter]
    fn device(&self) -> String {
        self.engine.device()
    }

    #[getter]
    fn reason(&self) -> &str {
        &self.reason
    }

    fn __repr__(&self) -> String {
        format!("<Engine {}>", self.engine.device())
    }
}

impl Engine {
    pub fn of(engine: metaplastic::Engine, reason: &str) -> Self {
        Self {
            engine,
            reason: reason.to_owned(),
            birthplace: Birthplace::here(),
        }
    }

    /// The device, and why it was taken.
    pub fn describe(&self) -> String {
        format!("{}: {}", self.engine.device(), self.reason)
    }

    /// The engine in this process: what a CPU engine keeps stays with the process that it computed in.
    pub fn here(&self) -> Result<metaplastic::Engine> {
        if self.birthplace.is_here() {
            return Ok(self.engine.clone());
        }
        match self.engine.kind() {
            "cpu" => Ok(metaplastic::Engine::cpu()),
            _ => Err(forked().into()),
        }
    }
}

/// The one that is given, or the CPU.
pub fn engine_or_cpu(engine: Option<&Engine>) -> Result<metaplastic::Engine> {
    use std::sync::{Mutex, PoisonError};
    /// Kept, for the memory that it works in.
    static CPU: Mutex<Option<(Birthplace, metaplastic::Engine)>> = Mutex::new(None);
    if let Some(engine) = engine {
        return engine.here();
    }
    // The interpreter's lock is held here, so that no fork can come in between.
    let mut cpu = CPU.lock().unwrap_or_else(PoisonError::into_inner);
    match &*cpu {
        Some((birthplace, engine)) if birthplace.is_here() => Ok(engine.clone()),
        _ => {
            let engine = metaplastic::Engine::cpu();
            *cpu = Some((Birthplace::here(), engine.clone()));
            Ok(engine)
        }
    }
}

/// Runs episodes forward: `input` `[P, B, T, I]`, or `[B, T, I]` for all networks.
///
/// `target` `[P, B, T, O]` (of a softmax also classes `[P, B, T]`) and `mask` `[T]` or `[P, B, T]` give a loss. `states` are what layers
/// begin with, by name, and modulators from episodes.
#[pyfunction]
#[pyo3(signature = (network, parameters, input, *, target = None, mask = None, states = None, output = true, final_states = false, engine = None))]
#[allow(clippy::too_many_arguments)]
pub fn forward(
    py: Python<'_>,
    network: &Network,
    parameters: &Parameters,
    input: &Bound<'_, PyAny>,
    target: Option<&Bound<'_, PyAny>>,
    mask: Option<&Bound<'_, PyAny>>,
    #[pyo3(from_py_with = perhaps_by_name)] states: Option<Bound<'_, PyDict>>,
    output: bool,
    final_states: bool,
    engine: Option<&Engine>,
) -> Result<Outcome> {
    let given = Given {
        input: Some(input),
        target,
        mask,
        states: states.as_ref(),
        ..Given::default()
    };
    let want = wanted(output, false, final_states);
    let engine = engine_or_cpu(engine)?;
    match &parameters.0 {
        Values::Single(it) => forward_in(py, &network.0, it, given, want, &engine),
        Values::Double(it) => forward_in(py, &network.0, it, given, want, &engine),
    }
}

fn forward_in<R: Float>(
    py: Python<'_>,
    network: &metaplastic::Network,
    parameters: &metaplastic::Parameters<R>,
    given: Given<'_, '_>,
    want: Want,
    engine: &metaplastic::Engine,
) -> Result<Outcome> {
    let taken = TakenEpisodes::<R>::of(network, given)?;
    let episodes = taken.views()?;
    let outcome = compute(py, || engine.forward(network, parameters, &episodes, want))??;
    Outcome::of(py, outcome)
}

/// Runs episodes forward and takes the gradient of the network's loss, or of `Σ output_gradient · output`.
///
/// Arrays are those of `forward`. `output_gradient` is `[P, B, T, O]`; `state_gradients` are gradients on the states after the last
/// step, by name. The result has `loss`, `output`, `parameters`, and `input`, `states`, `given` where they are wanted or given.
#[pyfunction]
#[pyo3(signature = (network, parameters, input, *, target = None, mask = None, output_gradient = None, states = None, state_gradients = None, output = true, input_gradient = false, final_states = false, engine = None))]
#[allow(clippy::too_many_arguments)]
pub fn gradient(
    py: Python<'_>,
    network: &Network,
    parameters: &Parameters,
    input: &Bound<'_, PyAny>,
    target: Option<&Bound<'_, PyAny>>,
    mask: Option<&Bound<'_, PyAny>>,
    output_gradient: Option<&Bound<'_, PyAny>>,
    #[pyo3(from_py_with = perhaps_by_name)] states: Option<Bound<'_, PyDict>>,
    #[pyo3(from_py_with = perhaps_by_name)] state_gradients: Option<Bound<'_, PyDict>>,
    output: bool,
    input_gradient: bool,
    final_states: bool,
    engine: Option<&Engine>,
) -> Result<Gradients> {
    let given = Given {
        input: Some(input),
        target,
        mask,
        output_gradient,
        states: states.as_ref(),
        state_gradients: state_gradients.as_ref(),
    };
    let want = wanted(output, input_gradient, final_states);
    let engine = engine_or_cpu(engine)?;
    match &parameters.0 {
        Values::Single(it) => gradient_in(py, &network.0, it, given, want, &engine),
        Values::Double(it) => gradient_in(py, &network.0, it, given, want, &engine),
    }
}

fn gradient_in<R: Float>(
    py: Python<'_>,
    network: &Arc<metaplastic::Network>,
    parameters: &metaplastic::Parameters<R>,
    given: Given<'_, '_>,
    want: Want,
    engine: &metaplastic::Engine,
) -> Result<Gradients>
where
    Values: From<metaplastic::Parameters<R>>,
{
    let taken = TakenEpisodes::<R>::of(network, given)?;
    let episodes = taken.views()?;
    let gradients = compute(py, || engine.gradient(network, parameters, &episodes, want))??;
    Gradients::of(py, gradients, network)
}

/// Results beyond the loss and the gradients of the parameters.
pub fn wanted(output: bool, input_gradient: bool, final_states: bool) -> Want {
    let want = Want::NOTHING;
    let want = if output { want.output() } else { want };
    let want = if input_gradient {
        want.input_gradient()
    } else {
        want
    };
    if final_states {
        want.final_traces()
    } else {
        want
    }
}
