//! Layers whose rows step together: recurrent ones, and those whose rule, bound or modulator no row can follow by itself.
//!
//! A *block* of a layer's rows has one vector's worth of lanes, `L` of them: over rows, as many rows of one episode; over
//! episodes, one row of as many episodes. States are `[blocks, J, L]` and what a row has once a step is `[blocks, L]` either way.
//! Parameters are of one network: `[blocks, J, rows]`, with `rows` rows in a block.

use super::along::Along;
use super::shape::{Kind, Shape};
use super::synapses::{SynapseArrays, Synapses};
use crate::network::{ModulatorFrom, Plastic, RatePer, RecurrentInput};
use crate::number::{Real, pair_width};
use crate::parameters::{Layout, Role, Tensor};
use std::ops::Range;

/// Rows that one thread works on at a time. Sums over rows are taken chunk by chunk: part of the result's last bits.
const CHUNK: usize = 128;

/// Such a layer, and how its arrays are laid out.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cell<'a> {
    /// What its synapses are.
    pub plastic: &'a Plastic,
    /// How it takes its input in, where it is recurrent.
    pub input: Option<RecurrentInput>,
    /// Neurons whose activity comes in `I`.
    pub inputs: usize,
    /// Postsynaptic neurons `O`.
    pub outputs: usize,
    /// Presynaptic neurons `J`.
    pub presynaptic: usize,
    /// Rows of a block.
    pub rows: usize,
    /// Lanes of a block `L`.
    pub lanes: usize,
}

impl<'a> Cell<'a> {
    /// The layer, if it is one.
    pub fn of<R: Real>(shape: &'a Shape) -> Option<Self> {
        if shape.kind != Kind::Cell {
            return None;
        }
        let lanes = pair_width::<R>();
        let plastic = shape.layer.as_plastic()?;
        Some(Self {
            input: shape.layer.as_recurrent().map(|layer| layer.input),
            inputs: shape.inputs,
            outputs: shape.outputs,
            presynaptic: plastic.presynaptic(),
            rows: match shape.along {
                Along::Episodes => 1,
                _ => lanes,
            },
            lanes,
            plastic,
        })
    }

    /// Blocks of rows.
    pub fn blocks(&self) -> usize {
        self.outputs.div_ceil(self.rows)
    }

    /// Episodes that go together.
    pub fn episodes(&self) -> usize {
        self.lanes / self.rows
    }

    /// Elements of a block's state, `[J, L]`.
    pub fn block(&self) -> usize {
        self.presynaptic * self.lanes
    }

    /// Elements of a state, `[blocks, J, L]`.
    pub fn state(&self) -> usize {
        self.blocks() * self.block()
    }

    /// Elements of what rows have once a step, `[blocks, L]`.
    pub fn values(&self) -> usize {
        self.blocks() * self.lanes
    }

    /// Elements of a step's presynaptic activity, `[J, episodes]`.
    pub fn activity(&self) -> usize {
        self.presynaptic * self.episodes()
    }

    /// States that are kept of a synapse: the trace, and the eligibility trace.
    pub fn states(&self) -> usize {
        usize::from(self.plastic.has_trace()) + usize::from(self.plastic.has_eligibility())
    }

    /// Blocks that a thread works on at a time.
    pub fn chunk(&self) -> usize {
        (CHUNK / self.rows).max(1)
    }

    pub fn chunks(&self) -> usize {
        self.blocks().div_ceil(self.chunk())
    }

    /// Whether the modulator comes from there.
    pub fn is_modulated_from(&self, from: ModulatorFrom) -> bool {
        self.plastic.has_trace() && self.plastic.is_modulated_from(from)
    }

    pub fn is_modulated(&self) -> bool {
        self.plastic.has_trace() && self.plastic.modulation.is_some()
    }

    pub fn is_fanned_out(&self) -> bool {
        let per = self.plastic.modulation.map(|it| it.per);
        per == Some(RatePer::Neuron)
    }

    /// Sizes of the layer's parameters, each in so many lanes.
    pub fn sizes(&self, lanes: usize) -> SynapseArrays<u128> {
        let rows = (self.blocks() * lanes) as u128;
        let synapses = rows * self.presynaptic as u128;
        let plastic = u128::from(self.plastic.has_trace());
        let from_network = u128::from(self.is_modulated_from(ModulatorFrom::Network));
        SynapseArrays {
            weight: synapses,
            plasticity: plastic * synapses,
            bias: rows,
            rate: plastic * rows,
            input_weight: match self.input {
                Some(RecurrentInput::Matrix) => rows * self.inputs as u128,
                _ => 0,
            },
            coefficients: self.plastic.coefficients.len() as u128 * synapses,
            modulator: from_network * (rows + lanes as u128),
            fan_out: from_network * u128::from(self.is_fanned_out()) * 2 * rows,
        }
    }

    /// Where element `j` of row `i` lies in an array of `[blocks, columns, rows]`.
    fn at(&self, i: usize, j: usize, columns: usize) -> usize {
        (i / self.rows * columns + j) * self.rows + i % self.rows
    }

    /// Whether rows of one episode lie along the lanes.
    pub fn is_over_rows(&self) -> bool {
        self.rows > 1
    }

    /// Every row that there is room for, with the one whose values it has: itself or, where the layer has no such row, the first
    /// of its block. So what is computed of it is as finite as what is computed of that one.
    pub fn filled_rows(&self) -> impl Iterator<Item = (usize, usize)> + use<> {
        let (outputs, rows) = (self.outputs, self.rows);
        let source = move |i| if i < outputs { i } else { i / rows * rows };
        (0..self.blocks() * rows).map(move |i| (i, source(i)))
    }

    /// Calls `visit` with the index of an element of a tensor and each place in its array that has it; `rows` are those that are
    /// gone through, each with the one whose elements it has.
    fn places(
        &self,
        layout: &Layout,
        tensor: &Tensor,
        rows: impl Iterator<Item = (usize, usize)>,
        mut visit: impl FnMut(usize, usize),
    ) {
        let all = self.blocks() * self.rows;
        let (columns, first) = match tensor.role {
            Role::Weight | Role::Plasticity => (self.presynaptic, 0),
            Role::InputWeight => (self.inputs, 0),
            Role::Coefficient => {
                let tensors = layout.of_layer(tensor.layer).iter();
                let before =
                    tensors.filter(|it| it.role == tensor.role && it.offset < tensor.offset);
                (self.presynaptic, before.count() * all * self.presynaptic)
            }
            // After the weights.
            Role::FanOutBias => (1, all),
            Role::ModulatorBias => return visit(0, all),
            Role::Bias | Role::Rate | Role::ModulatorWeight | Role::FanOutWeight => (1, 0),
        };
        for (i, source) in rows {
            for j in 0..columns {
                // One value may be that of several connections or neurons.
                let element = match tensor.shape.len() {
                    2 => source * columns + j,
                    1 => source,
                    _ => 0,
                };
                visit(element, first + self.at(i, j, columns));
            }
        }
    }

    /// Spreads one network's parameters out.
    pub fn pack<R: Real>(&self, layout: &Layout, layer: usize, values: &[R], to: &mut Synapses<R>) {
        for tensor in layout.of_layer(layer) {
            let from = &values[tensor.range()];
            let to = &mut to.parts()[part_of(tensor.role)];
            let rows = self.filled_rows();
            self.places(layout, tensor, rows, |element, at| to[at] = from[element]);
        }
    }

    /// The inverse of [`Cell::pack`], a sum where it spreads.
    pub fn unpack<R: Real>(
        &self,
        layout: &Layout,
        layer: usize,
        from: &Synapses<R>,
        values: &mut [R],
    ) {
        for tensor in layout.of_layer(layer) {
            let from = from.all()[part_of(tensor.role)];
            let to = &mut values[tensor.range()];
            to.fill(R::zero());
            if tensor.learned {
                let rows = (0..self.outputs).map(|i| (i, i));
                self.places(layout, tensor, rows, |element, at| to[element] += from[at]);
            }
        }
    }

    /// Blocks of each chunk.
    pub fn ranges(&self) -> impl Iterator<Item = Range<usize>> + use<> {
        let (blocks, chunk) = (self.blocks(), self.chunk());
        (0..blocks)
            .step_by(chunk)
            .map(move |first| first..(first + chunk).min(blocks))
    }

    /// Real rows of a block.
    pub fn rows_of(&self, block: usize) -> usize {
        self.rows.min(self.outputs - block * self.rows)
    }
}

/// Which of the arrays of [`SynapseArrays`] has tensors of this role.
fn part_of(role: Role) -> usize {
    match role {
        Role::Weight => 0,
        Role::Plasticity => 1,
        Role::Bias => 2,
        Role::Rate => 3,
        Role::InputWeight => 4,
        Role::Coefficient => 5,
        Role::ModulatorWeight | Role::ModulatorBias => 6,
        Role::FanOutWeight | Role::FanOutBias => 7,
    }
}
