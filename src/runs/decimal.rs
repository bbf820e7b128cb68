//! Numbers as people read them.

/// An error with four decimals; what these would show as zero, and what is huge, with two digits and an exponent.
pub fn decimal(value: f64) -> String {
    if value != 0.0 && value.abs() < 5e-5 || value.abs() >= 1e7 && value.is_finite() {
        format!("{value:.1e}")
    } else {
        format!("{value:.4}")
    }
}

/// A parameter with its sign and three decimals; what these would show as zero, with two digits and an exponent.
pub fn signed(value: f64) -> String {
    if value != 0.0 && value.abs() < 5e-4 {
        format!("{value:+.1e}")
    } else {
        format!("{value:+.3}")
    }
}

#[cfg(test)]
mod tests {
    use super::{decimal, signed};

    #[test]
    fn nothing_but_zero_is_shown_as_zero() {
        let values = [
            0.0,
            4.9e-5,
            5e-5,
            -1.23e-7,
            0.02,
            12.0,
            9.87e36,
            f64::INFINITY,
            f64::NAN,
        ];
        let texts = [
            "0.0000", "4.9e-5", "0.0001", "-1.2e-7", "0.0200", "12.0000", "9.9e36", "inf", "NaN",
        ];
        assert_eq!(values.map(decimal), texts);
        let texts = [0.0, 4.9e-4, -5e-4, -1.0].map(signed);
        assert_eq!(texts, ["+0.000", "+4.9e-4", "-0.001", "-1.000"]);
    }
}
