//! Networks.

use super::error::{Result, setting};
use super::settings;
use metaplastic::network::ModulatorFrom;
use metaplastic::parameters::Layout;
use metaplastic::{Layer, Loss};
use pyo3::prelude::*;
use pyo3::types::PyDict;
use std::sync::Arc;

/// A stack of layers and the loss on its output: "none", "squared-error" or "softmax-cross-entropy".
///
/// >>> import metaplastic as mp
/// >>> network = mp.Network([mp.Plastic(10, 8, activation="tanh"), mp.Dense(8, 2)], loss="squared-error")
/// >>> mp.Network.from_toml(network.to_toml()) == network
/// True
/// >>> network.tensors["layer0.weight"]
/// ((8, 10), True)
/// >>> network.states
/// {'layer0.trace': (8, 10)}
#[pyclass(frozen, module = "metaplastic", eq)]
#[derive(PartialEq)]
pub struct Network(pub Arc<metaplastic::Network>);

#[pymethods]
impl Network {
    #[new]
    #[pyo3(signature = (layers, loss = "none"))]
    fn new(layers: &Bound<'_, PyAny>, loss: &str) -> Result<Self> {
        let loss: Loss = loss.parse()?;
        let mut read = Vec::new();
        for layer in layers.try_iter()? {
            let name = format!("layer{}", read.len());
            let table = settings::of_object(&name, &layer?)?;
            read.push(settings::read::<Layer>(&name, table)?);
        }
        Ok(Self(Arc::new(metaplastic::Network::new(loss, read)?)))
    }

    #[staticmethod]
    #[pyo3(signature = (text, origin = "network"))]
    fn from_toml(text: &str, origin: &str) -> Result<Self> {
        let network = metaplastic::Network::from_toml(text, origin)?;
        Ok(Self(Arc::new(network)))
    }

    fn to_toml(&self) -> String {
        self.0.to_toml()
    }

    #[getter]
    fn loss(&self) -> &'static str {
        self.0.loss().name()
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
    fn synapses(&self) -> usize {
        self.0.synapses()
    }

    /// Names of the parameter tensors in their order, each with its shape for one network and whether it is learned.
    #[getter]
    fn tensors<'py>(&self, py: Python<'py>) -> Result<Bound<'py, PyDict>> {
        let tensors = PyDict::new(py);
        for tensor in Layout::new(&self.0)?.tensors() {
            let shape = pyo3::types::PyTuple::new(py, &tensor.shape)?;
            tensors.set_item(tensor.name(), (shape, tensor.learned))?;
        }
        Ok(tensors)
    }

    /// Names of what goes on from step to step (`layer0.trace`), each with its shape for one episode.
    #[getter]
    fn states<'py>(&self, py: Python<'py>) -> Result<Bound<'py, PyDict>> {
        let states = PyDict::new(py);
        for (layer, state, shape) in self.0.states() {
            let name = format!("layer{layer}.{state}");
            states.set_item(name, pyo3::types::PyTuple::new(py, &shape)?)?;
        }
        Ok(states)
    }

    /// Names of the modulators that episodes are given (`layer0.modulator`).
    #[getter]
    fn given_modulators(&self) -> Vec<String> {
        let layers = self.0.layers().iter().enumerate();
        let from = ModulatorFrom::Episodes;
        let given = layers.filter(|(_, layer)| is_modulated_from(layer, from));
        given
            .map(|(index, _)| format!("layer{index}.modulator"))
            .collect()
    }

    fn __repr__(&self) -> String {
        let layers = self.0.layers().iter();
        let sizes: Vec<_> = layers.map(|layer| layer.outputs().to_string()).collect();
        let (inputs, loss) = (self.0.inputs(), self.0.loss());
        format!("<Network {inputs} → {}, loss {loss}>", sizes.join(" → "))
    }

    fn __reduce__(&self, py: Python<'_>) -> PyResult<(Py<PyAny>, (String,))> {
        let class = py.get_type::<Self>();
        Ok((class.getattr("from_toml")?.unbind(), (self.to_toml(),)))
    }
}

pub fn is_modulated_from(layer: &Layer, from: ModulatorFrom) -> bool {
    let plastic = layer.as_plastic().filter(|plastic| plastic.has_trace());
    let modulation = plastic.and_then(|plastic| plastic.modulation);
    modulation.is_some_and(|it| it.from == from)
}

/// The engine's choice of a precision, by its NumPy name.
pub fn is_double(dtype: &Bound<'_, PyAny>) -> Result<bool> {
    let py = dtype.py();
    let name = py.import("numpy")?.call_method1("dtype", (dtype,))?;
    let name: String = name.getattr("name")?.extract()?;
    match name.as_str() {
        "float32" => Ok(false),
        "float64" => Ok(true),
        other => Err(setting("dtype", format!("{other}, expected float32 or float64")).into()),
    }
}
