//! The kernels of cells: what each is for, how much it does, and what it binds.

use super::bindings::{Binding, Element, Slot, reads, writes};
use super::cell::{CellLayout, RowPlane};
use super::kernel::WORKGROUP;
use super::layout::LayerLayout;
use super::variant::Variant;
use crate::computation::EPISODE_BLOCK;
use crate::network::{Dynamic, Extents, ModulatorFrom, RecurrentInput};
use crate::parameters::Role;

/// What a kernel of a cell does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum CellKernel {
    /// Outputs, modulators and traces of all steps, where a workgroup holds the traces.
    ForwardSteps,
    /// The way back over some steps, where it holds what there is of each synapse.
    BackwardSteps,
    /// The outputs of a step.
    Forward,
    /// The network's modulator at a step.
    Modulator,
    /// The traces after a step.
    Update,
    /// After the last of some steps: the activity from which the next ones go on.
    Carry,
    /// The traces before each of some steps, from those that were kept before the first.
    Replay,
    /// On the way back over a step: what the gradients on the traces say of each row;
    Pull,
    /// each neuron's signal, with the network's modulator between the two;
    Signal,
    /// the gradients on the traces before the step, and on presynaptic activity;
    Answer,
    /// and that summed up.
    Columns,
    /// After the last step back: the gradient of the weights,
    Weights,
    /// of those of the input,
    InputWeights,
    /// and of everything else;
    Gradients,
    /// what rows have together;
    Shared,
    /// and the gradient on an input that goes through weights.
    InputGradient,
}

impl CellKernel {
    /// The template, and the entry point.
    pub fn name(self) -> &'static str {
        match self {
            Self::ForwardSteps => "cell_forward_steps",
            Self::BackwardSteps => "cell_backward_steps",
            Self::Forward => "cell_forward",
            Self::Modulator => "cell_modulator",
            Self::Update => "cell_update",
            Self::Carry => "cell_carry",
            Self::Replay => "cell_replay",
            Self::Pull => "cell_pull",
            Self::Signal => "cell_signal",
            Self::Answer => "cell_answer",
            Self::Columns => "cell_columns",
            Self::Weights | Self::InputWeights => "cell_weights",
            Self::Gradients => "cell_gradients",
            Self::Shared => "cell_shared",
            Self::InputGradient => "input_gradient",
        }
    }
}

/// A cell, and what its sweeps are like.
#[derive(Clone, Copy, Debug)]
pub(super) struct CellSweep<'a> {
    pub layer: &'a LayerLayout,
    pub cell: &'a CellLayout,
    pub variant: &'a Variant,
}

impl CellSweep<'_> {
    fn is_recurrent(&self) -> bool {
        self.cell.input.is_some()
    }

    /// Whether something of the first step is given.
    pub fn is_initial(&self, dynamic: Dynamic) -> bool {
        self.variant.given.initial.has(dynamic)
    }

    /// Whether traces are kept for the way back.
    pub fn keeps(&self) -> bool {
        self.variant.kept
    }

    /// Whether the gradient on presynaptic activity is needed.
    pub fn needs_columns(&self) -> bool {
        self.is_recurrent() || self.variant.input_signal
    }

    /// Whether the gradient on the modulator that episodes are given is wanted.
    pub fn needs_modulator_signal(&self) -> bool {
        self.cell.is_modulated_from(ModulatorFrom::Episodes) && self.variant.modulator_gradient
    }

    /// Tensors of which all rows have one element together: where they lie among the partial gradients.
    pub fn shared(&self) -> Vec<usize> {
        let tensors = self.layer.tensors.iter();
        let shared = tensors
            .filter(|tensor| tensor.extents == Extents::One && tensor.role != Role::ModulatorBias);
        shared.map(|tensor| tensor.partial.at()).collect()
    }

    /// Whether a workgroup holds the traces of an episode on the way forward.
    pub fn holds_states(&self) -> bool {
        self.layer.cell_tile.is_some()
    }

    /// Whether it holds what there is of each synapse on the way back. Kernels bind no more than eight arrays, and two that write
    /// the gradients on an input and on a modulator as well would be nine.
    pub fn holds_gradients(&self) -> bool {
        let writes_input = self.variant.input_signal
            && (!self.is_recurrent() || self.cell.input == Some(RecurrentInput::Identity));
        self.holds_states() && !(self.needs_modulator_signal() && writes_input)
    }

    /// What is done at each step.
    pub fn forward(&self) -> Vec<CellKernel> {
        if self.holds_states() {
            return vec![CellKernel::ForwardSteps];
        }
        let modulator = self.cell.is_modulated_from(ModulatorFrom::Network);
        let kernels = [
            (true, CellKernel::Forward),
            (modulator, CellKernel::Modulator),
            (self.cell.has_trace, CellKernel::Update),
        ];
        chosen(kernels)
    }

    /// Whether the activity from which later steps go on is wanted.
    pub fn carries(&self) -> bool {
        self.is_recurrent() && (self.variant.cut || self.variant.trace_out)
    }

    /// Whether there is activity from which a segment goes on.
    pub fn goes_on(&self) -> bool {
        self.is_recurrent() && (self.variant.cut || self.is_initial(Dynamic::Activity))
    }

    /// What is done on the way back over each step.
    pub fn backward(&self) -> Vec<CellKernel> {
        let columns = self.needs_columns();
        let kernels = [
            (self.cell.has_trace, CellKernel::Pull),
            (true, CellKernel::Signal),
            (self.cell.has_trace || columns, CellKernel::Answer),
            (columns, CellKernel::Columns),
        ];
        chosen(kernels)
    }

    /// What follows the way back over a segment.
    pub fn after_segment(&self) -> Vec<CellKernel> {
        let is_matrix = self.cell.input == Some(RecurrentInput::Matrix);
        let kernels = [
            (true, CellKernel::Weights),
            (is_matrix, CellKernel::InputWeights),
            (
                is_matrix && self.variant.input_signal,
                CellKernel::InputGradient,
            ),
        ];
        chosen(kernels)
    }

    /// Whether there are parameters beside the weights.
    pub fn has_others(&self) -> bool {
        self.cell.has_trace || self.layer.at(Role::Bias).is_some()
    }

    /// Rows or elements that one workgroup does.
    pub fn items_of_workgroup(&self, kernel: CellKernel) -> usize {
        match kernel {
            CellKernel::Forward | CellKernel::Pull => WORKGROUP / self.cell.lanes(WORKGROUP),
            CellKernel::Modulator
            | CellKernel::Signal
            | CellKernel::ForwardSteps
            | CellKernel::BackwardSteps => 1,
            _ => WORKGROUP,
        }
    }

    /// Rows or elements that there are, of `episodes` episodes of each of so many networks.
    pub fn items(&self, kernel: CellKernel, networks: usize, episodes: usize) -> usize {
        let cell = self.cell;
        let synapses = cell.outputs * cell.presynaptic;
        let [of_episodes, of_blocks] =
            [episodes, episodes.div_ceil(EPISODE_BLOCK)].map(|count| networks * count);
        match kernel {
            CellKernel::Forward | CellKernel::Pull => of_episodes * cell.outputs,
            CellKernel::Modulator
            | CellKernel::Signal
            | CellKernel::ForwardSteps
            | CellKernel::BackwardSteps => of_episodes,
            CellKernel::Carry => of_episodes * cell.outputs,
            CellKernel::Update => of_episodes * cell.updated()[1] * cell.presynaptic,
            CellKernel::Replay => of_episodes * synapses,
            CellKernel::Answer => of_episodes * cell.chunks() * cell.presynaptic,
            CellKernel::Columns => of_episodes * self.column_count(),
            CellKernel::Weights => of_blocks * synapses,
            CellKernel::InputWeights => of_blocks * cell.outputs * self.layer.inputs,
            CellKernel::Gradients => {
                let sums = self.sums();
                of_blocks * sums.last().map_or(0, |sum| sum.end)
            }
            CellKernel::Shared => of_blocks * self.shared().len(),
            CellKernel::InputGradient => of_episodes * self.layer.row / 4,
        }
    }

    /// Presynaptic neurons that have a gradient: all but the one of a plastic bias.
    pub fn column_count(&self) -> usize {
        self.cell.presynaptic - usize::from(self.cell.plastic_bias)
    }

    /// What a kernel binds, in order.
    pub fn bindings(&self, kernel: CellKernel) -> Vec<Binding> {
        let (cell, float) = (self.cell, Element::Float);
        let is_recurrent = self.is_recurrent();
        let is_initial = self.is_initial(Dynamic::Trace) || self.is_initial(Dynamic::Eligibility);
        let initial = is_initial.then_some(reads(Slot::Initial, float));
        let before = self.goes_on().then_some(reads(Slot::Before, float));
        // What presynaptic activity is made of, and what the rule takes beside it.
        let presynaptic = (!is_recurrent).then_some(reads(Slot::Input, float));
        let modulators = (cell.modulation.is_some()).then_some(reads(Slot::Modulators, float));
        let parameters = Some(reads(Slot::Parameters, float));
        let output = Some(reads(Slot::Output, float));
        let of_rule = [parameters, presynaptic, output, modulators, before];
        let with_rule = |others: &[Option<Binding>]| [&of_rule[..], others].concat();
        let bindings = match kernel {
            CellKernel::ForwardSteps => vec![
                parameters,
                Some(reads(Slot::Input, float)),
                Some(writes(Slot::Output, float)),
                match cell.is_modulated_from(ModulatorFrom::Network) {
                    true => Some(writes(Slot::Modulators, float)),
                    false => modulators,
                },
                initial,
                before,
                cell.has_trace.then_some(writes(Slot::Present, float)),
                self.keeps().then_some(writes(Slot::Kept, float)),
            ],
            CellKernel::BackwardSteps => with_rule(&[
                Some(writes(Slot::Signal, float)),
                cell.has_trace.then_some(reads(Slot::Replayed, float)),
                Some(writes(Slot::Adjoint, float)),
                self.needs_modulator_signal()
                    .then_some(writes(Slot::ModulatorSignal, float)),
                (self.variant.input_signal && cell.input != Some(RecurrentInput::Matrix))
                    .then_some(writes(Slot::InputSignal, float)),
            ]),
            CellKernel::Forward => vec![
                parameters,
                Some(reads(Slot::Input, float)),
                Some(writes(Slot::Output, float)),
                cell.has_trace.then_some(reads(Slot::Present, float)),
                initial,
                before,
            ],
            CellKernel::Modulator => {
                vec![parameters, output, Some(writes(Slot::Modulators, float))]
            }
            CellKernel::Update => with_rule(&[
                initial,
                Some(writes(Slot::Present, float)),
                self.keeps().then_some(writes(Slot::Kept, float)),
            ]),
            CellKernel::Carry => vec![output, Some(writes(Slot::After, float))],
            CellKernel::Replay => with_rule(&[
                initial,
                self.keeps().then_some(reads(Slot::Kept, float)),
                Some(writes(Slot::Replayed, float)),
            ]),
            CellKernel::Pull => with_rule(&[
                Some(reads(Slot::Replayed, float)),
                Some(writes(Slot::Adjoint, float)),
            ]),
            CellKernel::Signal => vec![
                cell.is_modulated_from(ModulatorFrom::Network)
                    .then_some(reads(Slot::Parameters, float)),
                output,
                cell.is_modulated_from(ModulatorFrom::Network)
                    .then_some(reads(Slot::Modulators, float)),
                Some(writes(Slot::Signal, float)),
                Some(writes(Slot::Adjoint, float)),
                self.needs_modulator_signal()
                    .then_some(writes(Slot::ModulatorSignal, float)),
                (cell.input == Some(RecurrentInput::Identity) && self.variant.input_signal)
                    .then_some(writes(Slot::InputSignal, float)),
            ],
            // Eight: a recurrent layer has no input here, another one no activity from before.
            CellKernel::Answer if cell.has_trace => with_rule(&[
                Some(reads(Slot::Signal, float)),
                Some(reads(Slot::Replayed, float)),
                Some(writes(Slot::Adjoint, float)),
                self.needs_columns().then_some(writes(Slot::Columns, float)),
            ]),
            CellKernel::Answer => vec![
                parameters,
                Some(reads(Slot::Signal, float)),
                Some(writes(Slot::Columns, float)),
            ],
            CellKernel::Columns => vec![
                Some(reads(Slot::Columns, float)),
                Some(match is_recurrent {
                    true => writes(Slot::Adjoint, float),
                    false => writes(Slot::InputSignal, float),
                }),
            ],
            CellKernel::Weights => vec![
                Some(reads(Slot::Signal, float)),
                presynaptic,
                is_recurrent.then_some(reads(Slot::Output, float)),
                before,
                Some(writes(Slot::Partials, float)),
            ],
            CellKernel::InputWeights => vec![
                Some(reads(Slot::Signal, float)),
                Some(reads(Slot::Input, float)),
                Some(writes(Slot::Partials, float)),
            ],
            CellKernel::Gradients => vec![
                Some(reads(Slot::Adjoint, float)),
                Some(writes(Slot::Partials, float)),
            ],
            CellKernel::Shared => vec![Some(writes(Slot::Partials, float))],
            CellKernel::InputGradient => vec![
                Some(reads(Slot::Parameters, Element::Quad)),
                Some(reads(Slot::Signal, Element::Quad)),
                Some(writes(Slot::InputSignal, Element::Quad)),
            ],
        };
        bindings.into_iter().flatten().collect()
    }

    /// What `cell_gradients` adds up: for each tensor that is not a weight, of which plane.
    pub fn sums(&self) -> Vec<Sum> {
        let rows = self.layer.row_planes();
        let (mut sums, mut start, mut coefficient) = (Vec::new(), 0, 0);
        for tensor in &self.layer.tensors {
            let (plane, of_synapses) = match tensor.role {
                Role::Weight | Role::InputWeight => continue,
                Role::Plasticity => (self.cell.plasticity_plane(), true),
                Role::Coefficient => {
                    coefficient += 1;
                    (self.cell.plasticity_plane() + coefficient, true)
                }
                role => {
                    let of_role = RowPlane::Of(role);
                    let plane = rows.iter().position(|plane| *plane == of_role);
                    (plane.expect("each such tensor has one"), false)
                }
            };
            let (outputs, presynaptic) = (self.cell.outputs, self.cell.presynaptic);
            let (kind, elements) = match (of_synapses, tensor.extents, tensor.role) {
                (true, Extents::Connections, _) => ("connections", outputs * presynaptic),
                (true, ..) => ("synapses of a row", outputs),
                // The same for every row: the first one's is taken.
                (false, _, Role::ModulatorBias) => ("rows", 1),
                (false, ..) => ("rows", outputs),
            };
            sums.push(Sum {
                kind,
                plane,
                partial_at: tensor.partial.at(),
                start,
                end: start + elements,
            });
            start += elements;
        }
        sums
    }
}

/// A tensor's gradient as `cell_gradients` has it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sum {
    /// What its elements are sums over.
    pub kind: &'static str,
    /// Of synapses, or of rows.
    pub plane: usize,
    pub partial_at: usize,
    /// Its elements among those of all tensors.
    pub start: usize,
    pub end: usize,
}

fn chosen<const N: usize>(kernels: [(bool, CellKernel); N]) -> Vec<CellKernel> {
    let kernels = kernels.into_iter();
    kernels
        .filter_map(|(is_needed, kernel)| is_needed.then_some(kernel))
        .collect()
}
