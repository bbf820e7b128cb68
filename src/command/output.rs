//! What a command tells the world: lines, and how it ended.

use super::message::shortened;
use metaplastic::Error;
use std::fmt::Display;
use std::io::Write;

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

/// Writes a line to standard error, shortened if need be. Where nobody listens, there is nobody to tell.
pub(super) fn note(line: impl Display) {
    let _ = writeln!(std::io::stderr().lock(), "{}", shortened(&line.to_string()));
}

/// Writes text and a line's end to standard output. A reader that has gone away is no error.
pub(super) fn say(text: impl Display) -> metaplastic::Result<()> {
    let mut output = std::io::stdout().lock();
    match writeln!(output, "{text}").and_then(|()| output.flush()) {
        Err(source) if source.kind() != std::io::ErrorKind::BrokenPipe => Err(Error::Write {
            path: "standard output".into(),
            source,
        }),
        _ => Ok(()),
    }
}
