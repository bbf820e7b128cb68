//! What stands around a chart: heading, key, notes.

use super::style::{self, Canvas, Drawn, FAINT, INK, at, font, px};
use super::svg::labelled;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

/// The space at the left of the heading, and at either side of a chart.
const SIDE: u32 = 24;
/// From one line of small letters to the next.
const LINE: u32 = 19;
/// The width of a sample in the key, and the space behind it and behind its text.
const SAMPLE: u32 = 22;
const GAP: u32 = 7;
const APART: u32 = 18;
const SMALL: u32 = 14;

/// The sample of an entry of a chart's key.
#[derive(Clone, Debug)]
pub enum Mark {
    /// A line.
    Line(ShapeStyle),
    /// A broken line in the colour of notes.
    Dashes,
    /// A filled rectangle.
    Patch(RGBColor),
}

/// A chart's heading, key and notes.
#[derive(Clone, Debug, Default)]
pub struct Frame {
    /// The heading, which is the drawing's title for screen readers too.
    pub title: String,
    /// A sentence or two below the heading.
    pub about: String,
    /// Samples with what they mean.
    pub key: Vec<(Mark, String)>,
    /// What has to be said about the chart, below it.
    pub notes: Vec<String>,
    /// Width and height of what is left for the chart, in pixels.
    pub size: (u32, u32),
}

impl Frame {
    /// The drawing; `chart` draws what is within.
    ///
    /// # Panics
    /// If `chart` fails.
    pub fn draw(&self, chart: impl FnOnce(&Canvas<'_>) -> Drawn) -> String {
        let (width, height) = self.size;
        let (about, notes) = (self.wrapped(&self.about), self.lines_of_notes());
        let rows = self.rows();
        let head = 44 + LINE * about.len() as u32 + 24 * rows.len() as u32;
        let foot = match notes.len() as u32 {
            0 => 0,
            count => LINE * count + 8,
        };
        let svg = style::draw((width, head + height + foot), |area| {
            area.draw_text(&self.title, &font(20, &INK), at(SIDE, 14))?;
            let mut y = 42;
            for line in &about {
                area.draw_text(line, &font(SMALL, &FAINT), at(SIDE, y))?;
                y += LINE;
            }
            for row in &rows {
                for (x, (mark, text)) in row {
                    entry(area, (*x, y + 12), mark, text)?;
                }
                y += 24;
            }
            let (_, below) = area.split_vertically(px(head));
            let (middle, _) = below.split_vertically(px(height));
            chart(&middle)?;
            for (line, y) in notes.iter().zip((head + height..).step_by(LINE as usize)) {
                area.draw_text(line, &font(SMALL, &FAINT), at(SIDE, y))?;
            }
            Ok(())
        });
        let texts: Vec<_> = std::iter::once(self.about.as_str())
            .chain(self.notes.iter().map(String::as_str))
            .collect();
        labelled(&svg, &self.title, texts.join(" ").trim())
    }

    fn wrapped(&self, text: &str) -> Vec<String> {
        wrap(text, self.size.0 - 2 * SIDE, SMALL)
    }

    fn lines_of_notes(&self) -> Vec<String> {
        let notes = self.notes.iter();
        notes.flat_map(|note| self.wrapped(note)).collect()
    }

    /// The entries of the key, line by line, each with the place where it begins.
    fn rows(&self) -> Vec<Vec<(u32, &(Mark, String))>> {
        let mut rows: Vec<Vec<(u32, &(Mark, String))>> = Vec::new();
        let mut x = u32::MAX;
        for entry in &self.key {
            let width = SAMPLE + GAP + width(&entry.1, SMALL);
            if x.saturating_add(width) > self.size.0 - SIDE {
                rows.push(Vec::new());
                x = SIDE;
            }
            rows.last_mut().expect("there is one").push((x, entry));
            x += width + APART;
        }
        rows
    }
}

fn entry(area: &Canvas<'_>, (x, y): (u32, u32), mark: &Mark, text: &str) -> Drawn {
    match mark {
        Mark::Line(style) => {
            area.draw(&PathElement::new([at(x, y), at(x + SAMPLE, y)], *style))?;
        }
        Mark::Dashes => {
            for dash in [x, x + 8, x + 16] {
                let style = FAINT.stroke_width(px(1));
                area.draw(&PathElement::new([at(dash, y), at(dash + 5, y)], style))?;
            }
        }
        Mark::Patch(colour) => {
            let corners = [at(x, y - 7), at(x + SAMPLE, y + 7)];
            area.draw(&Rectangle::new(corners, colour.filled()))?;
        }
    }
    let style = font(SMALL, &INK).pos(Pos::new(HPos::Left, VPos::Center));
    area.draw_text(text, &style, at(x + SAMPLE + GAP, y))?;
    Ok(())
}

/// About how wide a text is. Wide letters are reckoned with, since a reader's font is not known.
fn width(text: &str, pixels: u32) -> u32 {
    text.chars().count() as u32 * pixels * 58 / 100
}

/// A text in lines of at most so many pixels.
fn wrap(text: &str, most: u32, pixels: u32) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if width(line, pixels) + width(word, pixels) + pixels / 2 <= most => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_texts_are_broken_into_lines_and_none_is_lost() {
        let text = "a median final error of 0.0123 over the last 500 episodes";
        let lines = wrap(text, 150, 14);
        assert!(lines.len() > 2 && lines.iter().all(|line| width(line, 14) <= 150));
        assert_eq!(lines.join(" "), text);
        assert!(wrap("", 100, 14).is_empty());
    }

    #[test]
    fn a_drawing_grows_with_its_key_and_its_notes_and_has_a_title() {
        let mut frame = Frame {
            title: "A & B".to_owned(),
            size: (400, 100),
            ..Frame::default()
        };
        let height = |frame: &Frame| -> u32 {
            let svg = frame.draw(|_| Ok(()));
            let (_, rest) = svg.split_once(" height=\"").unwrap();
            rest.split('"').next().unwrap().parse().unwrap()
        };
        let bare = height(&frame);
        frame.key = vec![(Mark::Dashes, "a rather long word".to_owned()); 3];
        assert_eq!(height(&frame), bare + 72);
        frame.notes = vec!["note".to_owned()];
        assert_eq!(height(&frame), bare + 72 + 27);
        let svg = frame.draw(|_| Ok(()));
        assert!(svg.contains(">A &amp; B</title>") && svg.contains(">note</desc>"));
    }
}
