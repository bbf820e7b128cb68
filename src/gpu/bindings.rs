//! What kernels bind: by which name, as what, and whether they write it.

use super::shared::Shared;
use super::state::{Control, Part, Progress, State};

/// The name that a kernel has for an array.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Slot {
    Adjoint,
    After,
    Before,
    Columns,
    Control,
    Drive,
    Episodes,
    Gradients,
    Initial,
    Input,
    InputSignal,
    Kept,
    Keys,
    Kinds,
    Losses,
    Mask,
    ModulatorSignal,
    Modulators,
    Moments,
    Output,
    Parameters,
    Partials,
    Parts,
    Present,
    Progress,
    Replayed,
    Scaled,
    Settings,
    Signal,
    Sources,
    States,
    StepInput,
    StepLosses,
    StepOutput,
    Target,
    Traces,
    Words,
}

impl Slot {
    /// In WGSL.
    pub fn name(self) -> &'static str {
        match self {
            Self::Adjoint => "adjoint",
            Self::After => "after",
            Self::Before => "before",
            Self::Columns => "columns",
            Self::Control => "control",
            Self::Drive => "drive",
            Self::Episodes => "episodes",
            Self::Gradients => "gradients",
            Self::Initial => "initial",
            Self::Input => "input",
            Self::InputSignal => "input_signal",
            Self::Kept => "kept",
            Self::Keys => "keys",
            Self::Kinds => "kinds",
            Self::Losses => "losses",
            Self::Mask => "mask",
            Self::ModulatorSignal => "modulator_signal",
            Self::Modulators => "modulators",
            Self::Moments => "moments",
            Self::Output => "output",
            Self::Parameters => "parameters",
            Self::Partials => "partials",
            Self::Parts => "parts",
            Self::Present => "present",
            Self::Progress => "progress",
            Self::Replayed => "replayed",
            Self::Scaled => "scaled",
            Self::Settings => "settings",
            Self::Signal => "signal",
            Self::Sources => "sources",
            Self::States => "states",
            Self::StepInput => "step_input",
            Self::StepLosses => "step_losses",
            Self::StepOutput => "step_output",
            // `target` is a word of the language.
            Self::Target => "target_of",
            Self::Traces => "traces",
            Self::Words => "words",
        }
    }
}

/// What a kernel takes an array's elements to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Element {
    Float,
    Word,
    /// Two words.
    Words2,
    /// Four floats.
    Quad,
    /// Four words.
    Words4,
    Control,
    Part,
    Progress,
    /// Settings, and the tensors' factors.
    Optimiser,
    State,
}

impl Element {
    /// In WGSL.
    pub fn name(self) -> &'static str {
        match self {
            Self::Float => "f32",
            Self::Word => "u32",
            Self::Words2 => "vec2<u32>",
            Self::Quad => "vec4<f32>",
            Self::Words4 => "vec4<u32>",
            Self::Control => Control::NAME,
            Self::Part => Part::NAME,
            Self::Progress => Progress::NAME,
            Self::Optimiser => "Optimiser",
            Self::State => State::NAME,
        }
    }
}

/// What a kernel may do with an array.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Access {
    Read,
    ReadWrite,
}

impl Access {
    /// In WGSL.
    pub fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::ReadWrite => "read_write",
        }
    }
}

/// One array that a kernel binds; its number is its place in the kernel's list, plus one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Binding {
    pub slot: Slot,
    pub access: Access,
    pub element: Element,
}

pub(super) fn reads(slot: Slot, element: Element) -> Binding {
    Binding {
        slot,
        access: Access::Read,
        element,
    }
}

pub(super) fn writes(slot: Slot, element: Element) -> Binding {
    Binding {
        slot,
        access: Access::ReadWrite,
        element,
    }
}
