//! The range of a precision.

use super::real::Real;
use crate::error::{Error, Result};

/// What is wrong with a finite `value` that precision `R` does not reach.
pub(crate) fn beyond_range<R: Real>(value: f64) -> String {
    let (least, largest) = (R::min_positive_value().as_f64(), R::max_value().as_f64());
    let limit = if value.abs() > 1.0 {
        format!("up to {largest:e}")
    } else {
        format!("0, or from {least:e}")
    };
    format!("{value:e}, beyond the range of {} ({limit})", R::NAME)
}

/// Fails unless a setting is finite and stays what it is, but for rounding, in precision `R`: neither infinite nor so
/// small that a device may take it for zero.
pub(crate) fn require_in_range<R: Real>(field: &str, value: f64) -> Result<()> {
    let reason = if !value.is_finite() {
        format!("{value}, expected a finite value")
    } else if !R::from_f64(value).is_finite()
        || (value != 0.0 && R::from_f64(value).abs() < R::min_positive_value())
    {
        beyond_range::<R>(value)
    } else {
        return Ok(());
    };
    Err(Error::setting(field, reason))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_single_precision_does_not_reach_is_refused_as_that() {
        for value in [0.0, -0.0, 1e38, -1e38, 1.2e-38, -1.2e-38] {
            require_in_range::<f32>("setting", value).unwrap();
        }
        for value in [1e39, -1e39, 1e300, 1e-39, -1e-300] {
            require_in_range::<f64>("setting", value).unwrap();
            let error = require_in_range::<f32>("setting", value).unwrap_err();
            let (error, shown) = (error.to_string(), format!("setting: {value:e}, beyond"));
            assert!(
                error.starts_with(&shown) && error.contains("f32"),
                "{error}"
            );
        }
        for value in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            let error = require_in_range::<f32>("setting", value).unwrap_err();
            assert!(error.to_string().contains("expected a finite value"));
        }
    }
}
