//! A rendered kernel.

use super::bindings::Binding;
use naga::AddressSpace;
use naga::front::wgsl;

/// Lanes of the workgroups of kernels that do one element a lane.
pub(super) const WORKGROUP: usize = 64;

/// A kernel's text, and how it is run.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Kernel {
    /// The entry point, and the template's name.
    pub name: &'static str,
    pub source: String,
    pub bindings: Vec<Binding>,
    /// Rows or elements that one workgroup does.
    pub items: usize,
}

impl Kernel {
    /// Workgroup memory that one workgroup takes; 0 for a text that is no WGSL, which every device refuses.
    pub fn workgroup_bytes(&self) -> u64 {
        let Ok(module) = wgsl::parse_str(&self.source) else {
            return 0;
        };
        module
            .global_variables
            .iter()
            .filter(|(_, variable)| variable.space == AddressSpace::WorkGroup)
            .map(|(_, variable)| module.types[variable.ty].inner.size(module.to_ctx()))
            .map(|bytes| u64::from(bytes.next_multiple_of(16)))
            .sum()
    }
}
