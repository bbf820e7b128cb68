//! What a command tells the world: lines, and how it ended.

use super::message::shortened;
use metaplastic::Error;
use std::fmt::Display;
use std::io::Write;
use std::path::{Path, PathBuf};

/// How a command ended, if not by an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    Done,
    NotFinite,
    Interrupted,
}

impl Ending {
    /// The worse of two.
    pub fn worse(self, other: Self) -> Self {
        match (self, other) {
            (Self::Interrupted, _) | (_, Self::Interrupted) => Self::Interrupted,
            (Self::NotFinite, _) | (_, Self::NotFinite) => Self::NotFinite,
            _ => Self::Done,
        }
    }
}

/// Fails where two files to be written, each by the name of its option, are one, or one of them is among those that are read.
pub(super) fn require_apart<'a>(
    outputs: impl IntoIterator<Item = (&'a str, &'a Path)>,
    inputs: &[PathBuf],
) -> metaplastic::Result<()> {
    let inputs: Vec<_> = inputs.iter().map(|path| whole(path)).collect();
    let mut earlier: Vec<(&str, PathBuf)> = Vec::new();
    for (option, path) in outputs {
        let whole = whole(path);
        let wrong = |what: String| Error::Setting {
            field: option.into(),
            reason: format!("{} {what}", path.display()),
        };
        if inputs.contains(&whole) {
            return Err(wrong("is also an input: choose another file".into()));
        }
        if let Some((other, _)) = earlier.iter().find(|(_, other)| *other == whole) {
            return Err(wrong(format!("is also the file of {other}")));
        }
        earlier.push((option, whole));
    }
    Ok(())
}

/// The path without links, whether there is a file or not.
fn whole(path: &Path) -> PathBuf {
    let folder = match path.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    };
    let in_folder = || Some(folder.canonicalize().ok()?.join(path.file_name()?));
    let found = path.canonicalize().ok().or_else(in_folder);
    found.unwrap_or_else(|| path.to_owned())
}

/// Writes a line to standard error, shortened if need be. Where nobody listens, there is nobody to tell.
pub(super) fn note(line: impl Display) {
    let _ = writeln!(std::io::stderr().lock(), "{}", shortened(&line.to_string()));
}

/// Writes text and a line's end to standard output. A reader that has gone away is no error.
pub(super) fn say(text: impl Display) -> metaplastic::Result<()> {
    let mut output = std::io::stdout().lock();
    heard(writeln!(output, "{text}").and_then(|()| output.flush()))
}

/// What came of writing to standard output. A reader that has gone away is no error.
pub(super) fn heard(written: std::io::Result<()>) -> metaplastic::Result<()> {
    match written {
        Err(source) if source.kind() != std::io::ErrorKind::BrokenPipe => Err(Error::Write {
            path: "standard output".into(),
            source,
        }),
        _ => Ok(()),
    }
}
