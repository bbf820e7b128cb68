//! Weights and plasticity coefficients as coloured squares.

use super::network::Picture;
use super::style::{FAINT, INK, LINE, NEGATIVE, ON_DARK, ON_LIGHT, hex, number};
use super::svg::{Anchor, Svg};
use crate::parameters::Role;
use crate::runs::names;
use crate::training::Matrix;
use ndarray::Array2;
use plotters::style::RGBColor;

/// Rows and columns of squares. Where there are more neurons, a square stands for several of them.
const MOST: usize = 64;
/// The space for the squares of one map.
const MAP: f64 = 370.0;
const LARGEST_CELL: f64 = 37.0;
/// From which size on a square has room for its number, and a row for its name.
const CELL_WITH_NUMBER: f64 = 36.0;
const CELL_WITH_NAME: f64 = 12.0;
/// Space for a row's name, and between maps.
const NAMES: f64 = 72.0;
const GAP: f64 = 38.0;
const SPACE: f64 = 18.0;
const TOP: f64 = 84.0;
const LEFT: f64 = 30.0;

/// `w` and `α` of every layer: a row for each postsynaptic neuron, a column for each presynaptic one. `w` stands on the
/// left, `α` on the right, and `U` of a recurrent layer above them.
///
/// # Panics
/// As [`Matrix::of`].
pub fn heat_maps(picture: &Picture<'_>) -> String {
    let matrices = Matrix::of(picture.network, picture.parameters, picture.index);
    let mut svg = Svg::default();
    svg.text((LEFT, 30.0), Anchor::Start, 21, INK, picture.title);
    svg.text((LEFT, 56.0), Anchor::Start, 14, FAINT, picture.subtitle);
    let mut y = TOP;
    for weight in matrices.iter().filter(|m| m.role == Role::Weight) {
        let map = |svg: &mut Svg, matrix: &Matrix, x: f64, y: f64| {
            Map { matrix, picture }.draw(svg, (x, y))
        };
        let beside = |role| {
            let mut matrices = matrices.iter();
            matrices.find(|m| m.layer == weight.layer && m.role == role)
        };
        if let Some(on_input) = beside(Role::InputWeight) {
            y += map(&mut svg, on_input, LEFT, y) + SPACE;
        }
        let mut height = map(&mut svg, weight, LEFT, y);
        if let Some(plasticity) = beside(Role::Plasticity) {
            height = height.max(map(&mut svg, plasticity, LEFT + NAMES + MAP + GAP, y));
        }
        y += height + SPACE;
    }
    let size = (2.0 * (LEFT + NAMES + MAP) + GAP, y + 8.0);
    svg.finish(size, picture.title, picture.subtitle)
}

struct Map<'a> {
    matrix: &'a Matrix,
    picture: &'a Picture<'a>,
}

impl Map<'_> {
    /// Draws the map and returns its height.
    fn draw(&self, svg: &mut Svg, (x, y): (f64, f64)) -> f64 {
        let Blocks { values, size } = Blocks::of(&self.matrix.values, (MOST, MOST));
        let (rows, columns) = self.matrix.values.dim();
        let (shown_rows, shown_columns) = values.dim();
        let cell = (MAP / shown_columns as f64).min(LARGEST_CELL);
        let (symbol, meaning) = match self.matrix.role {
            Role::Plasticity => ("α", "plasticity coefficients"),
            Role::InputWeight => ("U", "weights on the input"),
            _ => ("w", "fixed weights"),
        };
        let mut title = format!("{symbol}, {meaning} of layer {}", self.matrix.layer);
        svg.text((x, y + 12.0), Anchor::Start, 15, INK, &title);
        let is_whole = size == (1, 1);
        if !is_whole {
            title = format!(
                "{rows} × {columns}: a square is the largest of {} × {}",
                size.0, size.1
            );
            svg.text((x, y + 32.0), Anchor::Start, 13, FAINT, &title);
        }
        let (left, top) = (x + NAMES, y + 58.0);
        let largest = self.matrix.largest();

        if cell >= CELL_WITH_NAME && is_whole {
            for column in 0..shown_columns {
                self.name_column(svg, column, (left + cell * (column as f64 + 0.5), top));
            }
        }
        for row in 0..shown_rows {
            let middle = top + cell * (row as f64 + 0.5);
            if cell >= CELL_WITH_NAME && is_whole {
                let Picture { task, network, .. } = *self.picture;
                let name = names::postsynaptic(task, network, self.matrix.layer, row);
                svg.text((left - 8.0, middle), Anchor::End, 13, INK, &name);
            }
            for column in 0..shown_columns {
                let value = values[[row, column]];
                let place = (left + cell * column as f64, top + cell * row as f64);
                let gap = if cell > 6.0 { 1.0 } else { 0.0 };
                let shade = shade(value, largest);
                svg.rectangle(place, (cell - gap, cell - gap), &hex(shade));
                if cell >= CELL_WITH_NUMBER {
                    let ink = if is_dark(shade) { ON_DARK } else { ON_LIGHT };
                    let text = number(value);
                    let middle = (place.0 + (cell - gap) / 2.0, middle - gap / 2.0);
                    svg.text(middle, Anchor::Middle, 11, ink, &text);
                }
            }
        }
        let bottom = top + cell * shown_rows as f64 + 20.0;
        colour_bar(svg, (left, bottom), largest);
        bottom + 16.0 - y
    }

    /// `1`, `2`, … below the kind of neuron, which stands where it begins.
    fn name_column(&self, svg: &mut Svg, column: usize, (x, top): (f64, f64)) {
        let Picture { task, network, .. } = *self.picture;
        let of = (self.matrix.layer, self.matrix.role);
        let name = |column| names::presynaptic(task, network, of, column);
        let own = name(column);
        let (kind, index) = own.rsplit_once(' ').unwrap_or((&own, ""));
        svg.text((x, top - 10.0), Anchor::Middle, 12, INK, index);
        let begins = column == 0 || !name(column - 1).starts_with(kind);
        if begins {
            svg.text((x - 8.0, top - 26.0), Anchor::Start, 12, FAINT, kind);
        }
    }
}

/// A matrix as squares.
pub(super) struct Blocks {
    pub values: Array2<f64>,
    /// Rows and columns that a square stands for.
    pub size: (usize, usize),
}

impl Blocks {
    /// So many rows and columns at most. A square has the value that is largest in absolute value.
    pub fn of(matrix: &Array2<f64>, most: (usize, usize)) -> Self {
        let (rows, columns) = matrix.dim();
        let size = (
            rows.div_ceil(most.0).max(1),
            columns.div_ceil(most.1).max(1),
        );
        let shape = (rows.div_ceil(size.0), columns.div_ceil(size.1));
        let mut values = Array2::zeros(shape);
        for ((row, column), &value) in matrix.indexed_iter() {
            let block: &mut f64 = &mut values[[row / size.0, column / size.1]];
            // What is no number is largest of all.
            if value.is_nan() || value.abs() > block.abs() {
                *block = value;
            }
        }
        Self { values, size }
    }
}

/// From the colour for negative values over white to that for positive ones.
pub(super) fn shade(value: f64, largest: f64) -> RGBColor {
    let RGBColor(red, green, blue) = if value < 0.0 { NEGATIVE } else { LINE };
    let strength = (value.abs() / largest.max(f64::MIN_POSITIVE)).min(1.0);
    let mix = |full: u8| (255.0 + (f64::from(full) - 255.0) * strength).round() as u8;
    // Zero is not quite white, so that its square can be seen.
    let RGBColor(r, g, b) = RGBColor(mix(red), mix(green), mix(blue));
    RGBColor(r.min(0xf6), g.min(0xf6), b.min(0xf6))
}

fn is_dark(RGBColor(red, green, blue): RGBColor) -> bool {
    0.299 * f64::from(red) + 0.587 * f64::from(green) + 0.114 * f64::from(blue) < 150.0
}

fn colour_bar(svg: &mut Svg, (x, y): (f64, f64), largest: f64) {
    const STEPS: i32 = 40;
    let width = 4.0;
    for step in -STEPS / 2..=STEPS / 2 {
        let value = f64::from(step) / f64::from(STEPS / 2);
        let place = (x + 44.0 + width * f64::from(step + STEPS / 2), y - 4.0);
        // Neighbours overlap, or the seams would show.
        svg.rectangle(place, (width + 0.5, 8.0), &hex(shade(value, 1.0)));
    }
    svg.text((x + 38.0, y), Anchor::End, 12, INK, &number(-largest));
    let end = x + 44.0 + width * f64::from(STEPS + 1) + 6.0;
    svg.text((end, y), Anchor::Start, 12, INK, &number(largest));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::{Activation, Dense, Layer, Loss, Network, Plastic, Rate, Recurrent};
    use crate::parameters::Parameters;
    use crate::tasks::{Association, Task};
    use crate::training::Recipe;
    use std::sync::Arc;

    fn draw(task: &dyn Task, network: &Network, parameters: &Parameters<f32>) -> String {
        heat_maps(&Picture {
            task,
            network,
            parameters,
            index: 0,
            title: "title",
            subtitle: "subtitle",
        })
    }

    #[test]
    fn values_have_their_colour_and_their_number() {
        let Recipe { task, network, .. } = Recipe::new(Arc::new(Association::REVERSAL)).unwrap();
        let mut parameters = Parameters::<f32>::new(&network, 1).unwrap();
        parameters.view_mut(0, Role::Plasticity).unwrap()[[0, 1, 2]] = -7.25;
        parameters.view_mut(0, Role::Weight).unwrap()[[0, 0, 0]] = 3.5;
        let text = draw(&*task, &network, &parameters);
        for part in [
            ">−7.25<",
            ">3.50<",
            "#B8372F",
            "#1F5FA8",
            "hidden 2",
            "layer 1",
        ] {
            assert!(text.contains(part), "{part}");
        }
        let squares = 2 * 20 + 4;
        assert_eq!(text.matches("<rect").count(), 1 + squares + 3 * 41);
    }

    #[test]
    fn a_recurrent_layer_shows_its_weights_on_the_input_by_the_inputs_names() {
        let task = Recipe::new(Arc::new(Association::REVERSAL)).unwrap().task;
        let layers = [
            Layer::from(Recurrent::new(task.inputs(), 3, Rate::fixed(0.1))),
            Layer::from(Dense::new(3, 2)),
        ];
        let network = Network::new(Loss::SoftmaxCrossEntropy, layers).unwrap();
        let mut parameters = Parameters::<f32>::new(&network, 1).unwrap();
        parameters.view_mut(0, Role::InputWeight).unwrap()[[0, 2, 1]] = -4.5;
        let text = draw(&*task, &network, &parameters);
        for part in ["U, weights on the input of layer 0", ">−4.50<", ">bit<"] {
            assert!(text.contains(part), "{part}");
        }
        let squares = 3 * task.inputs() + 2 * 9 + 2 * 3;
        assert_eq!(text.matches("<rect").count(), 1 + squares + 4 * 41);
    }

    #[test]
    fn of_large_matrices_every_value_can_be_seen() {
        let task = Recipe::new(Arc::new(Association::REVERSAL)).unwrap().task;
        let layers = [
            Layer::from(Plastic::new(300, 2, Rate::fixed(0.1)).activation(Activation::Tanh)),
            Layer::from(Dense::new(2, 80)),
        ];
        let network = Network::new(Loss::SoftmaxCrossEntropy, layers).unwrap();
        let mut parameters = Parameters::<f32>::new(&network, 1).unwrap();
        parameters.view_mut(0, Role::Weight).unwrap()[[0, 1, 299]] = -7.0;
        let text = draw(&*task, &network, &parameters);
        for note in [
            "2 × 300: a square is the largest of 1 × 5",
            "80 × 2: a square is the largest of 2 × 1",
        ] {
            assert!(text.contains(note), "{note}");
        }
        // The last value, and the end of the colour bar.
        assert!(text.matches("#B8372F").count() >= 2);
    }

    #[test]
    fn shades_run_from_negative_over_nearly_white_to_positive() {
        assert_eq!(shade(-2.0, 2.0), NEGATIVE);
        assert_eq!(shade(2.0, 2.0), LINE);
        assert_eq!(shade(0.0, 2.0), RGBColor(0xf6, 0xf6, 0xf6));
        assert_eq!(shade(0.0, 0.0), RGBColor(0xf6, 0xf6, 0xf6));
        assert!(is_dark(LINE) && !is_dark(shade(0.1, 1.0)));
    }
}
