//! What drawings have in common.

use plotters::prelude::*;

pub(super) const INK: RGBColor = RGBColor(0x2b, 0x2f, 0x36);
pub(super) const FAINT: RGBColor = RGBColor(0x8a, 0x90, 0x99);
pub(super) const GRID: RGBColor = RGBColor(0xe9, 0xeb, 0xee);
pub(super) const LINE: RGBColor = RGBColor(0x1f, 0x5f, 0xa8);
pub(super) const BAND: RGBColor = RGBColor(0xc9, 0xdc, 0xf1);
/// What is negative, where what is positive has the colour [`LINE`].
pub(super) const NEGATIVE: RGBColor = RGBColor(0xb8, 0x37, 0x2f);
/// Behind what is set apart.
pub(super) const SHADE: RGBColor = RGBColor(0xf4, 0xf4, 0xf1);

/// The drawing library rounds to whole units; a finer unit keeps curves smooth.
pub(super) const UNITS_PER_PIXEL: u32 = 8;

/// Pixels in the drawing's units.
pub(super) const fn px(pixels: u32) -> u32 {
    pixels * UNITS_PER_PIXEL
}

/// As [`px`], for coordinates.
pub(super) const fn at(x: u32, y: u32) -> (i32, i32) {
    (px(x) as i32, px(y) as i32)
}

pub(super) fn font(pixels: u32, colour: &RGBColor) -> TextStyle<'static> {
    ("sans-serif", px(pixels)).into_font().color(colour)
}

pub(super) type Canvas<'a> = DrawingArea<SVGBackend<'a>, plotters::coord::Shift>;

/// The text of a drawing of `size` pixels.
pub(super) fn chart(
    size: (u32, u32),
    draw: impl FnOnce(&Canvas<'_>) -> Result<(), Box<dyn std::error::Error>>,
) -> String {
    let mut text = String::new();
    let units = (px(size.0), px(size.1));
    {
        let area = SVGBackend::with_string(&mut text, units).into_drawing_area();
        area.fill(&WHITE)
            .map_err(Into::into)
            .and_then(|()| draw(&area))
            .and_then(|()| area.present().map_err(Into::into))
            .expect("drawing into a string does not fail");
    }
    let attributes = |(width, height)| format!("width=\"{width}\" height=\"{height}\"");
    text.replacen(&attributes(units), &attributes(size), 1)
}

/// 1, 2 or 5 times a power of ten, at least `step`.
pub(super) fn nice_step(step: f64) -> f64 {
    let power = 10f64.powf(step.max(f64::MIN_POSITIVE).log10().floor());
    [1.0, 2.0, 5.0]
        .map(|factor| factor * power)
        .into_iter()
        .find(|&nice| nice >= step)
        .unwrap_or(10.0 * power)
}

pub(super) fn decimals(step: f64) -> usize {
    (-step.log10().floor()).clamp(0.0, 9.0) as usize
}

/// `10000` as `10,000`.
pub(super) fn grouped(value: u64) -> String {
    let digits = value.to_string();
    let groups = digits.as_bytes().rchunks(3).rev();
    let groups: Vec<_> = groups.map(|group| String::from_utf8_lossy(group)).collect();
    groups.join(",")
}

pub(super) fn capitalised(name: &str) -> String {
    let mut letters = name.chars();
    letters
        .next()
        .map(|first| first.to_uppercase().chain(letters).collect())
        .unwrap_or_default()
}

/// `#1f5fa8`.
pub(super) fn hex(RGBColor(red, green, blue): RGBColor) -> String {
    format!("#{red:02x}{green:02x}{blue:02x}")
}

/// A signed number with three digits.
pub(super) fn number(value: f64) -> String {
    let digits = match value.abs() {
        size if size >= 99.95 => 0,
        size if size >= 9.995 => 1,
        _ => 2,
    };
    let text = format!("{value:.digits$}");
    match text.as_str() {
        "0.00" | "-0.00" => "0".to_owned(),
        // A hyphen is narrower than a minus sign.
        _ => text.replace('-', "−"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_of_an_axis_are_round_numbers() {
        let steps = [0.13, 0.2, 0.7, 3.1, 1_667.0].map(nice_step);
        let expected = [0.2, 0.2, 1.0, 5.0, 2_000.0];
        for (step, expected) in steps.into_iter().zip(expected) {
            assert!((step / expected - 1.0).abs() < 1e-9, "{step} {expected}");
        }
        assert_eq!(decimals(0.2), 1);
        assert_eq!(decimals(20.0), 0);
    }

    #[test]
    fn counts_are_in_groups_of_three() {
        let counts = [0, 999, 1_000, 20_000, 1_234_567].map(grouped);
        assert_eq!(counts, ["0", "999", "1,000", "20,000", "1,234,567"]);
    }

    #[test]
    fn numbers_have_three_digits() {
        let numbers = [-0.123, 9.99, 9.999, -12.34, 99.96, -0.001].map(number);
        assert_eq!(numbers, ["−0.12", "9.99", "10.0", "−12.3", "100", "0"]);
    }
}
