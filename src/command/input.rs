//! Text files that a person hands in.

use metaplastic::file::read_text;
use metaplastic::number::Real;
use metaplastic::{Error, Network, Result};
use std::path::Path;
use toml::Table;

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

/// The table of a recipe's text, which errors call `origin`.
pub(super) fn read_table(text: &str, origin: &str) -> Result<Table> {
    text.parse().map_err(|source| Error::Toml {
        origin: origin.to_owned(),
        source: Box::new(source),
    })
}
