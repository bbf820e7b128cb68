//! Which kernels a computation takes, in which order, and how much each of them does. A layer's kernels by its kind are
//! chosen here and in `uses.rs`.

use super::arrays::{Array, Working};
use super::bindings::Slot;
use super::cell_kernels::{CellKernel, CellSweep};
use super::kernel::WORKGROUP;
use super::layout::DeviceLayout;
use super::tile::Tile;
use super::variant::{Sweep, Variant};
use super::work::Work;
use crate::computation::{Checkpoints, EPISODE_BLOCK};
use std::collections::BTreeSet;

/// What a kernel is for; those of a layer with its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Purpose {
    Episodes,
    Forward(usize),
    /// Puts the input of one step among those of its episodes.
    TakeInput,
    /// The forward sweep of one step.
    Step(usize),
    /// Takes the output of one step from those of its episodes.
    GiveOutput,
    Loss,
    SumLosses,
    Backward(usize),
    InputGradient(usize),
    /// Of a layer whose rows are given a modulator.
    ModulatorGradient(usize),
    ReduceRows(usize),
    Reduce,
    CheckParts,
    Check,
    Optimiser,
    /// Whole meta-steps.
    MetaStep(Packing),
    /// Something of a cell.
    Cell(CellKernel, usize),
}

/// Kernels that follow each other, and how often.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// Once in a segment of time.
    Once(Purpose),
    /// Where a segment of time begins the episode.
    AtBeginning(Purpose),
    /// After the last step of a segment of time.
    AtEnd(Purpose),
    /// All of them at each step.
    EachStep(Vec<Purpose>),
    /// All of them for each so many steps, from the last ones back.
    EachPieceBack {
        purposes: Vec<Purpose>,
        apart: usize,
    },
    /// All of them at each step from the last one back. Where traces are replayed, that comes before the last of each so many steps.
    EachStepBack {
        replay: Option<Purpose>,
        apart: usize,
        steps: Vec<Purpose>,
    },
}

impl Stage {
    /// Its kernels, each once.
    fn purposes(&self) -> Vec<Purpose> {
        match self {
            Self::Once(purpose) | Self::AtBeginning(purpose) | Self::AtEnd(purpose) => {
                vec![*purpose]
            }
            Self::EachStep(purposes) | Self::EachPieceBack { purposes, .. } => purposes.clone(),
            Self::EachStepBack { replay, steps, .. } => {
                replay.iter().chain(steps).copied().collect()
            }
        }
    }
}

/// How networks share a workgroup that does whole meta-steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Packing {
    /// Lanes that own one network. The order of sums over lanes depends on it, so it is the network's alone.
    pub lanes: usize,
    /// Networks of a workgroup.
    pub networks: usize,
}

impl Purpose {
    /// The layer that it belongs to, if it belongs to one.
    pub fn layer(self) -> Option<usize> {
        match self {
            Self::Forward(layer)
            | Self::Step(layer)
            | Self::Backward(layer)
            | Self::InputGradient(layer)
            | Self::ModulatorGradient(layer)
            | Self::ReduceRows(layer)
            | Self::Cell(_, layer) => Some(layer),
            _ => None,
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::Episodes => "episodes",
            Self::Forward(_) => "forward",
            Self::TakeInput => "take_input",
            Self::Step(_) => "step",
            Self::GiveOutput => "give_output",
            Self::Loss => "loss",
            Self::SumLosses => "sum_losses",
            Self::Backward(_) => "backward",
            Self::InputGradient(_) => "input_gradient",
            Self::ModulatorGradient(_) => "modulator_gradient",
            Self::ReduceRows(_) => "reduce_rows",
            Self::Reduce => "reduce",
            Self::CheckParts => "check_parts",
            Self::Check => "check",
            Self::Optimiser => "optimiser",
            Self::MetaStep(_) => "meta_step",
            Self::Cell(kernel, _) => kernel.name(),
        }
    }
}

/// The kernels of some work, as its layers' sweeps need them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stages<'a> {
    pub layout: &'a DeviceLayout,
    pub work: &'a Work,
    /// By layer.
    pub sweeps: &'a [Sweep],
}

impl<'a> Stages<'a> {
    pub fn new(layout: &'a DeviceLayout, work: &'a Work, sweeps: &'a [Sweep]) -> Self {
        Self {
            layout,
            work,
            sweeps,
        }
    }

    fn layers(&self) -> std::ops::Range<usize> {
        0..self.layout.layers.len()
    }

    /// What makes a segment's input.
    pub fn prepare(&self) -> Option<Purpose> {
        self.work.task.as_ref().map(|_| Purpose::Episodes)
    }

    /// A layer as a cell, if it is one.
    pub fn cell(&self, layer: usize) -> Option<CellSweep<'a>> {
        let (layout, sweep) = (&self.layout.layers[layer], &self.sweeps[layer]);
        Some(CellSweep {
            layer: layout,
            cell: layout.cell.as_ref()?,
            variant: &sweep.variant,
        })
    }

    /// The forward half, of each segment in order.
    pub fn forward(&self) -> Vec<Stage> {
        let of_layer = |layer: usize| match self.cell(layer) {
            Some(cell) => {
                let kernels = purposes(layer, cell.forward());
                let steps = match kernels[..] {
                    [purpose] if cell.holds_states() => Stage::Once(purpose),
                    _ => Stage::EachStep(kernels),
                };
                let carry = Stage::AtEnd(Purpose::Cell(CellKernel::Carry, layer));
                let carry = cell.carries().then_some(carry);
                std::iter::once(steps).chain(carry).collect()
            }
            None => vec![Stage::Once(Purpose::Forward(layer))],
        };
        let mut stages: Vec<_> = self.layers().flat_map(of_layer).collect();
        if self.work.has_target() {
            stages.extend([Purpose::Loss, Purpose::SumLosses].map(Stage::Once));
        }
        stages
    }

    /// One step of the forward half, where steps are done one at a time.
    pub fn step(&self) -> Vec<Purpose> {
        if !self.work.stepwise {
            return Vec::new();
        }
        let steps = self.layers().flat_map(|layer| match self.cell(layer) {
            Some(cell) => {
                let carry = cell.carries().then_some(CellKernel::Carry);
                purposes(layer, cell.forward().into_iter().chain(carry).collect())
            }
            None => vec![Purpose::Step(layer)],
        });
        let first = std::iter::once(Purpose::TakeInput);
        first.chain(steps).chain([Purpose::GiveOutput]).collect()
    }

    /// The reverse half, of each segment from the last one on.
    pub fn backward(&self) -> Vec<Stage> {
        if !self.work.request.gradient {
            return Vec::new();
        }
        let of_layer = |layer: usize| {
            if let Some(cell) = self.cell(layer) {
                return self.cell_backward(layer, &cell);
            }
            let (layout, variant) = (&self.layout.layers[layer], &self.sweeps[layer].variant);
            let on_input = variant.input_signal && layout.has_synapses();
            let on_input = on_input.then_some(Purpose::InputGradient(layer));
            let on_modulator = variant.modulator_gradient && layout.has_modulated_rows();
            let on_modulator = on_modulator.then_some(Purpose::ModulatorGradient(layer));
            let purposes = [Some(Purpose::Backward(layer)), on_modulator, on_input];
            purposes.into_iter().flatten().map(Stage::Once).collect()
        };
        self.layers().rev().flat_map(of_layer).collect()
    }

    fn cell_backward(&self, layer: usize, cell: &CellSweep<'_>) -> Vec<Stage> {
        let replay = Purpose::Cell(CellKernel::Replay, layer);
        let replay = cell.cell.has_trace.then_some(replay);
        let apart = Checkpoints::of(self.work.request.steps).apart();
        let back = match cell.holds_gradients() {
            true => Stage::EachPieceBack {
                purposes: (replay.into_iter())
                    .chain([Purpose::Cell(CellKernel::BackwardSteps, layer)])
                    .collect(),
                apart,
            },
            false => Stage::EachStepBack {
                replay,
                apart,
                steps: purposes(layer, cell.backward()),
            },
        };
        let after = purposes(layer, cell.after_segment());
        let after = after.into_iter().map(Stage::Once);
        let others = Stage::AtBeginning(Purpose::Cell(CellKernel::Gradients, layer));
        let others = cell.has_others().then_some(others);
        std::iter::once(back).chain(after).chain(others).collect()
    }

    /// What follows where a block of episodes, or the batch, is complete.
    pub fn reduce(&self) -> Vec<Purpose> {
        if !self.work.request.gradient {
            return Vec::new();
        }
        let of_rows = |layer: usize| match self.cell(layer) {
            Some(cell) => {
                (!cell.shared().is_empty()).then_some(Purpose::Cell(CellKernel::Shared, layer))
            }
            None => {
                let shares = self.layout.layers[layer].shares().contains(&true);
                shares.then_some(Purpose::ReduceRows(layer))
            }
        };
        let rows = self.layers().filter_map(of_rows);
        rows.chain([Purpose::Reduce]).collect()
    }

    /// What follows the last cut.
    pub fn finish(&self) -> Vec<Purpose> {
        match (self.work.is_meta_step, self.work.learn) {
            (_, true) => vec![Purpose::CheckParts, Purpose::Check, Purpose::Optimiser],
            (true, false) => vec![Purpose::Check],
            (false, false) => Vec::new(),
        }
    }

    /// Every purpose, in the order of its first run.
    pub fn all(&self) -> Vec<Purpose> {
        let mut all: Vec<_> = self.prepare().into_iter().collect();
        all.extend(self.step());
        let halves = self.forward().into_iter().chain(self.backward());
        all.extend(halves.flat_map(|stage| stage.purposes()));
        all.extend(self.reduce());
        all.extend(self.finish());
        all
    }

    /// The arrays of a batch in `segments` segments: those that a kernel binds, and the losses, which there are in any case.
    pub fn arrays(&self, segments: usize) -> BTreeSet<Working> {
        let mut arrays = BTreeSet::from([Working::Losses]);
        for purpose in self.all() {
            for binding in self.bindings(purpose) {
                arrays.extend((0..segments).filter_map(|segment| {
                    match self.array(purpose, binding.slot, segment) {
                        Array::Working(array) => Some(array),
                        Array::Resident(_) => None,
                    }
                }));
            }
        }
        arrays
    }

    /// The array that a kernel means by a name, in a segment.
    pub fn array(&self, purpose: Purpose, slot: Slot, segment: usize) -> Array {
        let layer = match purpose {
            Purpose::Loss | Purpose::GiveOutput => self.layout.layers.len() - 1,
            purpose => purpose.layer().unwrap_or(0),
        };
        slot.array(layer, segment)
    }

    /// The kernel's template.
    pub fn template(&self, purpose: Purpose) -> &'static str {
        let has_synapses = |layer: usize| self.layout.layers[layer].has_synapses();
        match purpose {
            Purpose::Forward(layer) | Purpose::Step(layer) => match has_synapses(layer) {
                true => "forward",
                false => "bias_forward",
            },
            Purpose::Backward(layer) if !has_synapses(layer) => "bias_backward",
            purpose => purpose.name(),
        }
    }

    /// What a layer's sweep for a purpose is like.
    pub fn variant(&self, purpose: Purpose, layer: usize) -> Variant {
        let variant = self.sweeps[layer].variant;
        match purpose {
            Purpose::Step(_) => variant.stepwise(),
            _ => variant,
        }
    }

    /// How a layer's rows are spread over lanes in a sweep over them.
    pub fn tile(&self, purpose: Purpose) -> Option<Tile> {
        let layer = &self.layout.layers[purpose.layer()?];
        match purpose {
            Purpose::Forward(_) | Purpose::Step(_) if layer.has_synapses() => Some(layer.tile),
            Purpose::Backward(index) if layer.has_synapses() => {
                Some(layer.backward_tile(self.sweeps[index].variant.upstream))
            }
            _ => None,
        }
    }

    /// Rows or elements that one workgroup does.
    pub fn items_of_workgroup(&self, purpose: Purpose) -> usize {
        match (purpose, self.tile(purpose)) {
            (_, Some(tile)) => tile.workgroup() / tile.lanes,
            (Purpose::CheckParts | Purpose::Check, _) => 1,
            (Purpose::Optimiser, _) => 4 * WORKGROUP,
            (Purpose::MetaStep(packing), _) => packing.networks,
            (Purpose::Cell(kernel, layer), _) => self.of_cell(layer).items_of_workgroup(kernel),
            _ => WORKGROUP,
        }
    }

    /// Rows or elements that there are, of `episodes` episodes and `steps` steps.
    pub fn items(&self, purpose: Purpose, episodes: usize, steps: usize) -> usize {
        let (networks, layout) = (self.work.networks, self.layout);
        let blocks = episodes.div_ceil(EPISODE_BLOCK);
        let tiles = |layer: usize| match self.tile(purpose) {
            Some(tile) => layout.layers[layer].outputs / tile.rows,
            None => layout.layers[layer].outputs,
        };
        match purpose {
            Purpose::Step(layer) => networks * episodes * tiles(layer),
            Purpose::Forward(layer) if layout.layers[layer].has_synapses() => {
                networks * episodes * tiles(layer)
            }
            Purpose::Forward(layer) => networks * episodes * steps * tiles(layer),
            Purpose::TakeInput => {
                let owners = self.work.owners(self.work.request.in_common.input);
                owners * episodes * layout.layers[0].row
            }
            Purpose::GiveOutput => networks * episodes * layout.last().output_row,
            Purpose::Loss => networks * episodes * steps,
            Purpose::Episodes | Purpose::SumLosses => networks * episodes,
            Purpose::Backward(layer) => networks * blocks * tiles(layer),
            Purpose::InputGradient(layer) => networks * episodes * layout.layers[layer].row / 4,
            Purpose::ModulatorGradient(layer) => {
                networks * episodes * steps * layout.layers[layer].modulators
            }
            Purpose::ReduceRows(_) => networks * blocks,
            Purpose::CheckParts => networks * layout.parts(),
            Purpose::Check | Purpose::MetaStep(_) => networks,
            Purpose::Reduce | Purpose::Optimiser => networks * layout.stride,
            Purpose::Cell(kernel, layer) => self.of_cell(layer).items(kernel, networks, episodes),
        }
    }

    /// What kernels of cells are asked of.
    pub fn of_cell(&self, layer: usize) -> CellSweep<'a> {
        self.cell(layer).expect("the layer is a cell")
    }
}

fn purposes(layer: usize, kernels: Vec<CellKernel>) -> Vec<Purpose> {
    let kernels = kernels.into_iter();
    kernels.map(|kernel| Purpose::Cell(kernel, layer)).collect()
}
