//! Everything that can go wrong, each with the name of the thing and the numbers.
//!
//! Every fallible call returns an [`Error`]. Its text is for people. A program matches its variants, or asks what can be done
//! about it ([`Error::kind`]).

use std::path::PathBuf;

/// The result of every fallible operation of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What another library says of an error.
pub type Cause = Box<dyn std::error::Error + Send + Sync>;

/// What a program can do about an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// An argument, a setting or an array is wrong: give another. Nothing was computed.
    Input,
    /// A file or folder is missing, is of another format, cannot be read, or cannot be written.
    File,
    /// There is too little memory, or the device's limits are too narrow: make the work smaller.
    Capacity,
    /// There is no such engine or device here: choose another.
    Unavailable,
    /// The device or its driver failed: what it had not given back is lost.
    Device,
    /// A defect of this crate: report it.
    Defect,
}

/// Why an operation was refused or did not complete.
///
/// Every variant that stems from bad input is found before any compute starts.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// An array's shape is not what the network, the population or the other arrays call for.
    #[error("{name}: shape {actual:?}, expected {expected}")]
    Shape {
        /// The tensor, by its name in files (`layer0.weight`, `input`, …).
        name: String,
        /// The shape required, axes named.
        expected: String,
        /// The shape given.
        actual: Vec<usize>,
    },
    /// A tensor that the network needs is not there.
    #[error("{name}: missing tensor, expected shape {expected}")]
    MissingTensor {
        /// The tensor.
        name: String,
        /// The shape it should have, axes named.
        expected: String,
    },
    /// A tensor that this network has no use for.
    #[error("{name}: unknown tensor; this network takes {known}")]
    UnknownTensor {
        /// The tensor.
        name: String,
        /// The names that are accepted.
        known: String,
    },
    /// A tensor holds elements of a type that means nothing there.
    #[error("{name}: elements are {actual}, expected {expected}")]
    ElementType {
        /// The tensor.
        name: String,
        /// The element types that are accepted.
        expected: String,
        /// The element type found.
        actual: String,
    },
    /// A NaN or an infinite value in the input.
    #[error(
        "{name}: element {index:?} is {value}, expected finite values ({count} of {total} are not)"
    )]
    NotFinite {
        /// The tensor.
        name: String,
        /// Index of the first offending element.
        index: Vec<usize>,
        /// Its value.
        value: f64,
        /// How many elements are NaN or infinite.
        count: usize,
        /// How many elements there are.
        total: usize,
    },
    /// A size that must be at least one is zero.
    #[error("{field}: zero, expected at least 1")]
    ZeroSize {
        /// The field.
        field: String,
    },
    /// Another process could not do what it was asked for.
    #[error("rank {rank}: {reason}")]
    Rank {
        /// Its number.
        rank: usize,
        /// What it said.
        reason: String,
    },
    /// Processes share a batch, and one of them failed, so that the others have no gradient.
    #[error("a process that shares the batch failed; what it said, it has told rank 0")]
    Ranks,
    /// A setting or an argument is out of its range, or two of them contradict each other.
    #[error("{field}: {reason}")]
    Setting {
        /// The setting.
        field: String,
        /// What is wrong, with the numbers.
        reason: String,
    },
    /// A name that is none of those that there are.
    #[error("{what}: {name:?}, expected {known}")]
    UnknownName {
        /// What it should be the name of.
        what: String,
        /// The name given.
        name: String,
        /// The names that there are.
        known: String,
    },
    /// Parameters or gradients of another network, or of another number of networks.
    #[error("{name}: {reason}")]
    OtherNetwork {
        /// What they are: `parameters`, `gradients`, `first moments` or `second moments`.
        name: String,
        /// In what they differ.
        reason: String,
    },
    /// What is differentiated is missing, given twice, or not what the network's loss or the call is for.
    #[error("{name}: {reason}")]
    Objective {
        /// The part of the objective: `target`, `output_gradient`, `mask` or `objective`.
        name: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A call at the wrong time: another has to come before it, or the session was opened for other calls.
    #[error("{what}: {reason}")]
    OutOfTurn {
        /// What stands in the way.
        what: String,
        /// What to call first, or how to open the session.
        reason: String,
    },
    /// The text of a plasticity rule is not in the language.
    #[error("rule, column {column}: {reason}\n{}", pointed_at(text, *column))]
    Rule {
        /// The text.
        text: String,
        /// The character that it is about, counted from 1; one beyond the last at the end.
        column: usize,
        /// What is wrong there.
        reason: String,
    },
    /// A coefficient that a plasticity rule cannot have, or does not use.
    #[error("coefficient `{}`: {reason}", name.escape_debug())]
    Coefficient {
        /// Its name.
        name: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A TOML text is not what it should be.
    #[error("{origin}: {}", plain(source))]
    Toml {
        /// The file, or what the text describes.
        origin: String,
        /// The parser's account, with line and column.
        source: Cause,
    },
    /// What a file or a text holds does not fit; says in which file.
    #[error("{origin}: {source}")]
    In {
        /// The file, or what the text describes.
        origin: String,
        /// What does not fit.
        source: Box<Error>,
    },
    /// More memory than there is.
    #[error("{what}: {requested} bytes requested, {available} bytes available")]
    Memory {
        /// What the memory is for.
        what: String,
        /// Bytes requested (`u128::MAX` where the count itself overflows).
        requested: u128,
        /// Bytes available.
        available: u128,
    },
    /// A file cannot be read.
    #[error("{}: cannot read: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// A file or folder cannot be written.
    #[error("{}: cannot write: {source}", path.display())]
    Write {
        /// The file or folder.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// A safetensors file is truncated or malformed.
    #[error("{origin}: not a valid safetensors file: {source}")]
    Tensors {
        /// The file, or what the bytes are.
        origin: String,
        /// The format library's reason.
        source: Cause,
    },
    /// Another process is about to write a run into the folder.
    #[error(
        "{}: another run is in progress there (it has locked .metaplastic-lock); wait for it, or choose another folder",
        path.display()
    )]
    RunInProgress {
        /// The folder.
        path: PathBuf,
    },
    /// A run could not be written to its folder, and was saved in another one.
    #[error("{error}; the run is saved in {}", path.display())]
    SavedElsewhere {
        /// Why.
        error: Box<Error>,
        /// The folder that it was saved in.
        path: PathBuf,
    },
    /// A folder already holds a run.
    #[error("{}: holds a run already; choose another folder, go on with it if it has not ended (metaplastic resume), or pass --force", path.display())]
    RunExists {
        /// The folder.
        path: PathBuf,
    },
    /// A folder holds no run.
    #[error("{}: holds no run: it has no run.toml", path.display())]
    NoRun {
        /// The folder.
        path: PathBuf,
    },
    /// A run that has ended has lost a file.
    #[error(
        "{}: missing; metaplastic resume makes it again if the run has left a checkpoint, else metaplastic train --recipe trains \
         anew with its run.toml",
        path.display()
    )]
    RunIncomplete {
        /// The file.
        path: PathBuf,
    },
    /// A folder does not hold a complete run, or its files contradict each other.
    #[error("{}: not the file of a complete run: {reason}", path.display())]
    Run {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A folder holds a run that has not ended, where one is needed that has, or at least a checkpoint.
    #[error(
        "{}: the run has not ended; wait for it, or go on with it (metaplastic resume)",
        path.display()
    )]
    RunUnfinished {
        /// The folder.
        path: PathBuf,
    },
    /// A checkpoint is damaged, or not one of the run.
    #[error("{}: not a checkpoint to go on from: {source}", path.display())]
    Checkpoint {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: Box<Error>,
    },
    /// Two files of a folder are of different runs.
    #[error(
        "{} and {} are of different runs (identities {found} and {expected})",
        path.display(),
        settings.display()
    )]
    RunsMixed {
        /// The one.
        path: PathBuf,
        /// The other, which says what the run is.
        settings: PathBuf,
        /// The identity in the one.
        found: String,
        /// The identity in the other.
        expected: String,
    },
    /// The engine cannot compute in the precision asked for.
    #[error("the {engine} engine computes in {supported} only, not in {asked}")]
    Precision {
        /// The engine.
        engine: &'static str,
        /// What it supports.
        supported: &'static str,
        /// What was asked for.
        asked: &'static str,
    },
    /// No GPU adapter fits the request.
    #[error("no GPU adapter {wanted}; found: {found}")]
    NoAdapter {
        /// What was wanted.
        wanted: String,
        /// The adapters there are.
        found: String,
    },
    /// The program was built without the GPU engine.
    #[error("the GPU engine is not in this build (cargo feature `gpu`)")]
    NoGpuSupport,
    /// The GPU driver refused or failed an operation.
    #[error("{device}: {operation} failed: {reason}")]
    Device {
        /// The device's name.
        device: String,
        /// What was being done.
        operation: String,
        /// The driver's or the API's account.
        reason: String,
    },
    /// The GPU device was lost; nothing it computed since the last report is used.
    #[error("{device}: device lost: {reason}")]
    DeviceLost {
        /// The device's name.
        device: String,
        /// The driver's account.
        reason: String,
    },
    /// A learner's device failed in the middle of an earlier call, so that its networks may be at different meta-steps.
    #[error(
        "an earlier call on this learner did not finish ({reason}); go on with a new learner from parameters that are known"
    )]
    Unfinished {
        /// Why it did not.
        reason: String,
    },
    /// A layer is too large for a limit of the device that no cut can work around.
    #[error("{what}: {requested} exceeds the device's limit of {limit}")]
    DeviceLimit {
        /// The thing and its unit.
        what: String,
        /// What is needed.
        requested: u64,
        /// What the device allows.
        limit: u64,
    },
    /// A shader template does not render: a defect of this crate.
    #[error("shader {name}: {source}")]
    Shader {
        /// The template.
        name: String,
        /// The template engine's account.
        source: Cause,
    },
}

/// What a reader of TOML says, in words for people: it speaks of Rust's types, and ends with a line break.
fn plain(source: &Cause) -> String {
    const WORDS: [(&str, &str); 7] = [
        ("expected usize", "expected a whole number, at least 0"),
        ("expected u64", "expected a whole number, at least 0"),
        ("expected u32", "expected a whole number, at least 0"),
        ("expected f64", "expected a number"),
        ("expected f32", "expected a number"),
        ("expected struct ", "expected a "),
        ("expected internally tagged enum ", "expected a "),
    ];
    let text = source.to_string().trim_end().to_owned();
    let in_words = |text: String, (from, to): &(&str, &str)| text.replace(from, to);
    WORDS.iter().fold(text, in_words)
}

impl Error {
    /// A setting that is out of range or in contradiction with another.
    pub(crate) fn setting(field: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::Setting {
            field: field.into(),
            reason: reason.into(),
        }
    }

    /// The same of a setting of a layer, by its index.
    pub(crate) fn of_layer(self, index: usize) -> Self {
        match self {
            Self::Setting { field, reason } => Self::Setting {
                field: format!("layer{index}.{field}"),
                reason,
            },
            other => other,
        }
    }

    /// Parameters or gradients of another network.
    pub(crate) fn other_network(name: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::OtherNetwork {
            name: name.into(),
            reason: reason.into(),
        }
    }

    /// An objective that is missing, or does not fit.
    pub(crate) fn objective(name: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::Objective {
            name: name.into(),
            reason: reason.into(),
        }
    }

    /// A call at the wrong time.
    pub(crate) fn out_of_turn(what: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::OutOfTurn {
            what: what.into(),
            reason: reason.into(),
        }
    }

    /// What a program can do about it.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Shape { .. }
            | Self::MissingTensor { .. }
            | Self::UnknownTensor { .. }
            | Self::ElementType { .. }
            | Self::NotFinite { .. }
            | Self::ZeroSize { .. }
            | Self::Setting { .. }
            | Self::UnknownName { .. }
            | Self::OtherNetwork { .. }
            | Self::Objective { .. }
            | Self::OutOfTurn { .. }
            | Self::Toml { .. }
            | Self::Rule { .. }
            | Self::Coefficient { .. }
            | Self::Precision { .. } => ErrorKind::Input,
            Self::In { source, .. } => source.kind(),
            Self::SavedElsewhere { error, .. } => error.kind(),
            Self::Read { .. }
            | Self::Write { .. }
            | Self::Tensors { .. }
            | Self::RunInProgress { .. }
            | Self::RunExists { .. }
            | Self::NoRun { .. }
            | Self::Run { .. }
            | Self::RunIncomplete { .. }
            | Self::RunUnfinished { .. }
            | Self::Checkpoint { .. }
            | Self::RunsMixed { .. } => ErrorKind::File,
            Self::Memory { .. } | Self::DeviceLimit { .. } => ErrorKind::Capacity,
            Self::NoAdapter { .. } | Self::NoGpuSupport => ErrorKind::Unavailable,
            Self::Device { .. }
            | Self::DeviceLost { .. }
            | Self::Unfinished { .. }
            | Self::Rank { .. }
            | Self::Ranks => ErrorKind::Device,
            Self::Shader { .. } => ErrorKind::Defect,
        }
    }

    /// The same error, with the file or text that it was found in; unchanged if it says so itself.
    #[must_use]
    pub fn within(self, origin: &str) -> Self {
        match self {
            Self::Read { .. } | Self::Tensors { .. } | Self::Toml { .. } | Self::In { .. } => self,
            source => Self::In {
                origin: origin.to_owned(),
                source: Box::new(source),
            },
        }
    }
}

/// Characters that are shown on either side of the one that an error is about.
const CONTEXT: usize = 40;

/// The part of a text around a column, and a caret below that character.
fn pointed_at(text: &str, column: usize) -> String {
    let at = column.saturating_sub(1);
    let start = at.saturating_sub(CONTEXT);
    let end = at + CONTEXT;
    let mut shown = text.chars().skip(start);
    // A line break in a text is a space to a rule.
    let line = shown.by_ref().take(end - start);
    let line: String = line.map(|c| if c.is_control() { ' ' } else { c }).collect();
    let before = if start > 0 { "…" } else { "" };
    let after = if shown.next().is_some() { "…" } else { "" };
    let indent = " ".repeat(before.chars().count() + at - start);
    format!("  {before}{line}{after}\n  {indent}^")
}
