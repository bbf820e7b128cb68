//! Files for figures, as arguments.

use metaplastic::Result;
use metaplastic::runs::figure::Format;
use std::path::Path;

/// A figure's file, and its format by the ending.
pub(super) fn figure_file<'a>(
    path: Option<&'a Path>,
    option: &str,
) -> Result<Option<(&'a Path, Format)>> {
    path.map(|path| Ok((path, Format::of(path, option)?)))
        .transpose()
}
