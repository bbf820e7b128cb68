//! Whole numbers that Python gives: a function for each argument, so that errors have its name.

use super::error::{Result, setting};
use pyo3::prelude::*;
use pyo3::types::{PyAnyMethods, PyFloat};

macro_rules! arguments {
    ($($name:ident: $number:ty),+ $(,)?) => {$(
        pub fn $name(given: &Bound<'_, PyAny>) -> PyResult<$number> {
            // It fits, as `whole` says.
            Ok(whole(stringify!($name), given, <$number>::MAX as u64)? as $number)
        }
    )+};
}

arguments! {
    batch: usize,
    count: u32,
    episodes: u64,
    first: u32,
    inputs: usize,
    meta_step: u32,
    meta_steps: u32,
    outputs: usize,
    population: usize,
    seed: u64,
    start: usize,
    steps: usize,
    stop: usize,
    synapse_steps: u64,
    times: usize,
}

/// A whole number from 0 to `most`.
fn whole(name: &str, given: &Bound<'_, PyAny>, most: u64) -> Result<u64> {
    match given.extract::<u64>() {
        Ok(number) if number <= most => Ok(number),
        _ => Err(setting(name, refusal(given, most)?).into()),
    }
}

fn refusal(given: &Bound<'_, PyAny>, most: u64) -> PyResult<String> {
    if given.is_instance_of::<PyFloat>() {
        return Ok(format!("{given}, expected a whole number"));
    }
    let operator = given.py().import("operator")?;
    let Ok(number) = operator.call_method1("index", (given,)) else {
        let class = given.get_type().name()?;
        return Ok(format!("a {class}, expected a whole number"));
    };
    if number.lt(0)? {
        return Ok(format!("{number}, expected at least 0"));
    }
    // Python writes no number of thousands of digits.
    let shown = number
        .str()
        .map_or_else(|_| "too large".to_owned(), |it| it.to_string());
    Ok(format!("{shown}, at most {most} is supported"))
}

/// A device, by its name or its index.
pub fn device(given: &Bound<'_, PyAny>) -> PyResult<Option<String>> {
    if given.is_none() {
        return Ok(None);
    }
    match given.extract::<String>() {
        Ok(name) => Ok(Some(name)),
        Err(_) => Ok(Some(whole("device", given, u64::MAX)?.to_string())),
    }
}
