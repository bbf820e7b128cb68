//! What calls return.

use super::arrays::{Float, give, give_dynamics};
use super::error::Result;
use super::parameters::{Parameters, Values};
use metaplastic::engine::{self, EpisodeGradients};
use pyo3::prelude::*;
use pyo3::types::PyDict;
use std::sync::Arc;

/// What the networks did.
#[pyclass(frozen, get_all, module = "metaplastic", subclass)]
pub struct Outcome {
    loss: Option<Py<PyAny>>,
    output: Option<Py<PyAny>>,
    states: Py<PyDict>,
}

impl Outcome {
    pub fn of<R: Float>(py: Python<'_>, outcome: engine::Outcome<R>) -> Result<Self> {
        Ok(Self {
            loss: outcome.loss.map(|loss| give(py, loss)),
            output: outcome.output.map(|output| give(py, output)),
            states: give_dynamics(py, outcome.finals)?,
        })
    }
}

/// What the networks did, and every gradient.
#[pyclass(frozen, get_all, module = "metaplastic")]
pub struct Gradients {
    loss: Option<Py<PyAny>>,
    output: Option<Py<PyAny>>,
    states: Py<PyDict>,
    /// None of a session that has learned.
    parameters: Option<Py<Parameters>>,
    input: Option<Py<PyAny>>,
    given: Py<PyDict>,
}

impl Gradients {
    pub fn of<R: Float>(
        py: Python<'_>,
        gradients: engine::Gradients<R>,
        network: &Arc<metaplastic::Network>,
    ) -> Result<Self>
    where
        Values: From<metaplastic::Parameters<R>>,
    {
        let Outcome {
            loss,
            output,
            states,
        } = Outcome::of(py, gradients.outcome)?;
        Ok(Self {
            loss,
            output,
            states,
            parameters: Some(Py::new(py, Parameters::of(gradients.parameters, network))?),
            input: gradients.input.map(|input| give(py, input)),
            given: give_dynamics(py, gradients.given)?,
        })
    }

    pub fn of_episodes<R: Float>(py: Python<'_>, gradients: EpisodeGradients<R>) -> Result<Self> {
        Ok(Self {
            loss: None,
            output: None,
            states: PyDict::new(py).unbind(),
            parameters: None,
            input: gradients.input.map(|input| give(py, input)),
            given: give_dynamics(py, gradients.given)?,
        })
    }
}

fn described(py: Python<'_>, name: &str, parts: &[(&str, Option<&Py<PyAny>>)]) -> PyResult<String> {
    let mut described = Vec::new();
    for (part, array) in parts {
        if let Some(array) = array {
            described.push(format!("{part}: {}", array.bind(py).getattr("shape")?));
        }
    }
    Ok(format!("<{name} {}>", described.join(", ")))
}

#[pymethods]
impl Outcome {
    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        let (loss, output) = (self.loss.as_ref(), self.output.as_ref());
        described(py, "Outcome", &[("loss", loss), ("output", output)])
    }
}

#[pymethods]
impl Gradients {
    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        let (loss, output) = (self.loss.as_ref(), self.output.as_ref());
        let parts = [
            ("loss", loss),
            ("output", output),
            ("input", self.input.as_ref()),
        ];
        described(py, "Gradients", &parts)
    }
}
