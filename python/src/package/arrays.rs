//! Arrays of NumPy: read where they are, and results handed over without a copy.

use super::error::{Failure, Result, setting};
use super::network::is_modulated_from;
use metaplastic::ndarray::{
    Array, ArrayView, ArrayView3, ArrayView4, ArrayViewD, Axis, Dimension, Ix3, Ix4,
};
use metaplastic::network::ModulatorFrom;
use metaplastic::number::Real;
use metaplastic::{Dynamic, Dynamics, Error};
use numpy::{
    Element, IntoPyArray, PyArray, PyArrayDescrMethods, PyArrayDyn, PyArrayMethods,
    PyReadonlyArrayDyn, PyUntypedArray, PyUntypedArrayMethods,
};
use pyo3::exceptions::{PyRuntimeError, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{IntoPyDict, PyDict, PyString};

/// Either precision.
pub trait Float: Real + Element {}
impl Float for f32 {}
impl Float for f64 {}

/// An array of the caller's, by the name that it has in errors.
pub struct Taken<'py, R: Float> {
    name: String,
    array: PyReadonlyArrayDyn<'py, R>,
}

/// A view has no more; NumPy's arrays may have twice as many.
const MOST_AXES: usize = 32;

/// Takes an array in precision `R`: where it is, if it is of that precision, else as a copy.
pub fn take<'py, R: Float>(name: &str, object: &Bound<'py, PyAny>) -> Result<Taken<'py, R>> {
    let taken = |array: &Bound<'py, PyArrayDyn<R>>| -> Result<Taken<'py, R>> {
        if array.ndim() > MOST_AXES {
            let reason = format!("{} axes, at most {MOST_AXES} are supported", array.ndim());
            return Err(setting(name, reason).into());
        }
        let array = array
            .try_readonly()
            .map_err(|_| setting(name, "another extension module is writing to it"))?;
        let name = name.to_owned();
        Ok(Taken { name, array })
    };
    require_unmasked(name, object)?;
    if let Ok(array) = object.cast::<PyArrayDyn<R>>()
        && is_regular(array)?
    {
        return taken(array);
    }
    let array = as_array(name, object)?;
    let kind = array.dtype().kind();
    if !b"fiub".contains(&kind) {
        return Err(Error::ElementType {
            name: name.to_owned(),
            expected: "real numbers".to_owned(),
            actual: array.dtype().to_string(),
        }
        .into());
    }
    let py = object.py();
    // A number beyond the range becomes infinite, and is refused as such by its place.
    let quiet = py.import("numpy")?.call_method(
        "errstate",
        (),
        Some(&[("over", "ignore")].into_py_dict(py)?),
    )?;
    quiet.call_method0("__enter__")?;
    let copied = array.call_method1("astype", (R::get_dtype(py),));
    quiet.call_method1("__exit__", (py.None(), py.None(), py.None()))?;
    taken(copied?.cast::<PyArrayDyn<R>>().map_err(PyErr::from)?)
}

/// Fails where NumPy knows of elements that do not count, which nothing here would.
fn require_unmasked(name: &str, object: &Bound<'_, PyAny>) -> Result<()> {
    let masks = object.py().import("numpy.ma")?;
    let is_masked = object.is_instance(&masks.getattr("MaskedArray")?)?
        && masks.call_method1("is_masked", (object,))?.is_truthy()?;
    match is_masked {
        false => Ok(()),
        true => {
            let reason = "some elements are masked, expected all: fill them (`filled`)";
            Err(setting(name, reason).into())
        }
    }
}

pub fn as_array<'py>(name: &str, object: &Bound<'py, PyAny>) -> Result<Bound<'py, PyUntypedArray>> {
    let py = object.py();
    let numpy = py.import("numpy")?;
    let array = numpy.call_method1("asarray", (object,));
    let array = array.map_err(|error| no_array(py, name, error))?;
    Ok(array.cast_into::<PyUntypedArray>().map_err(PyErr::from)?)
}

/// The reason of NumPy, or of the object's own library, with the argument's name.
fn no_array(py: Python<'_>, name: &str, error: PyErr) -> PyErr {
    let is_about_the_object = error.is_instance_of::<PyValueError>(py)
        || error.is_instance_of::<PyTypeError>(py)
        || error.is_instance_of::<PyRuntimeError>(py);
    if !is_about_the_object {
        return error;
    }
    let reason = format!("no array can be made of it: {}", error.value(py));
    let named = PyErr::from(Failure::from(setting(name, reason)));
    named.set_cause(py, Some(error));
    named
}

/// Whether its elements lie where a slice's could: a field of a record does not.
fn is_regular<R: Float>(array: &Bound<'_, PyArrayDyn<R>>) -> Result<bool> {
    let strides = array.strides().iter();
    let whole = strides
        .clone()
        .all(|stride| stride % size_of::<R>() as isize == 0);
    let address = array.data() as usize;
    Ok(whole && address.is_multiple_of(align_of::<R>()))
}

impl<R: Float> Taken<'_, R> {
    pub fn view(&self) -> ArrayViewD<'_, R> {
        self.array.as_array()
    }

    pub fn shape(&self) -> &[usize] {
        self.array.shape()
    }

    /// With an axis of networks before, if there is none: what all networks have in common.
    fn of_networks<D: Dimension>(&self, axes: &str) -> Result<ArrayView<'_, R, D>> {
        let view = self.view();
        let view = match D::NDIM == Some(view.ndim() + 1) {
            true => view.insert_axis(Axis(0)),
            false => view,
        };
        view.into_dimensionality().map_err(|_| {
            Error::Shape {
                name: self.name.clone(),
                expected: format!("{axes}, or without P for all networks"),
                actual: self.shape().to_vec(),
            }
            .into()
        })
    }

    /// `[P, B, T, …]`, or `[B, T, …]` for all networks.
    pub fn steps(&self, axes: &str) -> Result<ArrayView4<'_, R>> {
        self.of_networks::<Ix4>(axes)
    }

    /// `[P, B, …]`, or `[B, …]` for all networks.
    pub fn step(&self, axes: &str) -> Result<ArrayView3<'_, R>> {
        self.of_networks::<Ix3>(axes)
    }
}

/// Arrays by name, of a dictionary or of any other mapping.
pub fn by_name<'py>(given: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyDict>> {
    if let Ok(dictionary) = given.cast::<PyDict>() {
        return Ok(dictionary.clone());
    }
    if !given.hasattr("keys")? {
        let class = given.get_type().name()?;
        let reason = format!("a {class}, expected a dictionary of arrays");
        return Err(Failure::from(setting("arrays by name", reason)).into());
    }
    let dictionary = given.py().get_type::<PyDict>().call1((given,))?;
    Ok(dictionary.cast_into::<PyDict>()?)
}

/// The same of what may be missing.
pub fn perhaps_by_name<'py>(given: &Bound<'py, PyAny>) -> PyResult<Option<Bound<'py, PyDict>>> {
    match given.is_none() {
        true => Ok(None),
        false => by_name(given).map(Some),
    }
}

/// Arrays by the names of what layers have that changes over an episode: `layer0.trace`.
pub struct TakenDynamics<'py, R: Float>(Vec<(usize, Dynamic, Taken<'py, R>)>);

impl<'py, R: Float> TakenDynamics<'py, R> {
    /// `what` is what they are called in errors.
    pub fn of(what: &str, given: Option<&Bound<'py, PyDict>>) -> Result<Self> {
        let mut taken = Vec::new();
        for (name, array) in given.into_iter().flatten() {
            let name: String = match name.cast::<PyString>() {
                Ok(name) => name.extract()?,
                Err(_) => name.str()?.extract()?,
            };
            let unknown = || {
                Error::UnknownTensor {
                name: format!("{what} {name:?}"),
                known: "names such as layer0.trace, layer0.eligibility, layer0.activity and layer0.modulator"
                    .to_owned(),
            }
            };
            let (layer, dynamic) = parse(&name).ok_or_else(unknown)?;
            taken.push((layer, dynamic, take(&name, &array)?));
        }
        Ok(Self(taken))
    }

    /// Without the modulators that the network makes itself: what one call returned may be given to the next as it is.
    pub fn without_made_by(mut self, network: &metaplastic::Network) -> Self {
        self.0.retain(|(layer, dynamic, _)| {
            let layer = network.layers().get(*layer);
            let is_made = layer.is_some_and(|it| is_modulated_from(it, ModulatorFrom::Network));
            *dynamic != Dynamic::Modulator || !is_made
        });
        self
    }

    pub fn views(&self) -> Dynamics<'_, R> {
        let mut views = Dynamics::new();
        for (layer, dynamic, array) in &self.0 {
            views.insert(*layer, *dynamic, array.view());
        }
        views
    }
}

fn parse(name: &str) -> Option<(usize, Dynamic)> {
    let (layer, dynamic) = name.split_once('.')?;
    let layer = layer.strip_prefix("layer")?.parse().ok()?;
    Some((layer, dynamic.parse().ok()?))
}

/// A result, which Python owns from now on.
pub fn give<R: Float, D: Dimension>(py: Python<'_>, array: Array<R, D>) -> Py<PyAny> {
    array.into_pyarray(py).into_any().unbind()
}

/// Results by name.
pub fn give_dynamics<R: Float>(
    py: Python<'_>,
    dynamics: Dynamics<'static, R>,
) -> Result<Py<PyDict>> {
    let results = PyDict::new(py);
    for (layer, dynamic, array) in dynamics.into_arrays() {
        results.set_item(format!("layer{layer}.{dynamic}"), give(py, array))?;
    }
    Ok(results.unbind())
}

/// A view of what `owner` keeps, which Python cannot write to.
///
/// # Safety
/// What is viewed stays where it is, and as it is, as long as `owner` lives.
#[allow(unsafe_code)]
pub unsafe fn lend<'py, R: Float, D: Dimension>(
    view: &ArrayView<'_, R, D>,
    owner: Bound<'py, PyAny>,
) -> Result<Bound<'py, PyAny>> {
    // SAFETY: the caller says so.
    let lent = unsafe { PyArray::borrow_from_array(view, owner) };
    lent.call_method(
        "setflags",
        (),
        Some(&[("write", false)].into_py_dict(lent.py())?),
    )?;
    Ok(lent.into_any())
}
