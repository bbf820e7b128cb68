//! Values of options that the argument parser does not know by itself.

use clap::builder::{PossibleValuesParser, TypedValueParser};

/// One of a few names.
pub(super) fn one_of<T: Copy + Send + Sync + 'static>(
    values: impl IntoIterator<Item = (&'static str, T)>,
) -> impl TypedValueParser<Value = T> {
    let values: Vec<_> = values.into_iter().collect();
    PossibleValuesParser::new(values.iter().map(|(name, _)| *name)).map(move |given| {
        let (_, value) = values
            .iter()
            .find(|(name, _)| *name == given)
            .expect("one of these");
        *value
    })
}

/// A number that is what was typed; for the argument parser, which names the option.
pub(super) fn real(text: &str) -> Result<f64, String> {
    let value: f64 = text.parse().map_err(|_| "not a number")?;
    // `inf` has no digits.
    if value.is_infinite() && text.contains(|c: char| c.is_ascii_digit()) {
        return Err(format!("beyond the range of f64 (up to {:e})", f64::MAX));
    }
    Ok(value)
}

/// A bound, or `none`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Bound(pub Option<f64>);

impl std::str::FromStr for Bound {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "none" => Ok(Self(None)),
            number => real(number).map(|number| Self(Some(number))),
        }
    }
}

/// Puts a given value in the place of another.
pub(super) fn set<T>(place: &mut T, given: Option<T>) {
    if let Some(value) = given {
        *place = value;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_is_a_number_or_none() {
        assert_eq!("none".parse(), Ok(Bound(None)));
        assert_eq!("-0.5".parse(), Ok(Bound(Some(-0.5))));
        assert!("much".parse::<Bound>().is_err());
        assert!("-1e400".parse::<Bound>().is_err());
    }

    #[test]
    fn a_number_is_what_was_typed() {
        assert_eq!(real("1e308"), Ok(1e308));
        assert_eq!(real("-inf"), Ok(f64::NEG_INFINITY));
        assert!(real("nan").unwrap().is_nan());
        for text in ["1e400", "-1e400"] {
            assert!(real(text).unwrap_err().contains("range of f64"), "{text}");
        }
    }
}
