//! Patterns, what is shown of them, and what networks bring back.

use super::heat_map::shade;
use super::style::{FAINT, INK, LINE, NEGATIVE, hex};
use super::svg::{Anchor, Svg};
use crate::training::Recall;
use plotters::style::RGBColor;

/// Bits of a pattern that are drawn.
const MOST_BITS: usize = 2_500;
/// From so many bits on one episode is enough to see.
const MANY_BITS: usize = 400;
/// The most episodes that are drawn.
const MOST_EPISODES: usize = 3;
/// The width of a pattern, and the space between two.
const PANEL: f64 = 156.0;
const GAP: f64 = 22.0;
const LEFT: f64 = 24.0;
const TOP: f64 = 100.0;

/// A network in the drawing.
#[derive(Clone, Copy, Debug)]
pub struct Recalled<'a> {
    /// The heading of what it brings back.
    pub heading: &'a str,
    /// A line on the network, below the drawing's heading.
    pub about: &'a str,
    /// What it brings back.
    pub recall: &'a Recall,
}

/// A row for each episode: the pattern, what is shown of it, and what each of the networks brings back. The networks see the
/// same episodes.
///
/// # Panics
/// If there is no network.
pub fn recall(title: &str, networks: &[Recalled<'_>]) -> String {
    let first = networks[0].recall;
    let mut svg = Svg::default();
    svg.text((LEFT, 30.0), Anchor::Start, 21, INK, title);
    let mut y = 56.0;
    for network in networks {
        svg.text((LEFT, y), Anchor::Start, 14, FAINT, network.about);
        y += 20.0;
    }
    y += TOP - 76.0;

    let (episodes, bits) = first.pattern.dim();
    let grid = Grid::new(bits.min(MOST_BITS));
    let shown = match bits < MANY_BITS {
        true => episodes.min(MOST_EPISODES),
        false => episodes.min(1),
    };
    let place = |panel: usize| LEFT + panel as f64 * (PANEL + GAP);
    let headings = ["pattern", "what is shown"].into_iter();
    let headings = headings.chain(networks.iter().map(|network| network.heading));
    for (panel, heading) in headings.enumerate() {
        svg.text((place(panel), y), Anchor::Start, 15, INK, heading);
    }
    y += 18.0;
    for episode in 0..shown {
        let cue = |bit| {
            f64::from(first.cue[[episode, bit]].signum())
                * f64::from(!first.is_hidden(episode, bit))
        };
        grid.draw(&mut svg, (place(0), y), |bit| {
            f64::from(first.pattern[[episode, bit]])
        });
        grid.draw(&mut svg, (place(1), y), cue);
        let below = y + grid.height() + 12.0;
        for (index, Recalled { recall, .. }) in networks.iter().enumerate() {
            let at = (place(2 + index), y);
            grid.draw(&mut svg, at, |bit| f64::from(recall.output[[episode, bit]]));
            grid.mark(&mut svg, at, |bit| recall.is_wrong(episode, bit));
            let count = |is: &dyn Fn(usize) -> bool| (0..bits).filter(|&bit| is(bit)).count();
            let wrong = count(&|bit| recall.is_wrong(episode, bit));
            let hidden = count(&|bit| recall.is_hidden(episode, bit));
            let text = format!("{wrong} of {hidden} wrong");
            svg.text((at.0, below), Anchor::Start, 14, INK, &text);
        }
        y = below + 26.0;
    }
    legend(&mut svg, y);
    if bits > MOST_BITS {
        y += 24.0;
        let text = format!("the first {MOST_BITS} of {bits} bits");
        svg.text((LEFT, y), Anchor::Start, 14, FAINT, &text);
    }
    let width = place(2 + networks.len()) - GAP + LEFT;
    let about: Vec<_> = networks.iter().map(|network| network.about).collect();
    svg.finish((width, y + 24.0), title, &about.join("; "))
}

/// How the bits of a pattern are laid out: line after line.
struct Grid {
    bits: usize,
    columns: usize,
    cell: f64,
}

impl Grid {
    /// As close to a square as whole lines allow, but no higher than wide.
    fn new(bits: usize) -> Self {
        let least = (1..=bits).find(|side| side * side >= bits).unwrap_or(1);
        let whole = (least..=2 * least).find(|columns| bits.is_multiple_of(*columns));
        let columns = whole.unwrap_or(least);
        let cell = PANEL / columns as f64;
        Self {
            bits,
            columns,
            cell,
        }
    }

    fn height(&self) -> f64 {
        self.cell * self.bits.div_ceil(self.columns) as f64
    }

    fn corner(&self, (x, y): (f64, f64), bit: usize) -> (f64, f64) {
        let (row, column) = (bit / self.columns, bit % self.columns);
        (x + self.cell * column as f64, y + self.cell * row as f64)
    }

    fn draw(&self, svg: &mut Svg, place: (f64, f64), value: impl Fn(usize) -> f64) {
        let gap = if self.cell > 6.0 { 1.0 } else { 0.0 };
        let side = self.cell - gap;
        for bit in 0..self.bits {
            let colour = colour(value(bit));
            svg.rectangle(self.corner(place, bit), (side, side), &hex(colour));
        }
    }

    /// A small square on each of the bits.
    fn mark(&self, svg: &mut Svg, place: (f64, f64), is_marked: impl Fn(usize) -> bool) {
        for bit in (0..self.bits).filter(|&bit| is_marked(bit)) {
            mark(svg, self.corner(place, bit), self.cell);
        }
    }
}

fn mark(svg: &mut Svg, (x, y): (f64, f64), cell: f64) {
    let (inset, side) = (0.32 * cell, 0.36 * cell);
    svg.rectangle((x + inset, y + inset), (side, side), &hex(INK));
}

fn colour(value: f64) -> RGBColor {
    match value.is_finite() {
        true => shade(value, 1.0),
        false => FAINT,
    }
}

fn legend(svg: &mut Svg, y: f64) {
    const SIDE: f64 = 13.0;
    let mut x = LEFT;
    for (colour, is_marked, text) in [
        (LINE, false, "+1"),
        (NEGATIVE, false, "−1"),
        (shade(0.0, 1.0), false, "not shown, or 0"),
        (shade(0.0, 1.0), true, "wrong sign"),
    ] {
        let corner = (x, y - SIDE / 2.0);
        svg.rectangle(corner, (SIDE, SIDE), &hex(colour));
        if is_marked {
            mark(svg, corner, SIDE);
        }
        svg.text((x + SIDE + 7.0, y), Anchor::Start, 14, INK, text);
        x += SIDE + 32.0 + 7.5 * text.chars().count() as f64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    fn two() -> Recall {
        Recall {
            cue: array![[20.0, 0.0, 0.0, -20.0], [0.0, 20.0, -20.0, 0.0]],
            output: array![[1.0, 0.5, 0.25, -1.0], [-1.0, 1.0, -1.0, f32::NAN]],
            pattern: array![[1.0, 1.0, -1.0, -1.0], [-1.0, 1.0, -1.0, 1.0]],
        }
    }

    fn draw(networks: usize) -> String {
        let recall = two();
        let one = Recalled {
            heading: "recalled",
            about: "a <network>",
            recall: &recall,
        };
        super::recall("title", &vec![one; networks])
    }

    #[test]
    fn every_bit_has_its_square_and_every_wrong_one_its_mark() {
        for networks in [1, 2] {
            let text = draw(networks);
            let squares = 2 * (2 + networks) * 4 + networks * 2;
            // And the background, and the legend.
            assert_eq!(text.matches("<rect").count(), 1 + squares + 5, "{text}");
            assert_eq!(text.matches("1 of 2 wrong").count(), 2 * networks);
            // In the drawing, and in its description.
            assert_eq!(text.matches("a &lt;network&gt;").count(), 2 * networks);
        }
        // Neither sign comes back where there is no number.
        assert!(draw(1).contains(&hex(FAINT)));
    }

    #[test]
    fn lines_are_whole_where_they_can_be() {
        let columns = [1, 2, 4, 6, 14, 22, 50, 1_000].map(|bits| Grid::new(bits).columns);
        assert_eq!(columns, [1, 2, 2, 3, 7, 5, 10, 40]);
    }

    #[test]
    fn many_bits_are_cut() {
        let bits = MOST_BITS + 2;
        let ones = ndarray::Array2::ones((3, bits));
        let recall = Recall {
            cue: ones.clone(),
            output: ones.clone(),
            pattern: ones,
        };
        let text = super::recall(
            "title",
            &[Recalled {
                heading: "recalled",
                about: "",
                recall: &recall,
            }],
        );
        assert!(text.contains("of 2502 bits") && text.contains("0 of 0 wrong"));
        assert_eq!(text.matches("<rect").count(), 1 + 3 * MOST_BITS + 5);
    }
}
