//! Layers whose rows step together: recurrent ones, and those whose rule, bound or modulator no row can follow by itself.
//!
//! A *block* of a layer's rows has one vector's worth of lanes, `L` of them: over rows, as many rows of one episode; over
//! episodes, one row of as many episodes. States are `[blocks, J, L]` and what a row has once a step is `[blocks, L]` either way.
//! Parameters are of one network: `[blocks, J, rows]`, with `rows` rows in a block.

use super::along::Along;
use super::shape::{Kind, Shape};
use super::synapses::{SynapseArrays, Synapses};
use crate::network::{CoefficientPer, ModulatorFrom, Plastic, Plasticity, RatePer, RecurrentInput};
use crate::number::{Real, pair_width};
use crate::parameters::{Layout, Role, Tensor};
use std::ops::Range;

/// Rows that one thread works on at a time. Sums over rows are taken chunk by chunk: part of the result's last bits.
const CHUNK: usize = 128;

/// Steps between two kept states, or a multiple of them: products over steps are summed in pieces of so many.
pub(super) const PIECE: usize = 16;

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

    /// Steps between two states that are kept, in episodes of so many steps.
    pub fn apart(steps: usize) -> usize {
        let pieces = steps.isqrt().div_ceil(PIECE);
        PIECE * pieces.max(1)
    }

    /// States that are kept beside the first one.
    pub fn kept(steps: usize) -> usize {
        steps.saturating_sub(1) / Self::apart(steps)
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

    /// Where a tensor's elements go: the array, and for each element of the tensor every index in it.
    fn places(&self, layout: &Layout, tensor: &Tensor, mut visit: impl FnMut(usize, usize)) {
        let (outputs, columns) = (self.outputs, self.presynaptic);
        let connections = |columns: usize, first: usize, visit: &mut dyn FnMut(usize, usize)| {
            for i in 0..outputs {
                for j in 0..columns {
                    visit(i * columns + j, first + self.at(i, j, columns));
                }
            }
        };
        let neurons = |first: usize, visit: &mut dyn FnMut(usize, usize)| {
            (0..outputs).for_each(|i| visit(i, first + self.at(i, 0, 1)));
        };
        // One value for several connections or neurons.
        let spread = |per: CoefficientPer, first: usize, visit: &mut dyn FnMut(usize, usize)| {
            for i in 0..outputs {
                for j in 0..columns {
                    let element = match per {
                        CoefficientPer::Connection => i * columns + j,
                        CoefficientPer::Neuron => i,
                        CoefficientPer::Layer => 0,
                    };
                    visit(element, first + self.at(i, j, columns));
                }
            }
        };
        let rows = self.blocks() * self.rows;
        match tensor.role {
            Role::Weight => connections(columns, 0, &mut visit),
            Role::InputWeight => connections(self.inputs, 0, &mut visit),
            Role::Plasticity => spread(
                match self.plastic.plasticity {
                    Plasticity::Neuron => CoefficientPer::Neuron,
                    Plasticity::Layer => CoefficientPer::Layer,
                    _ => CoefficientPer::Connection,
                },
                0,
                &mut visit,
            ),
            Role::Rate => (0..outputs).for_each(|i| {
                let element = match self.plastic.rate.per {
                    RatePer::Neuron => i,
                    RatePer::Layer => 0,
                };
                visit(element, self.at(i, 0, 1));
            }),
            Role::Coefficient => {
                let name = tensor.coefficient.as_deref().unwrap_or_default();
                let number = layout
                    .of_layer(tensor.layer)
                    .iter()
                    .filter(|it| it.role == Role::Coefficient)
                    .position(|it| it.coefficient.as_deref() == Some(name))
                    .expect("it is listed");
                spread(
                    self.plastic.coefficients[name].per,
                    number * rows * columns,
                    &mut visit,
                );
            }
            Role::ModulatorBias => visit(0, rows),
            Role::FanOutBias => neurons(rows, &mut visit),
            Role::Bias | Role::ModulatorWeight | Role::FanOutWeight => neurons(0, &mut visit),
        }
    }

    /// Spreads one network's parameters out; padding stays as it is.
    pub fn pack<R: Real>(&self, layout: &Layout, layer: usize, values: &[R], to: &mut Synapses<R>) {
        for tensor in layout.of_layer(layer) {
            let (from, to) = (&values[tensor.range()], array_mut(to, tensor.role));
            self.places(layout, tensor, |element, at| to[at] = from[element]);
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
            let (from, to) = (array(from, tensor.role), &mut values[tensor.range()]);
            to.fill(R::zero());
            if tensor.learned {
                self.places(layout, tensor, |element, at| to[element] += from[at]);
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

fn array<R>(arrays: &Synapses<R>, role: Role) -> &[R] {
    match role {
        Role::Weight => &arrays.weight,
        Role::Plasticity => &arrays.plasticity,
        Role::Bias => &arrays.bias,
        Role::Rate => &arrays.rate,
        Role::InputWeight => &arrays.input_weight,
        Role::Coefficient => &arrays.coefficients,
        Role::ModulatorWeight | Role::ModulatorBias => &arrays.modulator,
        Role::FanOutWeight | Role::FanOutBias => &arrays.fan_out,
    }
}

fn array_mut<R>(arrays: &mut Synapses<R>, role: Role) -> &mut [R] {
    match role {
        Role::Weight => &mut arrays.weight,
        Role::Plasticity => &mut arrays.plasticity,
        Role::Bias => &mut arrays.bias,
        Role::Rate => &mut arrays.rate,
        Role::InputWeight => &mut arrays.input_weight,
        Role::Coefficient => &mut arrays.coefficients,
        Role::ModulatorWeight | Role::ModulatorBias => &mut arrays.modulator,
        Role::FanOutWeight | Role::FanOutBias => &mut arrays.fan_out,
    }
}
