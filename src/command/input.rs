//! Text files that a person hands in.

use metaplastic::file::read_text;
use metaplastic::number::Real;
use metaplastic::{Error, Network, Result};
use std::path::Path;

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
