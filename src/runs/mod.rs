//! Runs on disk: the folder of a run, its files, figures and summary. Needs the feature `runs`.
//!
//! A folder is wanted ([`Wanted`]), then claimed, so that no other process writes to it ([`Folder`]); a run that has ended
//! ([`Run`]) is saved there, all of its files or none, and read back later ([`StoredRun`]).

mod claim;
pub mod decimal;
pub mod figure;
pub mod files;
mod folder;
pub mod identity;
pub mod names;
mod record;
mod run;
pub mod staging;
mod stored;
mod summary;
mod typical;
mod write;

pub use folder::{Folder, Wanted, remove};
pub use record::{Origin, Record};
pub use run::Run;
pub use stored::StoredRun;
pub use summary::Summary;
pub use typical::typical;
