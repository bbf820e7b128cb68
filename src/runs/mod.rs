//! Runs on disk: the folder of a run, its files, figures and summary. Needs the feature `runs`.
//!
//! A folder is wanted ([`Wanted`]), then claimed, so that no other process writes to it ([`Folder`]). A run that goes on there
//! ([`Live`]) writes its settings, reports and checkpoints. A run that has ended ([`Run`]) is saved, all of its files or none, and
//! read back later ([`StoredRun`]).

pub mod checkpoint;
mod claim;
pub mod decimal;
pub mod figure;
pub mod files;
mod folder;
pub mod identity;
pub mod list;
mod live;
pub mod names;
mod record;
mod resume;
mod run;
pub mod series;
mod settings;
pub mod staging;
mod stored;
mod summary;
mod typical;
mod write;

pub use folder::{Folder, Wanted};
pub use live::Live;
pub use record::Record;
pub use resume::Unfinished;
pub use run::{Begun, Run};
pub use settings::{Label, Origin, recipe_of_run};
pub use stored::StoredRun;
pub use summary::Summary;
pub use typical::{typical, typical_of};
