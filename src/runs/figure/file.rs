//! Drawings as files: SVG as they are, PNG and PDF made of that.

use crate::error::{Error, Result};
use crate::file::{is_special, write_atomically};
use krilla::geom::Size;
use krilla::page::PageSettings;
use krilla_svg::{SurfaceExt, SvgSettings};
use resvg::tiny_skia::{Pixmap, Transform};
use resvg::usvg::fontdb::Database;
use resvg::usvg::{Options, Tree};
use std::io;
use std::path::Path;
use std::sync::Arc;

/// Pixels of a PNG file for one of the drawing.
const SCALE: f32 = 2.0;

/// The format of a drawing's file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Scalable Vector Graphics.
    Svg,
    /// Portable Network Graphics, with two pixels for one of the drawing.
    Png,
    /// Portable Document Format, a page as large as the drawing.
    Pdf,
}

impl Format {
    /// By the ending of the file's name, in either case of letters. What is there and is no file, such as a pipe, takes SVG, whatever
    /// it is called.
    ///
    /// # Errors
    /// If the ending is another; `option` is what asked for the file.
    pub fn of(path: &Path, option: &str) -> Result<Self> {
        let ending = path.extension().unwrap_or_default();
        match ending.to_string_lossy().to_ascii_lowercase().as_str() {
            "svg" => Ok(Self::Svg),
            "png" => Ok(Self::Png),
            "pdf" => Ok(Self::Pdf),
            _ if is_special(path) => Ok(Self::Svg),
            _ => Err(Error::setting(
                option,
                format!(
                    "{}: a figure's name ends in .svg, .png or .pdf",
                    path.display()
                ),
            )),
        }
    }

    /// Writes a drawing, whole or not at all.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn write(self, path: &Path, svg: &str) -> Result<()> {
        let bytes = match self {
            Self::Svg => Ok(svg.as_bytes().to_vec()),
            Self::Png => parse(svg).and_then(|tree| png(&tree)),
            Self::Pdf => parse(svg).and_then(|tree| pdf(&tree)),
        };
        let bytes = bytes.map_err(|reason| Error::Write {
            path: path.to_owned(),
            source: io::Error::other(reason),
        })?;
        write_atomically(path, |file| file.write_all(&bytes))
    }
}

/// Letters are those of the one font that comes along: a machine may have none, and a figure looks alike on all of them.
fn parse(svg: &str) -> std::result::Result<Tree, String> {
    let mut fonts = Database::new();
    fonts.load_font_data(dejavu::sans::regular().to_vec());
    fonts.set_sans_serif_family("DejaVu Sans");
    let options = Options {
        font_family: "DejaVu Sans".to_owned(),
        fontdb: Arc::new(fonts),
        ..Options::default()
    };
    Tree::from_str(svg, &options).map_err(|error| error.to_string())
}

fn png(tree: &Tree) -> std::result::Result<Vec<u8>, String> {
    let size = tree.size().to_int_size().scale_by(SCALE);
    let pixels = size.and_then(|size| Pixmap::new(size.width(), size.height()));
    let mut pixels = pixels.ok_or("the drawing is too large for a PNG file")?;
    let scale = Transform::from_scale(SCALE, SCALE);
    resvg::render(tree, scale, &mut pixels.as_mut());
    pixels.encode_png().map_err(|error| error.to_string())
}

fn pdf(tree: &Tree) -> std::result::Result<Vec<u8>, String> {
    let size = Size::from_wh(tree.size().width(), tree.size().height());
    let size = size.ok_or("the drawing has no size")?;
    let mut document = krilla::Document::new();
    let mut page = document.start_page_with(PageSettings::new(size));
    let mut surface = page.surface();
    surface
        .draw_svg(tree, size, SvgSettings::default())
        .ok_or("the drawing has no PDF form")?;
    surface.finish();
    page.finish();
    document.finish().map_err(|error| format!("{error:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runs::figure::{Frame, Mark};

    #[test]
    fn the_ending_tells_the_format() {
        for (name, format) in [
            ("a.svg", Format::Svg),
            ("a.b.PNG", Format::Png),
            ("a.Pdf", Format::Pdf),
            ("/dev/stdout", Format::Svg),
        ] {
            assert_eq!(Format::of(Path::new(name), "--output").unwrap(), format);
        }
        for name in ["a.jpeg", "a-file"] {
            let error = Format::of(Path::new(name), "--output").unwrap_err();
            let text = error.to_string();
            assert!(text.contains("--output") && text.contains(name) && text.contains(".png"));
        }
    }

    #[test]
    fn letters_and_lines_reach_every_format() {
        let folder = tempfile::tempdir().unwrap();
        let draw = |title: &str| {
            let frame = Frame {
                title: title.to_owned(),
                key: vec![(Mark::Dashes, "a key".to_owned())],
                size: (300, 80),
                ..Frame::default()
            };
            frame.draw(|_| Ok(()))
        };
        let write = |name: &str, svg: &str| {
            let path = folder.path().join(name);
            let format = Format::of(&path, "--output").unwrap();
            format.write(&path, svg).unwrap();
            std::fs::read(path).unwrap()
        };
        let png = write("a.png", &draw("α = −1"));
        assert!(png.starts_with(b"\x89PNG"));
        let pixels = Pixmap::decode_png(&png).unwrap();
        assert_eq!((pixels.width(), pixels.height()), (600, 2 * (80 + 44 + 24)));
        let inked = |pixels: &Pixmap| {
            let dark = pixels.pixels().iter().filter(|pixel| pixel.red() < 0x60);
            dark.count()
        };
        // More letters, more ink: they are not left out for want of a font.
        let longer = write("b.png", &draw("α = −1, α = −1"));
        let longer = Pixmap::decode_png(&longer).unwrap();
        assert!(inked(&pixels) > 500 && inked(&longer) > inked(&pixels) + 300);
        let pdf = write("a.pdf", &draw("title"));
        assert!(pdf.starts_with(b"%PDF") && pdf.trim_ascii_end().ends_with(b"%%EOF"));
        let has_font = pdf.windows(10).any(|part| part == b"DejaVuSans");
        assert!(has_font);
        assert!(write("a.svg", &draw("title")).starts_with(b"<svg"));
    }

    #[test]
    fn what_is_no_drawing_is_an_error_that_names_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.png");
        let error = Format::Png.write(&path, "no drawing").unwrap_err();
        assert!(error.to_string().contains("a.png"), "{error}");
        assert!(!path.exists());
    }
}
