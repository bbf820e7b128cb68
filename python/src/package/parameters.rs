//! Parameters of a population, which do not change: what learns makes others.

use super::arrays::{Float, by_name, lend, take};
use super::error::{Result, setting};
use super::network::{Network, is_double};
use super::settings;
use super::whole;
use metaplastic::parameters::{Initial, Tensor};
use metaplastic::tensors::{
    parameters_from_bytes, parameters_to_bytes, read_parameters_with, write_parameters_with,
};
use metaplastic::{Error, ndarray::ArrayView2};
use pyo3::exceptions::PyKeyError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyList, PyTuple};
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

/// Of either precision.
pub enum Values {
    Single(metaplastic::Parameters<f32>),
    Double(metaplastic::Parameters<f64>),
}

/// Runs an expression in the precision of some values.
macro_rules! in_precision {
    ($values:expr, $parameters:ident => $body:expr) => {
        match $values {
            Values::Single($parameters) => $body,
            Values::Double($parameters) => $body,
        }
    };
}

impl From<metaplastic::Parameters<f32>> for Values {
    fn from(parameters: metaplastic::Parameters<f32>) -> Self {
        Self::Single(parameters)
    }
}

impl From<metaplastic::Parameters<f64>> for Values {
    fn from(parameters: metaplastic::Parameters<f64>) -> Self {
        Self::Double(parameters)
    }
}

/// What the networks of a population have learned, or its gradient: a mapping from names to arrays `[P, …]`.
///
/// Parameters do not change, so that views of them are no copies; what learns makes others.
///
/// >>> import metaplastic as mp, numpy as np
/// >>> network = mp.Network([mp.Plastic(3, 2, rate=0.1)])
/// >>> parameters = mp.Parameters(network, {
/// ...     "layer0.weight": np.zeros((4, 2, 3)),
/// ...     "layer0.plasticity": np.ones((4, 2, 3)),
/// ...     "layer0.bias": np.zeros((4, 2)),
/// ... })
/// >>> parameters.population, parameters["layer0.rate"].shape, parameters.flat.shape
/// (4, (4,), (4, 15))
/// >>> other = mp.Parameters(network, {**parameters, "layer0.bias": np.ones((4, 2))})
#[pyclass(frozen, module = "metaplastic", mapping)]
pub struct Parameters(pub Values, Arc<metaplastic::Network>);

impl Parameters {
    pub fn of(values: impl Into<Values>, network: &Arc<metaplastic::Network>) -> Self {
        Self(values.into(), network.clone())
    }

    fn find(&self, name: &str) -> Option<&Tensor> {
        in_precision!(&self.0, it => it.layout().tensors().iter().find(|it| it.name() == name))
    }

    fn tensors(&self) -> &[Tensor] {
        in_precision!(&self.0, it => it.layout().tensors())
    }
}

/// The parameters of `tensors`, by name; what is missing and has a value in the description has that.
fn of_tensors<R: Float>(
    network: &metaplastic::Network,
    given: &Bound<'_, PyDict>,
) -> Result<metaplastic::Parameters<R>> {
    let mut taken = HashMap::new();
    for (name, array) in given {
        let name: String = name.str()?.extract()?;
        let array = take::<R>(&name, &array)?;
        taken.insert(name, array);
    }
    let one = metaplastic::Parameters::<R>::new(network, 1)?;
    let tensors = one.layout().tensors();
    let axes = |tensor: &Tensor| -> String {
        let sizes = tensor.shape.iter().map(ToString::to_string);
        let axes: Vec<_> = ["P".to_owned()].into_iter().chain(sizes).collect();
        format!("[{}]", axes.join(", "))
    };
    // Of one network, or of as many as the first tensor has.
    let mut population = None;
    for tensor in tensors {
        let name = tensor.name();
        let Some(array) = taken.get(&name) else {
            let has_value = matches!(
                tensor.role,
                metaplastic::Role::Rate
                    | metaplastic::Role::Coefficient
                    | metaplastic::Role::FanOutWeight
                    | metaplastic::Role::FanOutBias
            );
            if !has_value {
                let expected = axes(tensor);
                return Err(Error::MissingTensor { name, expected }.into());
            }
            continue;
        };
        let shape = array.shape();
        let (networks, own) = match shape.len() == tensor.shape.len() {
            true => (1, shape),
            false => (
                shape.first().copied().unwrap_or(0),
                shape.get(1..).unwrap_or(&[]),
            ),
        };
        if own != tensor.shape || population.is_some_and(|it| it != networks) || networks == 0 {
            let expected = match population {
                Some(networks) => axes(tensor).replacen('P', &format!("P = {networks}"), 1),
                None => axes(tensor),
            };
            return Err(Error::Shape {
                name,
                expected: format!("{expected}, or without P of one network"),
                actual: shape.to_vec(),
            }
            .into());
        }
        population = Some(networks);
    }
    if let Some(name) = taken
        .keys()
        .filter(|name| !tensors.iter().any(|tensor| tensor.name() == **name))
        .min()
    {
        let known: Vec<_> = tensors.iter().map(Tensor::name).collect();
        return Err(Error::UnknownTensor {
            name: name.clone(),
            known: known.join(", "),
        }
        .into());
    }
    let mut parameters = metaplastic::Parameters::<R>::new(network, population.unwrap_or(1))?;
    for tensor in tensors {
        if let Some(array) = taken.get(&tensor.name()) {
            let mut to = parameters.tensor_mut(tensor);
            let from = array.view();
            let shape = to.raw_dim();
            to.assign(&from.to_shape(shape).expect("its shape was looked at"));
        }
    }
    Ok(parameters)
}

/// The parameters whose values are `[P, parameters of one network]`.
pub fn of_flat<R: Float>(
    network: &metaplastic::Network,
    flat: &Bound<'_, PyAny>,
) -> Result<metaplastic::Parameters<R>> {
    let flat = take::<R>("parameters", flat)?;
    let size = metaplastic::parameters::Layout::new(network)?.size();
    let population = match *flat.shape() {
        [population, found] if found == size => population,
        _ => {
            return Err(Error::Shape {
                name: "parameters".to_owned(),
                expected: format!("[P, {size}]"),
                actual: flat.shape().to_vec(),
            }
            .into());
        }
    };
    let mut parameters = metaplastic::Parameters::<R>::new(network, population)?;
    let view = flat.view();
    match view.as_slice() {
        Some(values) => parameters.values_mut().copy_from_slice(values),
        None => {
            for (to, &from) in parameters.values_mut().iter_mut().zip(&view) {
                *to = from;
            }
        }
    }
    Ok(parameters)
}

/// What makes them anew, and what that is given: a network, the values, and their precision.
type Reduced<'py> = (Bound<'py, PyAny>, (Network, Bound<'py, PyAny>, Py<PyAny>));

#[pymethods]
impl Parameters {
    #[new]
    #[pyo3(signature = (network, tensors, dtype = None))]
    fn new(
        network: &Network,
        #[pyo3(from_py_with = by_name)] tensors: Bound<'_, PyDict>,
        dtype: Option<&Bound<'_, PyAny>>,
    ) -> Result<Self> {
        Ok(match wants_double(dtype)? {
            false => Self::of(of_tensors::<f32>(&network.0, &tensors)?, &network.0),
            true => Self::of(of_tensors::<f64>(&network.0, &tensors)?, &network.0),
        })
    }

    /// Random ones.
    #[staticmethod]
    #[pyo3(signature = (network, population = 1, seed = 0, *, dtype = None, **initial))]
    fn initialise(
        network: &Network,
        #[pyo3(from_py_with = whole::population)] population: usize,
        #[pyo3(from_py_with = whole::seed)] seed: u64,
        dtype: Option<&Bound<'_, PyAny>>,
        initial: Option<&Bound<'_, PyDict>>,
    ) -> Result<Self> {
        let (network, initial) = (&network.0, read_initial(initial)?);
        use metaplastic::Parameters;
        Ok(match wants_double(dtype)? {
            false => Self::of(
                Parameters::<f32>::initialise(network, &initial, population, seed)?,
                network,
            ),
            true => Self::of(
                Parameters::<f64>::initialise(network, &initial, population, seed)?,
                network,
            ),
        })
    }

    /// From values that lie together.
    #[staticmethod]
    #[pyo3(signature = (network, flat, dtype = None))]
    fn from_flat(
        network: &Network,
        flat: &Bound<'_, PyAny>,
        dtype: Option<&Bound<'_, PyAny>>,
    ) -> Result<Self> {
        Ok(match wants_double(dtype)? {
            false => Self::of(of_flat::<f32>(&network.0, flat)?, &network.0),
            true => Self::of(of_flat::<f64>(&network.0, flat)?, &network.0),
        })
    }

    #[getter]
    fn population(&self) -> usize {
        in_precision!(&self.0, it => it.population())
    }

    #[getter]
    pub fn dtype<'py>(&self, py: Python<'py>) -> Bound<'py, numpy::PyArrayDescr> {
        match self.0 {
            Values::Single(_) => numpy::dtype::<f32>(py),
            Values::Double(_) => numpy::dtype::<f64>(py),
        }
    }

    /// All values, `[P, parameters of one network]`.
    #[getter]
    #[allow(unsafe_code)]
    fn flat<'py>(this: &Bound<'py, Self>) -> Result<Bound<'py, PyAny>> {
        in_precision!(&this.get().0, it => {
            let shape = (it.population(), it.layout().size());
            let view = ArrayView2::from_shape(shape, it.values()).expect("they are as many");
            // SAFETY: the class is frozen, and hands out nothing that changes its values.
            unsafe { lend(&view, this.clone().into_any()) }
        })
    }

    #[allow(unsafe_code)]
    fn __getitem__<'py>(this: &Bound<'py, Self>, name: &str) -> Result<Bound<'py, PyAny>> {
        let Some(tensor) = this.get().find(name) else {
            return Err(PyKeyError::new_err(name.to_owned()).into());
        };
        in_precision!(&this.get().0, it => {
            // SAFETY: the class is frozen, and hands out nothing that changes its values.
            unsafe { lend(&it.tensor(tensor), this.clone().into_any()) }
        })
    }

    #[pyo3(signature = (name, default = None))]
    fn get<'py>(
        this: &Bound<'py, Self>,
        name: &str,
        default: Option<Bound<'py, PyAny>>,
    ) -> Result<Option<Bound<'py, PyAny>>> {
        match this.get().find(name) {
            Some(_) => Self::__getitem__(this, name).map(Some),
            None => Ok(default),
        }
    }

    fn __len__(&self) -> usize {
        self.tensors().len()
    }

    fn __contains__(&self, name: &Bound<'_, PyAny>) -> bool {
        let name = name.extract::<String>();
        name.is_ok_and(|name| self.find(&name).is_some())
    }

    fn keys(&self) -> Vec<String> {
        self.tensors().iter().map(Tensor::name).collect()
    }

    fn __iter__<'py>(&self, py: Python<'py>) -> Result<Bound<'py, PyAny>> {
        Ok(PyList::new(py, self.keys())?
            .into_any()
            .try_iter()?
            .into_any())
    }

    fn values<'py>(this: &Bound<'py, Self>) -> Result<Vec<Bound<'py, PyAny>>> {
        let names = this.get().keys().into_iter();
        names.map(|name| Self::__getitem__(this, &name)).collect()
    }

    fn items<'py>(this: &Bound<'py, Self>) -> Result<Vec<(String, Bound<'py, PyAny>)>> {
        let names = this.get().keys().into_iter();
        let item = |name: String| Ok((name.clone(), Self::__getitem__(this, &name)?));
        names.map(item).collect()
    }

    /// Networks `start` to `stop` alone.
    fn networks(
        &self,
        #[pyo3(from_py_with = whole::start)] start: usize,
        #[pyo3(from_py_with = whole::stop)] stop: usize,
    ) -> Result<Self> {
        let population = self.population();
        if start >= stop || stop > population {
            let reason = format!("{start} to {stop} of a population of {population}");
            return Err(setting("networks", reason).into());
        }
        let some = match &self.0 {
            Values::Single(it) => Values::from(it.slice(start..stop)),
            Values::Double(it) => Values::from(it.slice(start..stop)),
        };
        Ok(Self::of(some, &self.1))
    }

    /// The population `times` over.
    fn repeat(&self, #[pyo3(from_py_with = whole::times)] times: usize) -> Result<Self> {
        let several = match &self.0 {
            Values::Single(it) => Values::from(it.repeat(times)?),
            Values::Double(it) => Values::from(it.repeat(times)?),
        };
        Ok(Self::of(several, &self.1))
    }

    /// In another precision.
    fn astype(&self, dtype: &Bound<'_, PyAny>) -> Result<Self> {
        Ok(match is_double(dtype)? {
            false => Self::of(in_precision!(&self.0, it => it.cast::<f32>()), &self.1),
            true => Self::of(in_precision!(&self.0, it => it.cast::<f64>()), &self.1),
        })
    }

    /// Into a safetensors file.
    #[pyo3(signature = (path, metadata = None))]
    fn write(&self, path: PathBuf, metadata: Option<HashMap<String, String>>) -> Result<()> {
        let metadata = metadata.unwrap_or_default();
        Ok(in_precision!(&self.0, it => write_parameters_with(path, it, metadata))?)
    }

    /// From a safetensors file.
    #[staticmethod]
    #[pyo3(signature = (path, network, dtype = None))]
    fn read(path: PathBuf, network: &Network, dtype: Option<&Bound<'_, PyAny>>) -> Result<Self> {
        Ok(match wants_double(dtype)? {
            false => Self::of(read_parameters_with::<f32>(path, &network.0)?.0, &network.0),
            true => Self::of(read_parameters_with::<f64>(path, &network.0)?.0, &network.0),
        })
    }

    /// As the bytes of such a file.
    #[pyo3(signature = (metadata = None))]
    fn to_bytes<'py>(
        &self,
        py: Python<'py>,
        metadata: Option<HashMap<String, String>>,
    ) -> Result<Bound<'py, PyBytes>> {
        let metadata = metadata.unwrap_or_default();
        let bytes = in_precision!(&self.0, it => parameters_to_bytes(it, metadata))?;
        Ok(PyBytes::new(py, &bytes))
    }

    /// From the bytes of such a file.
    #[staticmethod]
    #[pyo3(signature = (bytes, network, dtype = None))]
    fn from_bytes(
        bytes: &[u8],
        network: &Network,
        dtype: Option<&Bound<'_, PyAny>>,
    ) -> Result<Self> {
        Ok(match wants_double(dtype)? {
            false => Self::of(
                parameters_from_bytes::<f32>(bytes, &network.0)?.0,
                &network.0,
            ),
            true => Self::of(
                parameters_from_bytes::<f64>(bytes, &network.0)?.0,
                &network.0,
            ),
        })
    }

    /// As its values and its network, which may be copied, pickled and sent to other processes.
    fn __reduce__<'py>(this: &Bound<'py, Self>) -> Result<Reduced<'py>> {
        let (py, own) = (this.py(), this.get());
        let make = this.get_type().getattr("from_flat")?;
        let dtype = own.dtype(py).into_any().unbind();
        Ok((make, (Network(own.1.clone()), Self::flat(this)?, dtype)))
    }

    fn __repr__(&self, py: Python<'_>) -> String {
        let shapes = self.tensors().iter().map(|tensor| {
            let shape = PyTuple::new(py, &tensor.shape);
            format!(
                "{}: {}",
                tensor.name(),
                shape.map_or_else(|_| String::new(), |it| it.to_string())
            )
        });
        let shapes: Vec<_> = shapes.collect();
        let (networks, dtype) = (self.population(), self.dtype(py));
        format!(
            "<Parameters of {networks} networks, {dtype}: {}>",
            shapes.join(", ")
        )
    }
}

fn wants_double(dtype: Option<&Bound<'_, PyAny>>) -> Result<bool> {
    dtype.map_or(Ok(false), is_double)
}

/// How parameters start, where some of it is said.
pub fn read_initial(given: Option<&Bound<'_, PyDict>>) -> Result<Initial> {
    let mut table = toml::Table::try_from(Initial::default()).expect("it can be written");
    if let Some(given) = given {
        table.extend(settings::table("initial", given)?);
    }
    settings::read("initial", table)
}
