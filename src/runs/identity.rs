//! What tells the files of one run from those of another.

use crate::error::{Error, Result};
use crate::training::Trained;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::path::Path;
use xxhash_rust::xxh3::Xxh3;

/// The key under which files carry it.
pub const KEY: &str = "identity";

/// Around the identity in a drawing; the word is [`KEY`].
const SVG_START: &str = "<!-- identity: ";
const SVG_END: &str = " -->";

/// The identity of a run: a digest of its settings, its parameters and its reports. Runs that are equal in these have
/// the same one, and any of their files may stand for the other's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Identity(String);

impl Identity {
    /// Of a run with these settings, as TOML.
    pub fn new(settings: &str, trained: &Trained) -> Self {
        let mut hash = Xxh3::new();
        hash.update(settings.as_bytes());
        hash.update(bytemuck::cast_slice(trained.parameters.values()));
        for report in &trained.history {
            hash.update(&report.episode.to_le_bytes());
            hash.update(bytemuck::cast_slice(&report.error));
        }
        Self(format!("{:032x}", hash.digest128()))
    }

    /// As a comment of a TOML file.
    pub fn toml_comment(&self) -> String {
        format!("{}{self}\n", toml_prefix())
    }

    /// The identity in a TOML file's first line.
    pub fn of_toml(text: &str) -> Option<&str> {
        text.lines().next()?.strip_prefix(&toml_prefix())
    }

    /// A drawing with the identity in a comment.
    pub fn mark_svg(&self, svg: &str) -> String {
        let text = svg.trim_end();
        match text.strip_suffix("</svg>") {
            Some(body) => format!("{body}{SVG_START}{self}{SVG_END}</svg>\n"),
            None => svg.to_owned(),
        }
    }

    /// The identity in a drawing's comment.
    pub fn of_svg(svg: &str) -> Option<&str> {
        let (_, rest) = svg.rsplit_once(SVG_START)?;
        Some(rest.split_once(SVG_END)?.0)
    }

    /// Compares `found`, in the file `path`, with this identity, which the file `settings` has.
    ///
    /// # Errors
    /// If it is another, or there is none.
    pub fn require(&self, found: Option<&str>, path: &Path, settings: &Path) -> Result<()> {
        match found {
            Some(found) if found == self.0 => Ok(()),
            Some(found) => Err(Error::RunsMixed {
                path: path.to_owned(),
                settings: settings.to_owned(),
                found: found.to_owned(),
                expected: self.0.clone(),
            }),
            None => Err(Error::Run {
                path: path.to_owned(),
                reason: format!("it does not say of which run it is (no {KEY})"),
            }),
        }
    }
}

impl From<String> for Identity {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn toml_prefix() -> String {
    format!("# {KEY}: ")
}
