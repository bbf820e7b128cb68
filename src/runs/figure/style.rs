//! The one style of all charts: colours, letters, axes. Lengths are in [`px`].

use plotters::chart::MeshStyle;
use plotters::coord::Shift;
use plotters::coord::cartesian::Cartesian2d;
use plotters::coord::ranged1d::{Ranged, ValueFormatter};
use plotters::prelude::*;

/// Letters, nodes, and the median.
pub const INK: RGBColor = RGBColor(0x2b, 0x2f, 0x36);
/// What says more about the rest: axes, thresholds, notes.
pub const FAINT: RGBColor = RGBColor(0x73, 0x7a, 0x84);
/// Lines behind everything.
pub const GRID: RGBColor = RGBColor(0xe9, 0xeb, 0xee);
/// What is positive, or solved.
pub const LINE: RGBColor = RGBColor(0x1f, 0x5f, 0xa8);
/// What is negative.
pub const NEGATIVE: RGBColor = RGBColor(0xb8, 0x37, 0x2f);
/// Networks that have not solved the task. It differs from [`LINE`] for the colour-blind too.
pub const UNSOLVED: RGBColor = RGBColor(0xd4, 0x76, 0x1c);
/// Between quartiles.
pub const BAND: RGBColor = RGBColor(0xc9, 0xdc, 0xf1);
/// Behind what is set apart.
pub const SHADE: RGBColor = RGBColor(0xf4, 0xf4, 0xf1);
/// Behind everything.
pub const PAPER: RGBColor = RGBColor(0xff, 0xff, 0xff);
/// Colours of lines that are told apart by name.
pub const NAMED: [RGBColor; 5] = [
    RGBColor(0x5a, 0x61, 0x6b),
    RGBColor(0xc9, 0x8a, 0x1b),
    RGBColor(0x8e, 0x5a, 0xa8),
    RGBColor(0xb8, 0x3a, 0x3a),
    LINE,
];

/// Letters on squares whose colour is the same by day and by night.
pub(super) const ON_LIGHT: RGBColor = RGBColor(0x2b, 0x2f, 0x37);
pub(super) const ON_DARK: RGBColor = RGBColor(0xfe, 0xfe, 0xfe);

/// What each colour of a drawing becomes on a dark page. Those of squares, which stand for numbers, stay.
pub const DARK: [(RGBColor, RGBColor); 9] = [
    (INK, RGBColor(0xe4, 0xe7, 0xeb)),
    (FAINT, RGBColor(0x9a, 0xa2, 0xad)),
    (GRID, RGBColor(0x30, 0x35, 0x3d)),
    (LINE, RGBColor(0x6f, 0xae, 0xf2)),
    (NEGATIVE, RGBColor(0xe8, 0x7d, 0x74)),
    (UNSOLVED, RGBColor(0xf0, 0xa0, 0x50)),
    (BAND, RGBColor(0x24, 0x3c, 0x58)),
    (SHADE, RGBColor(0x21, 0x25, 0x2b)),
    (PAPER, RGBColor(0x17, 0x1a, 0x1f)),
];

/// The drawing library rounds to whole units; a finer unit keeps curves smooth.
const UNITS_PER_PIXEL: u32 = 8;

/// Pixels in the drawing's units.
pub const fn px(pixels: u32) -> u32 {
    pixels * UNITS_PER_PIXEL
}

/// As [`px`], for coordinates.
pub(super) const fn at(x: u32, y: u32) -> (i32, i32) {
    (px(x) as i32, px(y) as i32)
}

/// What the drawing library divides the size of letters by.
const FONT_SCALE: f64 = 1.24;

/// Letters so many pixels high.
pub fn font(pixels: u32, colour: &RGBColor) -> TextStyle<'static> {
    let size = f64::from(px(pixels)) * FONT_SCALE;
    ("sans-serif", size).into_font().color(colour)
}

/// What a chart is drawn on.
pub type Canvas<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// Why a chart cannot be drawn.
pub type Drawn = Result<(), Box<dyn std::error::Error>>;

/// The axes and the grid of a chart; descriptions and labels are left to be added.
pub fn mesh<'a, 'b, DB, X, Y>(
    chart: &'b mut ChartContext<'a, DB, Cartesian2d<X, Y>>,
) -> MeshStyle<'a, 'b, X, Y, DB>
where
    'a: 'b,
    DB: DrawingBackend,
    X: Ranged<ValueType = f64> + ValueFormatter<f64>,
    Y: Ranged<ValueType = f64> + ValueFormatter<f64>,
{
    let mut mesh = chart.configure_mesh();
    mesh.disable_x_mesh()
        .light_line_style(TRANSPARENT)
        .bold_line_style(GRID.stroke_width(px(1)))
        .axis_style(FAINT.stroke_width(px(1)))
        .set_all_tick_mark_size(px(4))
        .label_style(font(13, &INK))
        .axis_desc_style(font(14, &INK));
    mesh
}

/// The text of a drawing of `size` pixels.
pub(super) fn draw(size: (u32, u32), draw: impl FnOnce(&Canvas<'_>) -> Drawn) -> String {
    let mut text = String::new();
    let units = (px(size.0), px(size.1));
    {
        let area = SVGBackend::with_string(&mut text, units).into_drawing_area();
        area.fill(&PAPER)
            .map_err(Into::into)
            .and_then(|()| draw(&area))
            .and_then(|()| area.present().map_err(Into::into))
            .expect("drawing into a string does not fail");
    }
    let attributes = |(width, height)| format!("width=\"{width}\" height=\"{height}\"");
    text.replacen(&attributes(units), &attributes(size), 1)
}

/// `10000` as `10,000`.
pub fn grouped(value: u64) -> String {
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

/// `#1F5FA8`.
pub fn hex(RGBColor(red, green, blue): RGBColor) -> String {
    format!("#{red:02X}{green:02X}{blue:02X}")
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
