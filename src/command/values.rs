//! Values of options that the argument parser does not know by itself.

use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use clap::{Arg, Command};
use std::ffi::OsStr;

/// One value or several: a setting that is swept.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Several<T> {
    values: Vec<T>,
    /// As they were typed.
    texts: Vec<String>,
}

impl<T: Clone> Several<T> {
    /// The value, or the first one.
    pub fn first(&self) -> T {
        self.values[0].clone()
    }

    pub fn is_one(&self) -> bool {
        self.values.len() == 1
    }
}

/// The values that are to be chosen from, whatever they are.
pub(super) trait Choose {
    /// As they were typed.
    fn texts(&self) -> &[String];
    /// Leaves one.
    fn choose(&mut self, index: usize);
}

impl<T: Clone> Choose for Several<T> {
    fn texts(&self) -> &[String] {
        &self.texts
    }

    fn choose(&mut self, index: usize) {
        self.values = vec![self.values[index].clone()];
        self.texts = vec![self.texts[index].clone()];
    }
}

/// The options among `given` that have values, with their names.
pub(super) type Lists<'a> = Vec<(&'static str, &'a mut dyn Choose)>;

/// An option's values, if it is given.
pub(super) fn list<'a, T: Clone + 'a>(
    name: &'static str,
    given: &'a mut Option<Several<T>>,
) -> Option<(&'static str, &'a mut dyn Choose)> {
    let given = given.as_mut()?;
    Some((name, given as &mut dyn Choose))
}

/// One value, or several with commas, each as `one` reads it.
pub(super) fn several<P: TypedValueParser>(one: P) -> SeveralParser<P> {
    SeveralParser(one)
}

#[derive(Clone)]
pub(super) struct SeveralParser<P>(P);

impl<P: TypedValueParser> TypedValueParser for SeveralParser<P>
where
    P::Value: Clone,
{
    type Value = Several<P::Value>;

    fn parse_ref(
        &self,
        command: &Command,
        option: Option<&Arg>,
        given: &OsStr,
    ) -> Result<Self::Value, clap::Error> {
        // What is no text is refused by the parser of one.
        let Some(text) = given.to_str() else {
            return self
                .0
                .parse_ref(command, option, given)
                .map(|value| Several {
                    values: vec![value],
                    texts: vec![String::new()],
                });
        };
        let texts: Vec<_> = text.split(',').map(|one| one.trim().to_owned()).collect();
        let values = texts
            .iter()
            .map(|one| self.0.parse_ref(command, option, one.as_ref()));
        Ok(Several {
            values: values.collect::<Result<_, _>>()?,
            texts,
        })
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        self.0.possible_values()
    }
}

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

/// As [`Bound`]'s text; for the argument parser, which names the option.
pub(super) fn bound(text: &str) -> Result<Bound, String> {
    text.parse()
}

/// Puts a given value in the place of another.
pub(super) fn set<T: Clone>(place: &mut T, given: &Option<Several<T>>) {
    if let Some(given) = given {
        *place = given.first();
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
