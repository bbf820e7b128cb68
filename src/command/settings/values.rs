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

/// A bound, or `none`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Bound(pub Option<f64>);

impl std::str::FromStr for Bound {
    type Err = std::num::ParseFloatError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "none" => Ok(Self(None)),
            number => number.parse().map(|number| Self(Some(number))),
        }
    }
}

/// Puts a given value in the place of another.
pub(super) fn set<T: Copy>(place: &mut T, given: Option<T>) {
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
    }
}
