//! The few SVG elements that drawings beside charts are made of.

use super::style::{INK, PAPER, hex};
use plotters::style::RGBColor;
use std::fmt::Write;
use xxhash_rust::xxh3::xxh3_64;

/// Where a text stands relative to its point.
#[derive(Clone, Copy, Debug)]
pub(super) enum Anchor {
    Start,
    Middle,
    End,
}

/// A drawing in the making.
#[derive(Debug, Default)]
pub(super) struct Svg {
    body: String,
}

impl Svg {
    /// Adds an element: its name and attributes, as they stand in the file.
    fn element(&mut self, element: std::fmt::Arguments<'_>) {
        writeln!(self.body, "<{element}/>").expect("writing into a string does not fail");
    }

    pub fn rectangle(&mut self, (x, y): (f64, f64), (width, height): (f64, f64), fill: &str) {
        self.element(format_args!(
            "rect x=\"{x:.2}\" y=\"{y:.2}\" width=\"{width:.2}\" height=\"{height:.2}\" fill=\"{fill}\""
        ));
    }

    pub fn circle(&mut self, (x, y): (f64, f64), radius: f64) {
        let (ink, paper) = (hex(INK), hex(PAPER));
        self.element(format_args!(
            "circle cx=\"{x:.2}\" cy=\"{y:.2}\" r=\"{radius}\" fill=\"{paper}\" stroke=\"{ink}\" stroke-width=\"1.4\""
        ));
    }

    /// A curve from one point to another, bent through a third; `dashes` as in `stroke-dasharray`.
    pub fn curve(
        &mut self,
        [(x1, y1), (x2, y2), (x3, y3)]: [(f64, f64); 3],
        colour: RGBColor,
        width: f64,
        dashes: Option<&str>,
    ) {
        let dashes = dashes.map_or(String::new(), |d| format!(" stroke-dasharray=\"{d}\""));
        let colour = hex(colour);
        self.element(format_args!(
            "path d=\"M{x1:.2} {y1:.2}Q{x2:.2} {y2:.2} {x3:.2} {y3:.2}\" fill=\"none\" stroke=\"{colour}\" \
             stroke-width=\"{width:.2}\" stroke-opacity=\"0.85\"{dashes}"
        ));
    }

    /// A text that stays legible on top of lines.
    pub fn text_on_lines(&mut self, (x, y): (f64, f64), size: u32, text: &str) {
        let (ink, paper) = (hex(INK), hex(PAPER));
        let text = escape(text);
        writeln!(
            self.body,
            "<text x=\"{x:.2}\" y=\"{y:.2}\" dy=\"0.35em\" text-anchor=\"middle\" font-family=\"sans-serif\" \
             font-size=\"{size}\" fill=\"{ink}\" stroke=\"{paper}\" stroke-width=\"5\" stroke-linejoin=\"round\" \
             paint-order=\"stroke\">{text}</text>"
        )
        .expect("writing into a string does not fail");
    }

    pub fn text(
        &mut self,
        (x, y): (f64, f64),
        anchor: Anchor,
        size: u32,
        colour: RGBColor,
        text: &str,
    ) {
        let anchor = match anchor {
            Anchor::Start => "start",
            Anchor::Middle => "middle",
            Anchor::End => "end",
        };
        let colour = hex(colour);
        let text = escape(text);
        writeln!(
            self.body,
            "<text x=\"{x:.2}\" y=\"{y:.2}\" dy=\"0.35em\" text-anchor=\"{anchor}\" font-family=\"sans-serif\" \
             font-size=\"{size}\" fill=\"{colour}\">{text}</text>"
        )
        .expect("writing into a string does not fail");
    }

    /// The whole drawing, on paper, with a title and a description for those who do not see it.
    pub fn finish(self, (width, height): (f64, f64), title: &str, about: &str) -> String {
        let paper = hex(PAPER);
        let svg = format!(
            "<svg width=\"{width:.0}\" height=\"{height:.0}\" viewBox=\"0 0 {width:.0} {height:.0}\" \
             xmlns=\"http://www.w3.org/2000/svg\">\n\
             <rect width=\"100%\" height=\"100%\" fill=\"{paper}\"/>\n{}</svg>\n",
            self.body
        );
        labelled(&svg, title, about)
    }
}

/// A drawing that screen readers call by its title. The names of the two elements are the drawing's own, so that several may
/// stand on one page.
pub(super) fn labelled(svg: &str, title: &str, about: &str) -> String {
    let Some((start, rest)) = svg.split_once('>') else {
        return svg.to_owned();
    };
    let name = xxh3_64(svg.as_bytes()) as u32;
    let (title, about) = (escape(title), escape(about));
    let mut text = format!(
        "{start} role=\"img\" aria-labelledby=\"title-{name:08x}\" aria-describedby=\"about-{name:08x}\">\n\
         <title id=\"title-{name:08x}\">{title}</title>\n<desc id=\"about-{name:08x}\">{about}</desc>"
    );
    text.push_str(rest);
    text
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_cannot_become_elements() {
        let mut svg = Svg::default();
        svg.text((0.0, 0.0), Anchor::Start, 12, INK, "<script> & co");
        let text = svg.finish((10.0, 10.0), "a < b", "");
        assert!(text.contains("&lt;script&gt; &amp; co") && !text.contains("<script>"));
        assert!(text.contains(">a &lt; b</title>"));
    }
}
