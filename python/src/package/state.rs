//! Training states: what a population in training is, as arrays by name.
//!
//! Names are those of a run's checkpoint: parameters as in files, then `first_moment.` and `second_moment.` before the same
//! names, and `updates`, `episodes`, `losses`, `loss_meta_steps` and `failures`.

use super::arrays::{Float, as_array, give, take};
use super::error::{Result, setting};
use metaplastic::engine::{Failure, TrainingState};
use metaplastic::ndarray::{Array2, arr0};
use metaplastic::parameters::{Layout, Tensor};
use metaplastic::{Error, Parameters};
use numpy::{IntoPyArray, PyArrayDescrMethods, PyUntypedArrayMethods};
use pyo3::prelude::*;
use pyo3::types::PyDict;

/// What is before the names of parameters, their first and their second moments.
const PREFIXES: [&str; 3] = ["", "first_moment.", "second_moment."];
/// What else there is.
const OTHERS: [&str; 5] = [
    "updates",
    "episodes",
    "losses",
    "loss_meta_steps",
    "failures",
];

/// Whose values were not finite where a network failed, by number.
fn causes(layout: &Layout) -> Vec<String> {
    let tensors = layout.tensors().iter();
    let gradients = tensors.map(|tensor| format!("gradient.{}", tensor.name()));
    ["loss".to_owned()].into_iter().chain(gradients).collect()
}

pub fn give_state<R: Float>(py: Python<'_>, state: TrainingState<R>) -> Result<Py<PyDict>> {
    let given = PyDict::new(py);
    let [first, second] = &state.moments;
    for (prefix, values) in PREFIXES.into_iter().zip([&state.parameters, first, second]) {
        for tensor in values.layout().tensors() {
            let name = format!("{prefix}{}", tensor.name());
            given.set_item(name, give(py, values.tensor(tensor).to_owned()))?;
        }
    }
    let causes = causes(state.parameters.layout());
    let failures = state.failures.iter().flat_map(|failure| {
        let cause = causes.iter().position(|cause| *cause == failure.tensor);
        let cause = cause.expect("it is the loss or a tensor's gradient");
        [failure.network as u64, failure.episode, cause as u64]
    });
    let shape = (state.failures.len(), 3);
    let failures = Array2::from_shape_vec(shape, failures.collect()).expect("three of each");
    given.set_item("updates", state.updates.into_pyarray(py))?;
    given.set_item("episodes", arr0(state.episodes).into_pyarray(py))?;
    given.set_item("losses", state.losses.into_pyarray(py))?;
    given.set_item("loss_meta_steps", arr0(state.meta_steps).into_pyarray(py))?;
    given.set_item("failures", failures.into_pyarray(py))?;
    Ok(given.unbind())
}

/// A state of networks like `network`, from a mapping such as `give_state` gives, or as NumPy reads it from a file.
pub fn take_state<R: Float>(
    network: &metaplastic::Network,
    given: &Bound<'_, PyDict>,
) -> Result<TrainingState<R>> {
    let layout = Layout::new(network)?;
    require_known(&layout, given)?;
    let updates: Vec<u32> = numbers(given, "updates", "[P]", 1)?;
    let values = |prefix| values::<R>(network, updates.len(), prefix, given);
    let [parameters, first, second] = PREFIXES.map(values);
    let mut state = TrainingState::new(parameters?)?;
    state.moments = [first?, second?];
    state.updates = updates;
    state.episodes = numbers(given, "episodes", "[]", 0)?;
    state.meta_steps = numbers(given, "loss_meta_steps", "[]", 0)?;
    let losses = take::<f64>("losses", &item(given, "losses", "[P]")?)?;
    state.losses = losses.view().iter().copied().collect();
    let causes = causes(&layout);
    let failures: Vec<[u64; 3]> = numbers(given, "failures", "[F, 3]", 2)?;
    let failures = failures
        .into_iter()
        .map(|failure| read_failure(&causes, failure));
    state.failures = failures.collect::<Result<_>>()?;
    Ok(state)
}

fn read_failure(causes: &[String], [network, episode, cause]: [u64; 3]) -> Result<Failure> {
    let tensor = causes.get(cause as usize).ok_or_else(|| {
        let most = causes.len() - 1;
        setting("failures", format!("cause {cause}, expected 0 to {most}"))
    })?;
    Ok(Failure {
        network: network as usize,
        episode,
        tensor: tensor.clone(),
    })
}

/// Fails where something is given that is no part of a state.
fn require_known(layout: &Layout, given: &Bound<'_, PyDict>) -> Result<()> {
    let parts = PREFIXES.iter().flat_map(|prefix| {
        let tensors = layout.tensors().iter();
        tensors.map(move |tensor| format!("{prefix}{}", tensor.name()))
    });
    let mut known: Vec<_> = parts.collect();
    known.extend(OTHERS.map(str::to_owned));
    for name in given.keys() {
        let name = name.str()?.to_string();
        if !known.contains(&name) {
            let known = known.join(", ");
            return Err(Error::UnknownTensor { name, known }.into());
        }
    }
    Ok(())
}

fn item<'py>(given: &Bound<'py, PyDict>, name: &str, shape: &str) -> Result<Bound<'py, PyAny>> {
    given.get_item(name)?.ok_or_else(|| {
        let (name, expected) = (name.to_owned(), shape.to_owned());
        Error::MissingTensor { name, expected }.into()
    })
}

fn values<R: Float>(
    network: &metaplastic::Network,
    population: usize,
    prefix: &str,
    given: &Bound<'_, PyDict>,
) -> Result<Parameters<R>> {
    let mut values = Parameters::<R>::new(network, population)?;
    let tensors: Vec<Tensor> = values.layout().tensors().to_vec();
    for tensor in &tensors {
        let name = format!("{prefix}{}", tensor.name());
        let shape = [&[population], &tensor.shape[..]].concat();
        let array = item(given, &name, &format!("{shape:?}"))?;
        require_precision::<R>(&name, &array)?;
        let array = take::<R>(&name, &array)?;
        if array.shape() != shape {
            return Err(Error::Shape {
                name,
                expected: format!("{shape:?}"),
                actual: array.shape().to_vec(),
            }
            .into());
        }
        values.tensor_mut(tensor).assign(&array.view());
    }
    Ok(values)
}

/// Nothing is rounded on the way.
fn require_precision<R: Float>(name: &str, array: &Bound<'_, PyAny>) -> Result<()> {
    let (found, expected) = (as_array(name, array)?.dtype(), R::get_dtype(array.py()));
    if found.kind() == expected.kind() && found.itemsize() == expected.itemsize() {
        return Ok(());
    }
    Err(Error::ElementType {
        name: name.to_owned(),
        expected: expected.to_string(),
        actual: found.to_string(),
    }
    .into())
}

/// Whole numbers of `axes` axes.
fn numbers<T: for<'a> FromPyObjectOwned<'a>>(
    given: &Bound<'_, PyDict>,
    name: &str,
    shape: &str,
    axes: usize,
) -> Result<T> {
    let array = as_array(name, &item(given, name, shape)?)?;
    let refused = || Error::ElementType {
        name: name.to_owned(),
        expected: format!("whole numbers {shape} in range"),
        actual: format!("{} {:?}", array.dtype(), array.shape()),
    };
    if !b"iu".contains(&array.dtype().kind()) || array.ndim() != axes {
        return Err(refused().into());
    }
    let list = array.call_method0("tolist")?;
    list.extract().map_err(|_| refused().into())
}
