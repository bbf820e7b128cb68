//! Drawings, as SVG.

mod curve;
mod heat_map;
mod network;
mod recall;
mod steps;
mod style;
mod svg;

pub use curve::curve;
pub use heat_map::heat_maps;
pub use network::{Picture, network};
pub use recall::{Recalled, recall};
pub use steps::steps;
