//! Drawings, as SVG, and their files.

mod activity;
mod axis;
mod bins;
mod compare;
mod curve;
mod file;
mod frame;
mod heat_map;
mod lines;
mod network;
mod recall;
mod steps;
pub mod style;
mod svg;
mod sweep;

pub use activity::{Recorded, activity};
pub use axis::Axis;
pub use compare::{Compared, compare};
pub use curve::curve;
pub use file::Format;
pub use frame::{Frame, Mark};
pub use heat_map::heat_maps;
pub use network::{Picture, network};
pub use recall::{Recalled, recall};
pub use steps::steps;
pub use sweep::sweep;
