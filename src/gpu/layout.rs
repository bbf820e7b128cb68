//! How a network's parameters and gradients lie in device memory.
//!
//! Every tensor starts at a whole `vec4` and every row of synapses is padded with zeros to the columns that its lanes
//! hold, so that kernels have no remainder to guard.

use super::cell::{CellLayout, RowPlane};
use super::cell_tile::CellTile;
use super::kernel::WORKGROUP;
use super::profile::Profile;
use super::tile::{QUADS_PER_LANE, Tile, most_lanes};
use crate::error::{Error, Result};
use crate::network::{Activation, Extents, Layer, Loss, ModulatorFrom, Network, TensorSpec};
use crate::parameters::{Layout, Role};
use crate::rule::{Row, Rule};
use crate::zip::zip_eq;

/// `vec4`s of synapses a lane, above which a reverse sweep with a gradient on the final trace halves them if it can.
const HALVED_ABOVE: usize = 4;

/// Parameters that no update touches: padding, and rates that are not learned.
pub(super) const FIXED: u32 = 0;

/// Parameters of a network that one workgroup of `check_parts.wgsl` looks at.
pub(super) const CHECKED: usize = 4096;

/// The source of a parameter that no gradient is taken of.
pub(super) const NO_SOURCE: u32 = u32::MAX;

/// A parameter tensor in device memory. Offsets count `f32`s.
#[derive(Clone, Copy, Debug)]
pub(super) struct Placed {
    pub role: Role,
    pub extents: Extents,
    /// Among a network's parameters.
    pub at: usize,
    pub partial: Partial,
}

/// Where the gradient of a tensor, summed over a block of episodes, lies among the partial gradients.
#[derive(Clone, Copy, Debug)]
pub(super) enum Partial {
    /// In rows of its own, from there on.
    Plane(usize),
    /// In the `vec4` that every row of the layer has, which component.
    OfRow(usize),
    /// In a number for every row of a cell; what all rows have together, in the first one's place.
    Rows(usize),
}

impl Partial {
    /// Where those of a cell begin.
    pub fn at(self) -> usize {
        match self {
            Self::Plane(at) | Self::Rows(at) => at,
            Self::OfRow(_) => unreachable!("cells have no such rows"),
        }
    }
}

/// One layer in device memory. Sizes count `f32`s.
#[derive(Clone, Debug)]
pub(super) struct LayerLayout {
    pub inputs: usize,
    pub outputs: usize,
    /// Padded presynaptic neurons.
    pub row: usize,
    /// Padded postsynaptic neurons: the next layer's `row`.
    pub output_row: usize,
    /// How the rows are spread over lanes.
    pub tile: Tile,
    /// The same for a reverse sweep that holds more arrays.
    narrow_tile: Tile,
    pub activation: Activation,
    /// What the trace goes by, if there is one.
    pub rule: Option<Rule>,
    /// Numbers of an episode's modulator at a step, 0 where there is none: where a network computes it, that from which each
    /// neuron's is made.
    pub modulators: usize,
    /// Whether the gradient of the retention is needed.
    pub retention: bool,
    /// What it is beside, where its rows step together.
    pub cell: Option<CellLayout>,
    /// How a workgroup holds the synapses of a cell, if it does.
    pub cell_tile: Option<CellTile>,
    /// Lanes that have all rows of an episode of a cell, where its states lie in memory.
    pub cell_lanes: usize,
    pub tensors: Vec<Placed>,
    /// Among the partial gradients: of each row a `vec4`, the sums for bias, plasticity (where it is not per connection)
    /// and rate. Cells have none.
    pub partial_rows_at: usize,
}

impl LayerLayout {
    /// Whether there are synapses, or only neurons.
    pub fn has_synapses(&self) -> bool {
        self.tensor(Role::Weight).is_some()
    }

    /// What a cell is beside; only of one.
    pub fn of_cell(&self) -> &CellLayout {
        self.cell.as_ref().expect("only cells are asked")
    }

    /// What has a plane of rows of its own in a cell's reverse sweep.
    pub fn row_planes(&self) -> Vec<RowPlane> {
        let tensors = self.tensors.iter();
        CellLayout::row_planes(tensors.map(|tensor| (tensor.role, tensor.extents)))
    }

    /// Whether the synapses have a trace.
    pub fn has_trace(&self) -> bool {
        self.rule.is_some()
    }

    pub fn tensor(&self, role: Role) -> Option<&Placed> {
        self.tensors.iter().find(|tensor| tensor.role == role)
    }

    /// Where a tensor lies among the parameters.
    pub fn at(&self, role: Role) -> Option<usize> {
        self.tensor(role).map(|tensor| tensor.at)
    }

    /// Where the rows of a tensor's partial gradients lie, if it has any.
    pub fn plane_at(&self, role: Role) -> Option<usize> {
        match self.tensor(role)?.partial {
            Partial::Plane(at) => Some(at),
            Partial::OfRow(_) | Partial::Rows(_) => None,
        }
    }

    /// Columns of a tensor that has as many rows as there are neurons, and the elements from one row to the next.
    fn columns(&self, extents: Extents) -> [usize; 2] {
        match (extents, &self.cell) {
            (Extents::Connections, Some(cell)) => [cell.presynaptic; 2],
            _ => [self.inputs, self.row],
        }
    }

    /// Whether all rows have one plasticity coefficient together, and one rate that gradients are taken of.
    pub fn shares(&self) -> [bool; 2] {
        let is_one = |role| {
            let tensor = self.tensor(role);
            tensor.is_some_and(|tensor| tensor.extents == Extents::One)
        };
        [
            self.cell.is_none() && is_one(Role::Plasticity),
            self.retention && is_one(Role::Rate),
        ]
    }

    /// The rule along a row of synapses, where rows go through all steps by themselves.
    pub fn row_rule(&self) -> Option<&Row> {
        let rule = self.rule.as_ref().filter(|_| self.cell.is_none())?;
        match self.modulators {
            0 => rule.row(),
            _ => rule.modulated_row(),
        }
    }

    /// Whether rows that go through all steps by themselves are given a modulator.
    pub fn has_modulated_rows(&self) -> bool {
        self.cell.is_none() && self.modulators > 0
    }

    /// Whether the retention is the same at every step.
    pub fn is_steady(&self) -> bool {
        let row = self.row_rule();
        row.is_some_and(|row| {
            !row.retention_depends_on_output() && !row.retention_depends_on_modulator()
        })
    }

    /// How the reverse sweep spreads rows over lanes: a gradient on the final trace is one array more to hold.
    pub fn backward_tile(&self, has_trace_gradient: bool) -> Tile {
        match has_trace_gradient && self.tile.rows * self.tile.quads > HALVED_ABOVE {
            true => self.narrow_tile,
            false => self.tile,
        }
    }
}

/// All layers in device memory.
#[derive(Clone, Debug)]
pub(super) struct DeviceLayout {
    pub layers: Vec<LayerLayout>,
    pub loss: Loss,
    /// Padded parameters of one network.
    pub stride: usize,
    /// Padded partial gradients of one block of episodes.
    pub partial_stride: usize,
}

impl DeviceLayout {
    pub fn new(network: &Network, profile: &Profile) -> Self {
        let specs = network.layers().iter().map(Layer::tensors);
        let specs: Vec<_> = specs.collect();
        let layers = || network.layers().iter().zip(&specs);
        let tiles = layers().map(|(layer, tensors)| tile(layer, tensors, profile));
        let tiles: Vec<_> = tiles.collect();
        let mut layout = Self {
            layers: Vec::with_capacity(tiles.len()),
            loss: network.loss(),
            stride: 0,
            partial_stride: 0,
        };
        for (index, (layer, tensors)) in layers().enumerate() {
            let outputs = layer.outputs();
            let plastic = layer.with_trace();
            let cell = CellLayout::new(layer);
            let row = tiles[index].columns();
            let columns = [cell.map_or(row, |cell| cell.presynaptic), row];
            let tensors = layout.place_all(tensors, outputs, columns, cell.is_some());
            let rows = if cell.is_some() { 0 } else { 4 * outputs };
            let partial_rows_at = place(&mut layout.partial_stride, rows);
            layout.layers.push(LayerLayout {
                inputs: layer.inputs(),
                outputs,
                row,
                output_row: match tiles.get(index + 1) {
                    Some(next) => next.columns(),
                    None => outputs.next_multiple_of(4),
                },
                tile: tiles[index],
                narrow_tile: tiles[index].halved(most_lanes(profile)),
                activation: layer.activation(),
                rule: plastic.map(|plastic| plastic.rule.clone()),
                modulators: modulators(layer),
                retention: layer.needs_retention_gradient(),
                cell,
                cell_lanes: outputs
                    .next_power_of_two()
                    .clamp(WORKGROUP, most_lanes(profile)),
                cell_tile: cell.and_then(|cell| CellTile::new(&cell, profile)),
                tensors,
                partial_rows_at,
            });
        }
        layout
    }

    /// Places the tensors of a layer behind those of the layers before it. A row of connections has so many elements, and one of
    /// connections from inputs.
    fn place_all(
        &mut self,
        tensors: &[TensorSpec],
        outputs: usize,
        [connections, inputs]: [usize; 2],
        is_cell: bool,
    ) -> Vec<Placed> {
        let place = |tensor: &TensorSpec| {
            let elements = match tensor.extents {
                Extents::Connections => outputs * connections,
                Extents::Inputs => outputs * inputs,
                Extents::Neurons => outputs,
                Extents::One => 1,
            };
            Placed {
                role: tensor.role,
                extents: tensor.extents,
                at: place(&mut self.stride, elements),
                partial: match (tensor.extents, tensor.role) {
                    (Extents::Connections | Extents::Inputs, _) => {
                        Partial::Plane(place(&mut self.partial_stride, elements))
                    }
                    _ if is_cell => Partial::Rows(place(&mut self.partial_stride, outputs)),
                    (_, Role::Bias) => Partial::OfRow(0),
                    (_, Role::Plasticity) => Partial::OfRow(1),
                    _ => Partial::OfRow(2),
                },
            }
        };
        tensors.iter().map(place).collect()
    }

    /// The last layer: networks have one.
    pub fn last(&self) -> &LayerLayout {
        &self.layers[self.layers.len() - 1]
    }

    /// How many parameter tensors one network has.
    pub fn tensor_count(&self) -> usize {
        self.layers.iter().map(|layer| layer.tensors.len()).sum()
    }

    /// Workgroups that look at one network's gradients.
    pub fn parts(&self) -> usize {
        self.stride.div_ceil(CHECKED)
    }

    /// Fails unless every lane holds its synapses in registers, as the sweeps are written for.
    pub fn require_registers(&self, profile: &Profile) -> Result<()> {
        let too_long = |layer: &LayerLayout| {
            layer.has_synapses() && layer.cell.is_none() && !layer.tile.fits()
        };
        let Some(index) = self.layers.iter().position(too_long) else {
            return Ok(());
        };
        let (inputs, most) = (self.layers[index].inputs, 4 * QUADS_PER_LANE);
        Err(Error::DeviceLimit {
            what: format!(
                "lanes of a workgroup for a row of layer{index}, {inputs} synapses of which a lane holds {most}"
            ),
            requested: inputs.div_ceil(most).next_power_of_two() as u64,
            limit: most_lanes(profile) as u64,
        })
    }

    /// Where each element of a parameter tensor lies: calls `visit(index in the tensor, index on the device)`.
    fn each_element(&self, layer: usize, tensor: &Placed, mut visit: impl FnMut(usize, usize)) {
        let layer = &self.layers[layer];
        match tensor.extents {
            Extents::Connections | Extents::Inputs => {
                let [columns, row] = layer.columns(tensor.extents);
                for i in 0..layer.outputs {
                    for j in 0..columns {
                        visit(i * columns + j, tensor.at + i * row + j);
                    }
                }
            }
            Extents::Neurons => (0..layer.outputs).for_each(|i| visit(i, tensor.at + i)),
            Extents::One => visit(0, tensor.at),
        }
    }

    /// Every tensor, in the order of the host's, with its layer.
    fn tensors(&self) -> Vec<(usize, &Placed)> {
        let layers = self.layers.iter().enumerate();
        layers
            .flat_map(|(index, layer)| layer.tensors.iter().map(move |tensor| (index, tensor)))
            .collect()
    }

    /// One network's values, padded with zeros, appended to `device`.
    pub fn pack(&self, layout: &Layout, values: &[f32], device: &mut Vec<f32>) {
        let start = device.len();
        device.resize(start + self.stride, 0.0);
        let device = &mut device[start..];
        for (tensor, (layer, placed)) in zip_eq(layout.tensors(), self.tensors()) {
            let values = &values[tensor.range()];
            self.each_element(layer, placed, |index, at| device[at] = values[index]);
        }
    }

    /// The inverse of [`DeviceLayout::pack`].
    pub fn unpack(&self, layout: &Layout, device: &[f32], values: &mut [f32]) {
        for (tensor, (layer, placed)) in zip_eq(layout.tensors(), self.tensors()) {
            let values = &mut values[tensor.range()];
            self.each_element(layer, placed, |index, at| values[index] = device[at]);
        }
    }

    /// What each device parameter is.
    pub fn elements(&self, layout: &Layout) -> Vec<Element> {
        let mut elements = vec![Element::default(); self.stride];
        let tensors = zip_eq(layout.tensors(), self.tensors()).enumerate();
        for (index, (tensor, (layer, placed))) in tensors.filter(|(_, (it, _))| it.learned) {
            let rows_at = self.layers[layer].partial_rows_at;
            self.each_element(layer, placed, |element, at| {
                let source = match placed.partial {
                    Partial::Plane(plane) => plane + at - placed.at,
                    // What all rows share lies in the first one's place (`reduce_rows.wgsl`).
                    Partial::OfRow(component) => rows_at + component + 4 * element,
                    Partial::Rows(rows) => rows + element,
                };
                elements[at] = Element {
                    source: source as u32,
                    kind: [index as u32 + 1, role_code(tensor.role)],
                };
            });
        }
        elements
    }
}

fn modulators(layer: &Layer) -> usize {
    let mut from = ModulatorFrom::ALL.into_iter();
    let shape = from.find_map(|from| layer.modulator_shape(from, 1));
    shape.map_or(0, |shape| shape.iter().product())
}

/// How the rows of a layer are spread over lanes.
fn tile(layer: &Layer, tensors: &[TensorSpec], profile: &Profile) -> Tile {
    let has_rows = tensors.iter().any(|tensor| tensor.role == Role::Weight);
    match has_rows && layer.is_row_affine() {
        true => Tile::new(layer.inputs(), layer.outputs(), profile),
        false => Tile::of_one_lane(layer.inputs()),
    }
}

/// The place of `size` elements behind what is `at` so far, and before what comes next.
fn place(at: &mut usize, size: usize) -> usize {
    let start = *at;
    *at += size.next_multiple_of(4);
    start
}

/// What the shaders know of one parameter; by default, one that stays as it is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Element {
    /// Where a block's partial gradient of it lies, or [`NO_SOURCE`].
    pub source: u32,
    /// Its tensor's index plus one, and its role.
    pub kind: [u32; 2],
}

impl Default for Element {
    fn default() -> Self {
        Self {
            source: NO_SOURCE,
            kind: [0, FIXED],
        }
    }
}

/// A role's number in the shaders, which know those that an optimiser treats in a way of their own.
pub(super) fn role_code(role: Role) -> u32 {
    match role {
        Role::Weight | Role::InputWeight => 1,
        Role::Plasticity => 2,
        Role::Rate => 4,
        Role::Bias
        | Role::Coefficient
        | Role::ModulatorWeight
        | Role::ModulatorBias
        | Role::FanOutWeight
        | Role::FanOutBias => 3,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::Rate;
    use crate::network::{Activation, Bias, Dense, Plastic};
    use crate::parameters::Parameters;

    fn network(inputs: usize) -> Network {
        Network::new(
            Loss::SquaredError,
            [
                Layer::from(
                    Plastic::new(inputs, 5, Rate::learned(0.1).per_neuron())
                        .activation(Activation::Tanh),
                ),
                Layer::from(Dense::new(5, 3)),
                Layer::from(Bias::new(3)),
            ],
        )
        .unwrap()
    }

    #[test]
    fn rows_fit_their_lanes() {
        for inputs in [1, 3, 32, 33, 60, 129, 256, 1000, 4096, 10_000] {
            let layout = DeviceLayout::new(&network(inputs), &Profile::default());
            let layer = &layout.layers[0];
            let Tile { lanes, quads, .. } = layer.tile;
            assert!(
                layer.row >= inputs && layer.row == 4 * lanes * quads,
                "{inputs}"
            );
            assert!(lanes.is_power_of_two() && lanes <= 256, "{inputs}");
            assert_eq!(layer.output_row, layout.layers[1].row);
        }
    }

    #[test]
    fn rows_that_no_registers_hold_are_refused_with_numbers() {
        for (workgroup_size, most) in [(64, 2048), (128, 4096), (256, 8192)] {
            let profile = Profile {
                workgroup_size,
                ..Profile::default()
            };
            let refusal =
                |inputs| DeviceLayout::new(&network(inputs), &profile).require_registers(&profile);
            refusal(most).unwrap();
            let error = refusal(most + 1).unwrap_err();
            assert!(
                matches!(error, Error::DeviceLimit { requested, limit, .. }
                    if requested == 2 * limit && limit == u64::from(workgroup_size)),
                "{error}"
            );
            assert!(error.to_string().contains("layer0"), "{error}");
        }
    }

    #[test]
    fn packed_parameters_unpack_to_themselves() {
        let network = network(60);
        let layout = Layout::new(&network).unwrap();
        let device_layout = DeviceLayout::new(&network, &Profile::default());
        let parameters =
            Parameters::<f32>::initialise(&network, &crate::parameters::Initial::default(), 1, 1)
                .unwrap();
        let mut device = Vec::new();
        device_layout.pack(&layout, parameters.values(), &mut device);
        assert_eq!(device.len() % 4, 0);
        let mut back = vec![0.0; layout.size()];
        device_layout.unpack(&layout, &device, &mut back);
        assert_eq!(back, parameters.values());
    }

    #[test]
    fn every_learned_parameter_has_its_own_partials() {
        let network = network(60);
        let layout = Layout::new(&network).unwrap();
        let device_layout = DeviceLayout::new(&network, &Profile::default());
        let mut seen = std::collections::HashSet::new();
        let learned = device_layout
            .elements(&layout)
            .into_iter()
            .filter(|element| element.kind[1] != FIXED);
        let mut count = 0;
        for element in learned {
            count += 1;
            assert!(seen.insert(element.source));
        }
        assert_eq!(count, layout.size());
        assert!(
            seen.iter()
                .all(|&at| (at as usize) < device_layout.partial_stride)
        );
    }
}
