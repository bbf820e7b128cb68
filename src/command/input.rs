//! Text files that a person hands in.

use metaplastic::{Error, Network, Real, Result};
use std::io::Read;
use std::path::Path;

/// No description, recipe or summary is longer.
const LARGEST: u64 = 64 << 20;

/// The text of a file.
pub(super) fn read_text(path: &Path) -> Result<String> {
    let error = |source| Error::Read {
        path: path.to_owned(),
        source,
    };
    let mut text = String::new();
    let file = std::fs::File::open(path).map_err(error)?;
    let size = file
        .take(LARGEST + 1)
        .read_to_string(&mut text)
        .map_err(error)?;
    if size as u64 > LARGEST {
        let reason = format!("larger than {LARGEST} bytes");
        return Err(error(std::io::Error::other(reason)));
    }
    Ok(text)
}

/// The network that a TOML file describes, for compute in precision `R`.
pub(super) fn read_network<R: Real>(path: &Path) -> Result<Network> {
    let origin = path.display().to_string();
    let network = Network::from_toml(&read_text(path)?, &origin)?;
    let in_range = network.require_range::<R>();
    in_range.map_err(|error| Error::In {
        origin,
        source: Box::new(error),
    })?;
    Ok(network)
}
