//! Networks that an engine keeps between calls.

use super::arrays::{TakenDynamics, by_name, give, give_dynamics, perhaps_by_name, take};
use super::engine::{Engine, engine_or_cpu, wanted};
use super::episodes::{Given, TakenEpisodes, TakenUpstream};
use super::error::{Result, out_of_turn};
use super::learner::read_optimisers;
use super::network::Network;
use super::parameters::{Parameters, Values, of_flat};
use super::process::{Birthplace, compute, forked};
use super::results::{Gradients, Outcome};
use super::state::{give_state, take_state};
use super::turns::{Turn, Turns};
use super::whole;
use metaplastic::Extent;
use pyo3::prelude::*;
use pyo3::types::PyDict;
use std::sync::Arc;

/// Of either precision.
enum Kept {
    Single(Box<metaplastic::Session<f32>>),
    Double(Box<metaplastic::Session<f64>>),
}

/// Networks with their parameters on an engine, and room for `batch` episodes of `steps` steps.
///
/// Episodes run forward now, and are differentiated later, with a gradient on the outputs that the caller computes: all steps
/// at once, or `step_by_step`. With an `optimiser` they `learn`. Every number is that of `gradient`, bit for bit.
///
/// >>> import metaplastic as mp, numpy as np
/// >>> network = mp.Network([mp.Plastic(3, 2, rate=0.1)])
/// >>> parameters = mp.Parameters.initialise(network)
/// >>> with mp.Session(network, parameters, batch=4, steps=10) as session:
/// ...     output = session.forward(np.ones((4, 10, 3))).output     # [P, B, T, O]
/// ...     gradients = session.backward(2 * output)
/// >>> gradients.parameters["layer0.weight"].shape
/// (1, 2, 3)
#[pyclass(frozen, module = "metaplastic", weakref)]
pub struct Session {
    /// None once it is closed.
    kept: Turns<Option<Kept>>,
    network: Arc<metaplastic::Network>,
    extent: Extent,
    population: usize,
    engine: &'static str,
    birthplace: Birthplace,
}

/// Runs an expression on the session, in its precision.
macro_rules! in_session {
    ($this:expr, $py:expr, $session:ident => $body:expr) => {{
        let mut kept = $this.kept($py)?;
        match kept.as_mut().expect("it is looked at before") {
            Kept::Single($session) => $body,
            Kept::Double($session) => $body,
        }
    }};
}

impl Session {
    fn kept(&self, py: Python<'_>) -> Result<Turn<'_, Option<Kept>>> {
        if self.engine != "cpu" && !self.birthplace.is_here() {
            return Err(forked().into());
        }
        let kept = self.kept.take(py)?;
        match kept.is_some() {
            true => Ok(kept),
            false => Err(out_of_turn("session", "closed: open a new one").into()),
        }
    }
}

#[pymethods]
impl Session {
    #[new]
    #[pyo3(signature = (network, parameters, batch, steps, *, step_by_step = false, initial_states = false, state_gradients = false, output = true, input_gradient = false, final_states = false, keep_states = false, optimiser = None, engine = None))]
    #[allow(clippy::too_many_arguments)]
    fn new(
        py: Python<'_>,
        network: &Network,
        parameters: &Parameters,
        #[pyo3(from_py_with = whole::batch)] batch: usize,
        #[pyo3(from_py_with = whole::steps)] steps: usize,
        step_by_step: bool,
        initial_states: bool,
        state_gradients: bool,
        output: bool,
        input_gradient: bool,
        final_states: bool,
        keep_states: bool,
        optimiser: Option<&Bound<'_, PyAny>>,
        engine: Option<&Engine>,
    ) -> Result<Self> {
        let mut extent = Extent::new(batch, steps);
        extent.step_by_step = step_by_step;
        extent.initial_states = initial_states;
        extent.state_gradients = state_gradients;
        extent.keep_states = keep_states;
        extent.want = wanted(output, input_gradient, final_states);
        let optimisers = optimiser.map(read_optimisers).transpose()?;
        let engine = engine_or_cpu(engine)?;
        let network = &network.0;
        let kept = match &parameters.0 {
            Values::Single(it) => Kept::Single(Box::new(compute(py, || match &optimisers {
                Some(optimisers) => engine.learning_session(network, it, optimisers, extent),
                None => engine.session(network, it, extent),
            })??)),
            Values::Double(it) => Kept::Double(Box::new(compute(py, || match &optimisers {
                Some(optimisers) => engine.learning_session(network, it, optimisers, extent),
                None => engine.session(network, it, extent),
            })??)),
        };
        let population = match &kept {
            Kept::Single(session) => session.population(),
            Kept::Double(session) => session.population(),
        };
        Ok(Self {
            kept: Turns::new("session", Some(kept)),
            network: network.clone(),
            extent,
            population,
            engine: engine.kind(),
            birthplace: Birthplace::here(),
        })
    }

    /// Gives its memory back. Closing it again does nothing.
    fn close(&self, py: Python<'_>) -> Result<()> {
        self.kept.take(py)?.take();
        Ok(())
    }

    #[getter]
    fn closed(&self, py: Python<'_>) -> Result<bool> {
        Ok(self.kept.take(py)?.is_none())
    }

    fn __enter__(this: Py<Self>) -> Py<Self> {
        this
    }

    #[pyo3(signature = (*_exception))]
    fn __exit__(&self, py: Python<'_>, _exception: &Bound<'_, pyo3::types::PyTuple>) -> Result<()> {
        self.close(py)
    }

    #[getter]
    fn batch(&self) -> usize {
        self.extent.batch
    }

    #[getter]
    fn population(&self) -> usize {
        self.population
    }

    /// Steps that the present episodes have run.
    #[getter]
    fn steps(&self, py: Python<'_>) -> Result<usize> {
        in_session!(self, py, session => Ok(session.steps()))
    }

    #[getter]
    fn parameters(&self, py: Python<'_>) -> Result<Parameters> {
        in_session!(self, py, session => {
            let session = &mut **session;
            Ok(Parameters::of(compute(py, move || session.parameters())??, &self.network))
        })
    }

    fn set_parameters(&self, py: Python<'_>, parameters: &Parameters) -> Result<()> {
        let mut kept = self.kept(py)?;
        match (
            kept.as_mut().expect("it is looked at before"),
            &parameters.0,
        ) {
            (Kept::Single(session), Values::Single(it)) => {
                Ok(compute(py, || session.set_parameters(it))??)
            }
            (Kept::Double(session), Values::Double(it)) => {
                Ok(compute(py, || session.set_parameters(it))??)
            }
            _ => Err(other_precision("parameters", "session").into()),
        }
    }

    /// Runs whole new episodes forward; first sets the parameters, if `flat` has them as they lie together, `[P, parameters of one
    /// network]`.
    #[pyo3(signature = (input, states = None, flat = None))]
    fn forward(
        &self,
        py: Python<'_>,
        input: &Bound<'_, PyAny>,
        #[pyo3(from_py_with = perhaps_by_name)] states: Option<Bound<'_, PyDict>>,
        flat: Option<&Bound<'_, PyAny>>,
    ) -> Result<Outcome> {
        let given = Given {
            input: Some(input),
            states: states.as_ref(),
            ..Given::default()
        };
        in_session!(self, py, session => {
            let taken = TakenEpisodes::of(&self.network, given)?;
            let episodes = taken.views()?;
            let parameters = flat.map(|flat| of_flat(&self.network, flat)).transpose()?;
            // Both at once: to wake the engine's threads takes longer than to set parameters.
            let outcome = compute(py, || {
                if let Some(parameters) = &parameters {
                    session.set_parameters(parameters)?;
                }
                session.forward(&episodes)
            });
            Outcome::of(py, outcome??)
        })
    }

    /// Begins new episodes, to be run step by step.
    #[pyo3(signature = (states = None))]
    fn begin(
        &self,
        py: Python<'_>,
        #[pyo3(from_py_with = perhaps_by_name)] states: Option<Bound<'_, PyDict>>,
    ) -> Result<()> {
        in_session!(self, py, session => match states {
            None => {
                session.begin();
                Ok(())
            }
            Some(_) => {
                let taken = TakenDynamics::of("states", states.as_ref())?;
                let states = taken.views();
                Ok(compute(py, || session.begin_from(&states))??)
            }
        })
    }

    /// One step of all episodes.
    #[pyo3(signature = (input, modulators = None))]
    fn step(
        &self,
        py: Python<'_>,
        input: &Bound<'_, PyAny>,
        #[pyo3(from_py_with = perhaps_by_name)] modulators: Option<Bound<'_, PyDict>>,
    ) -> Result<Py<PyAny>> {
        in_session!(self, py, session => {
            let input = take("input", input)?;
            let input = input.step("[P, B, I]")?;
            let modulators = TakenDynamics::of("modulators", modulators.as_ref())?;
            let modulators = modulators.views();
            let output = compute(py, || session.modulated_step(input, &modulators))??;
            Ok(give(py, output))
        })
    }

    /// Traces and activities after the last step that was run, of a session with `keep_states` or `final_states`.
    #[getter]
    fn states(&self, py: Python<'_>) -> Result<Py<PyDict>> {
        in_session!(self, py, session => {
            let session = &mut **session;
            give_dynamics(py, compute(py, move || session.states())??)
        })
    }

    #[pyo3(signature = (output_gradient = None, state_gradients = None))]
    fn backward(
        &self,
        py: Python<'_>,
        output_gradient: Option<&Bound<'_, PyAny>>,
        #[pyo3(from_py_with = perhaps_by_name)] state_gradients: Option<Bound<'_, PyDict>>,
    ) -> Result<Gradients> {
        in_session!(self, py, session => {
            let taken = TakenUpstream::of(output_gradient, state_gradients.as_ref())?;
            let upstream = taken.views()?;
            Gradients::of(py, compute(py, || session.backward(upstream))??, &self.network)
        })
    }

    #[pyo3(signature = (output_gradient = None, state_gradients = None))]
    fn learn(
        &self,
        py: Python<'_>,
        output_gradient: Option<&Bound<'_, PyAny>>,
        #[pyo3(from_py_with = perhaps_by_name)] state_gradients: Option<Bound<'_, PyDict>>,
    ) -> Result<Gradients> {
        in_session!(self, py, session => {
            let taken = TakenUpstream::of(output_gradient, state_gradients.as_ref())?;
            let upstream = taken.views()?;
            Gradients::of_episodes(py, compute(py, || session.learn(upstream))??)
        })
    }

    /// One update with the caller's gradients.
    fn apply(&self, py: Python<'_>, gradients: &Parameters) -> Result<()> {
        let mut kept = self.kept(py)?;
        match (kept.as_mut().expect("it is looked at before"), &gradients.0) {
            (Kept::Single(session), Values::Single(it)) => Ok(compute(py, || session.apply(it))??),
            (Kept::Double(session), Values::Double(it)) => Ok(compute(py, || session.apply(it))??),
            _ => Err(other_precision("gradients", "session").into()),
        }
    }

    /// Everything that the networks are in training, as arrays by name: as a learner's.
    fn training_state(&self, py: Python<'_>) -> Result<Py<PyDict>> {
        in_session!(self, py, session => {
            let session = &mut **session;
            give_state(py, compute(py, move || session.state())??)
        })
    }

    /// Goes on from there. Episodes that are under way are given up.
    fn set_training_state(
        &self,
        py: Python<'_>,
        #[pyo3(from_py_with = by_name)] state: Bound<'_, PyDict>,
    ) -> Result<()> {
        in_session!(self, py, session => {
            let state = take_state(&self.network, &state)?;
            Ok(compute(py, || session.set_state(&state))??)
        })
    }

    /// Networks that stopped learning: index, episodes seen before, and the tensor that was not finite.
    #[getter]
    fn failures(&self, py: Python<'_>) -> Result<Vec<(usize, u64, String)>> {
        in_session!(self, py, session => Ok(super::learner::failures(session.failures()?)))
    }

    fn __repr__(&self) -> String {
        let Extent { batch, steps, .. } = self.extent;
        format!(
            "<Session of {} networks, {batch} episodes, {steps} steps>",
            self.population
        )
    }
}

/// What is said of values in another precision than `of`.
pub fn other_precision(name: &str, of: &str) -> metaplastic::Error {
    metaplastic::Error::OtherNetwork {
        name: name.to_owned(),
        reason: format!("they are of another precision than the {of}: give them with `astype`"),
    }
}
