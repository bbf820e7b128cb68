//! Whole numbers as people write them: `500`, `10_000`, `1e6`.

use num_traits::Bounded;
use std::fmt::Display;

/// The whole number that `text` is exactly; for the argument parser, which names the option.
pub(super) fn whole<T: TryFrom<u64> + Bounded + Display>(text: &str) -> Result<T, String> {
    let beyond = || format!("beyond {}, the largest number that fits", T::max_value());
    let digits = digits(text)?;
    if digits.len() > u64::MAX.to_string().len() {
        return Err(beyond());
    }
    let value: u128 = digits.parse().map_err(|_| NOT_A_NUMBER)?;
    let value = u64::try_from(value).map_err(|_| beyond())?;
    T::try_from(value).map_err(|_| beyond())
}

const NOT_A_NUMBER: &str = "not a whole number, such as 500, 10_000 or 1e6";

/// More zeros than any number that is supported has.
const MANY_ZEROS: usize = 32;

/// All the digits of a number that may have a fraction and a power of ten.
fn digits(text: &str) -> Result<String, String> {
    if text.starts_with('-') {
        return Err("expected at least 0".into());
    }
    let (number, power) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    let (power, is_negative) = match power.strip_prefix('-') {
        Some(power) => (power, true),
        None => (power.strip_prefix('+').unwrap_or(power), false),
    };
    if ![whole, fraction, power].into_iter().all(is_digits) {
        return Err(NOT_A_NUMBER.into());
    }
    let mut digits: String = [whole, fraction].concat().replace('_', "");
    let fraction = fraction.replace('_', "").len();
    // A power that does not even fit an integer is too large either way.
    let power = power.replace('_', "").parse().unwrap_or(usize::MAX);
    let (zeros, places) = match is_negative {
        true => (0, fraction.saturating_add(power)),
        false => (
            power.saturating_sub(fraction),
            fraction.saturating_sub(power),
        ),
    };
    for _ in 0..places {
        match digits.pop() {
            Some('0') => {}
            Some(_) => return Err(NOT_A_NUMBER.into()),
            None => break,
        }
    }
    let digits = digits.trim_start_matches('0');
    if digits.is_empty() {
        return Ok("0".into());
    }
    Ok(digits.to_owned() + &"0".repeat(zeros.min(MANY_ZEROS)))
}

/// Digits, with single underscores between them.
fn is_digits(text: &str) -> bool {
    text.split('_')
        .all(|part| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_numbers_are_exact() {
        for (text, value) in [
            ("0", 0),
            ("007", 7),
            ("10_000", 10_000),
            ("1e6", 1_000_000),
            ("1E6", 1_000_000),
            ("1e+6", 1_000_000),
            ("2.5e3", 2_500),
            ("2_000.0", 2_000),
            ("1500e-2", 15),
            ("0e99999999999999999999", 0),
            ("18446744073709551615", u64::MAX),
            ("1844674407370955161.5e1", u64::MAX),
            ("9007199254740993", (1 << 53) + 1),
        ] {
            assert_eq!(whole(text), Ok(value), "{text}");
        }
        assert_eq!(whole::<u32>("4294967295"), Ok(u32::MAX));
    }

    #[test]
    fn other_numbers_are_refused_with_the_reason() {
        for text in [
            "",
            "_",
            "1_",
            "_1",
            "1__0",
            "1.5",
            "1e-1",
            "15e-99999999999",
            "1e",
            "e6",
            ".",
            ".5",
            "1.",
            "1e1.5",
            "1e--1",
            "+1",
            " 1",
            "1 ",
            "0x10",
            "nan",
            "inf",
            "many",
            "１",
        ] {
            let error = whole::<u64>(text).unwrap_err();
            assert!(error.starts_with("not a whole number"), "{text:?}: {error}");
        }
        for text in ["-1", "-1e6", "-0.5", "-x"] {
            assert_eq!(whole::<u64>(text), Err("expected at least 0".into()));
        }
        for text in ["1e30", "18446744073709551616", "1e99999999999999999999"] {
            let error = whole::<u64>(text).unwrap_err();
            assert_eq!(
                error,
                "beyond 18446744073709551615, the largest number that fits"
            );
        }
        let error = whole::<u32>("1e10").unwrap_err();
        assert_eq!(error, "beyond 4294967295, the largest number that fits");
    }
}
