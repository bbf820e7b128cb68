//! Cells: layers whose rows step together. What one is in device memory.
//!
//! Where a workgroup holds an episode's synapses in registers, it goes over all steps by itself. Otherwise states lie in device
//! memory, `[P, B, O, J]` each, and every step is some dispatches. The reverse sweep keeps an array of what it has so far of each
//! episode, the *adjoint*: planes `[P, B, O, J]` for synapses, then planes `[P, B, O]` for rows.

use crate::network::{Extents, Layer, Modulation, ModulatorFrom, RecurrentInput};
use crate::parameters::Role;

/// Rows that one lane goes over on the way back: part of the result's last bits.
const CHUNK: usize = 32;

/// Rows whose traces one lane updates: with one, workgroups would end sooner than a device begins them.
const UPDATED: usize = 4;

/// A layer whose rows step together.
#[derive(Clone, Copy, Debug)]
pub(super) struct CellLayout {
    /// Postsynaptic neurons `O`.
    pub outputs: usize,
    /// Presynaptic neurons `J`, the one of a plastic bias included.
    pub presynaptic: usize,
    pub plastic_bias: bool,
    /// How it takes its input in, where it is recurrent.
    pub input: Option<RecurrentInput>,
    pub has_trace: bool,
    pub has_eligibility: bool,
    pub bound: Option<f32>,
    pub modulation: Option<Modulation>,
    /// The rule's own coefficients.
    pub coefficients: usize,
}

/// What has a plane `[P, B, O]` of its own in the reverse sweep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RowPlane {
    /// The gradient on the neuron's activity from the next step, `γ`.
    Activity,
    /// At the present step, the gradients through the rule: on the postsynaptic activity,
    Postsynaptic,
    /// on the modulator,
    Modulator,
    /// and on the rate.
    OfRate,
    /// The gradient of a parameter of neurons, summed over an episode's steps so far.
    Of(Role),
}

impl CellLayout {
    /// The layer, if it is one.
    pub fn new(layer: &Layer) -> Option<Self> {
        if layer.is_row_affine() {
            return None;
        }
        let plastic = layer.as_plastic()?;
        Some(Self {
            outputs: plastic.outputs,
            presynaptic: plastic.presynaptic(),
            plastic_bias: plastic.plastic_bias,
            input: layer.as_recurrent().map(|layer| layer.input),
            has_trace: plastic.has_trace(),
            has_eligibility: plastic.has_eligibility(),
            // Networks whose numbers are beyond the range of `f32` are refused.
            bound: plastic.bound.map(|bound| bound as f32),
            modulation: plastic.modulation.filter(|_| plastic.has_trace()),
            coefficients: plastic.coefficients.len(),
        })
    }

    /// Synapses `O · J`.
    pub fn synapses(&self) -> usize {
        self.outputs * self.presynaptic
    }

    /// States of a synapse: the trace, and the eligibility trace.
    pub fn states(&self) -> usize {
        usize::from(self.has_trace) + usize::from(self.has_trace && self.has_eligibility)
    }

    /// Whether the modulator comes from there.
    pub fn is_modulated_from(&self, from: ModulatorFrom) -> bool {
        self.modulation.is_some_and(|it| it.from == from)
    }

    /// Planes of synapses in the reverse sweep: the gradients on the states, and those of plasticity and coefficients, summed over an
    /// episode's steps so far.
    pub fn planes(&self) -> usize {
        match self.has_trace {
            true => self.states() + 1 + self.coefficients,
            false => 0,
        }
    }

    /// The plane of the plasticity's gradient; those of coefficients follow.
    pub fn plasticity_plane(&self) -> usize {
        self.states()
    }

    /// The first plane of rows that is a sum over steps.
    pub const FIRST_SUM: usize = 4;

    /// The planes of rows, in order, of a layer with these tensors.
    pub fn row_planes(tensors: impl Iterator<Item = (Role, Extents)>) -> Vec<RowPlane> {
        let mut planes = vec![
            RowPlane::Activity,
            RowPlane::Postsynaptic,
            RowPlane::Modulator,
            RowPlane::OfRate,
        ];
        debug_assert_eq!(planes.len(), Self::FIRST_SUM);
        let of_neurons = tensors.filter(|(role, extents)| {
            !matches!(extents, Extents::Connections | Extents::Inputs)
                && !matches!(role, Role::Plasticity | Role::Coefficient)
        });
        planes.extend(of_neurons.map(|(role, _)| RowPlane::Of(role)));
        planes
    }

    /// Chunks of rows on the way back.
    pub fn chunks(&self) -> usize {
        self.outputs.div_ceil(CHUNK)
    }

    /// Rows of a chunk.
    pub const fn chunk() -> usize {
        CHUNK
    }

    /// Rows that one lane updates, and how many times so many there are.
    pub fn updated(&self) -> [usize; 2] {
        [UPDATED, self.outputs.div_ceil(UPDATED)]
    }

    /// Lanes that go over a row: no more than have four synapses of it, nor than a workgroup of so many has.
    pub fn lanes(&self, workgroup: usize) -> usize {
        let lanes = self.presynaptic.div_ceil(4).next_power_of_two();
        lanes.min(workgroup)
    }
}
