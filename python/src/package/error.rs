//! Errors of the engine as Python's exceptions: one class for each kind, with the same text.

use metaplastic::error::ErrorKind;
use pyo3::prelude::*;

/// Why a call failed: the engine refused, or Python did.
pub enum Failure {
    Engine(metaplastic::Error),
    Python(PyErr),
}

pub type Result<T> = std::result::Result<T, Failure>;

impl From<metaplastic::Error> for Failure {
    fn from(error: metaplastic::Error) -> Self {
        Self::Engine(error)
    }
}

impl From<PyErr> for Failure {
    fn from(error: PyErr) -> Self {
        Self::Python(error)
    }
}

impl From<Failure> for PyErr {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Python(error) => error,
            Failure::Engine(error) => Python::attach(|py| raised(py, &error)),
        }
    }
}

fn raised(py: Python<'_>, error: &metaplastic::Error) -> PyErr {
    let class = match error.kind() {
        ErrorKind::Input => "InputError",
        ErrorKind::File => "FileError",
        ErrorKind::Capacity => "CapacityError",
        ErrorKind::Unavailable => "UnavailableError",
        ErrorKind::Device => "DeviceError",
        _ => "DefectError",
    };
    let class = py
        .import("metaplastic._errors")
        .and_then(|module| module.getattr(class));
    let raised = class.and_then(|class| class.call1((error.to_string(),)));
    raised.map_or_else(|error| error, PyErr::from_value)
}

/// A setting that is not what it should be.
pub fn setting(field: impl Into<String>, reason: impl Into<String>) -> metaplastic::Error {
    metaplastic::Error::Setting {
        field: field.into(),
        reason: reason.into(),
    }
}

/// A call at the wrong time.
pub fn out_of_turn(what: impl Into<String>, reason: impl Into<String>) -> metaplastic::Error {
    metaplastic::Error::OutOfTurn {
        what: what.into(),
        reason: reason.into(),
    }
}
