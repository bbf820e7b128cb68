//! How a network's parameters and gradients lie in device memory, and how its rows are spread over lanes.
//!
//! Every tensor starts at a whole `vec4` and every row of synapses is padded with zeros to the columns that its lanes
//! hold, so that kernels have no remainder to guard.

use super::profile::Profile;
use crate::error::{Error, Result};
use crate::network::Network;
use crate::network::{Activation, Layer, Plasticity, RatePer, Rule};
use crate::parameters::{Layout, Role};

/// Synapses, in `vec4`s, that one lane holds at most, of all rows together: more would not fit its registers.
const QUADS_PER_LANE: usize = 8;

/// Rows of a tile, most first: a lane loads its presynaptic activity once for all of them.
const ROWS_PER_TILE: [usize; 2] = [2, 1];

/// Lanes of a workgroup, unless a row needs more.
const WORKGROUP: usize = 64;

/// Parameters that no update touches: padding, and rates that are not learned.
pub(super) const FIXED: u32 = 0;

/// Parameters of a network that one workgroup of `check_parts.wgsl` looks at.
pub(super) const CHECKED: usize = 4096;

/// The source of a parameter that no gradient is taken of.
pub(super) const NO_SOURCE: u32 = u32::MAX;

/// One layer in device memory. Offsets and sizes count `f32`s.
#[derive(Clone, Debug)]
pub(super) struct LayerLayout {
    pub inputs: usize,
    pub outputs: usize,
    /// Padded presynaptic neurons.
    pub row: usize,
    /// Padded postsynaptic neurons: the next layer's `row`.
    pub output_row: usize,
    /// Rows of a tile.
    pub rows: usize,
    /// Lanes that own one tile.
    pub lanes: usize,
    /// `vec4`s of synapses of each row that a lane holds.
    pub quads: usize,
    pub workgroup: usize,
    pub activation: Activation,
    pub plastic: Option<(Rule, Plasticity, RatePer)>,
    pub is_bias: bool,
    /// Whether the gradient of the retention is needed.
    pub retention: bool,
    pub weight_at: usize,
    pub plasticity_at: usize,
    pub bias_at: Option<usize>,
    pub rate_at: usize,
    pub partial_weight_at: usize,
    pub partial_plasticity_at: usize,
    /// Per row a `vec4`: the sums for bias, plasticity (where it is not per connection) and rate.
    pub partial_rows_at: usize,
}

impl LayerLayout {
    /// Whether all rows have one plasticity coefficient together, and one rate that gradients are taken of.
    pub fn shares(&self) -> [bool; 2] {
        match self.plastic {
            Some((_, plasticity, per)) => [
                plasticity == Plasticity::Layer,
                self.retention && per == RatePer::Layer,
            ],
            None => [false; 2],
        }
    }

    /// Whether the retention is the same at every step.
    pub fn is_steady(&self) -> bool {
        let rule = self.plastic.map(|(rule, ..)| rule);
        rule.is_some_and(|rule| !rule.retention_depends_on_output())
    }

    /// Tiles of rows.
    pub fn tiles(&self) -> usize {
        self.outputs / self.rows
    }

    /// The same rows with half as many synapses a lane, as far as they can be halved: for a sweep that holds more arrays.
    pub fn halved(&self, most_lanes: usize) -> Self {
        let (rows, lanes, quads) = match self.rows {
            1 if self.quads.is_multiple_of(2) && 2 * self.lanes <= most_lanes => {
                (1, 2 * self.lanes, self.quads / 2)
            }
            1 => (1, self.lanes, self.quads),
            rows => (rows / 2, self.lanes, self.quads),
        };
        Self {
            rows,
            lanes,
            quads,
            workgroup: WORKGROUP.max(lanes),
            ..self.clone()
        }
    }
}

/// All layers in device memory.
#[derive(Clone, Debug)]
pub(super) struct DeviceLayout {
    pub layers: Vec<LayerLayout>,
    /// Padded parameters of one network.
    pub stride: usize,
    /// Padded partial gradients of one block of episodes.
    pub partial_stride: usize,
    /// Parameter tensors of one network.
    pub tensors: usize,
}

impl DeviceLayout {
    pub fn new(network: &Network, profile: &Profile) -> Self {
        let spreads: Vec<_> = network
            .layers()
            .iter()
            .map(|layer| Spread::new(layer, profile))
            .collect();
        let mut layers = Vec::new();
        let (mut stride, mut partial_stride) = (0, 0);
        for (index, layer) in network.layers().iter().enumerate() {
            let Spread { rows, lanes, quads } = spreads[index];
            let row = spreads[index].columns();
            let (inputs, outputs) = (layer.inputs(), layer.outputs());
            let place = |at: &mut usize, size: usize| {
                let start = *at;
                *at += size.next_multiple_of(4);
                start
            };
            let is_bias = matches!(layer, Layer::Bias(_));
            let synapses = if is_bias { 0 } else { outputs * row };
            let plastic = layer
                .as_plastic()
                .map(|plastic| (plastic.rule, plastic.plasticity, plastic.rate.per));
            let coefficients = match plastic {
                Some((_, Plasticity::Connection, _)) => synapses,
                Some((_, Plasticity::Neuron, _)) => outputs,
                Some((_, Plasticity::Layer, _)) => 1,
                None => 0,
            };
            let rates = match plastic {
                Some((_, _, RatePer::Neuron)) => outputs,
                Some((_, _, RatePer::Layer)) => 1,
                None => 0,
            };
            layers.push(LayerLayout {
                inputs,
                outputs,
                row,
                output_row: match spreads.get(index + 1) {
                    Some(spread) => spread.columns(),
                    None => outputs.next_multiple_of(4),
                },
                rows,
                lanes,
                quads,
                workgroup: WORKGROUP.max(lanes),
                activation: layer.activation(),
                plastic,
                is_bias,
                retention: layer.as_plastic().is_some_and(|plastic| {
                    plastic.rate.learned || plastic.rule.retention_depends_on_output()
                }),
                weight_at: place(&mut stride, synapses),
                plasticity_at: place(&mut stride, coefficients),
                bias_at: layer.has_bias().then(|| place(&mut stride, outputs)),
                rate_at: place(&mut stride, rates),
                partial_weight_at: place(&mut partial_stride, synapses),
                partial_plasticity_at: place(
                    &mut partial_stride,
                    if coefficients == synapses {
                        coefficients
                    } else {
                        0
                    },
                ),
                partial_rows_at: place(&mut partial_stride, 4 * outputs),
            });
        }
        let tensors = network.layers().iter().map(|layer| {
            let connections = !matches!(layer, Layer::Bias(_));
            let plastic = layer.as_plastic().is_some();
            // The plasticity, and its rate.
            usize::from(connections) + 2 * usize::from(plastic) + usize::from(layer.has_bias())
        });
        Self {
            tensors: tensors.sum(),
            layers,
            stride,
            partial_stride,
        }
    }

    /// Workgroups that look at one network's gradients.
    pub fn parts(&self) -> usize {
        self.stride.div_ceil(CHECKED)
    }

    /// Fails unless every lane holds its synapses in registers, as the sweeps are written for.
    pub fn require_registers(&self, profile: &Profile) -> Result<()> {
        let too_long =
            |layer: &LayerLayout| !layer.is_bias && layer.rows * layer.quads > QUADS_PER_LANE;
        let Some(index) = self.layers.iter().position(too_long) else {
            return Ok(());
        };
        let (inputs, most) = (self.layers[index].inputs, 4 * QUADS_PER_LANE);
        Err(Error::DeviceLimit {
            what: format!(
                "lanes of a workgroup for a row of layer{index}, {inputs} synapses of which a lane holds {most}"
            ),
            requested: inputs.div_ceil(most).next_power_of_two() as u64,
            limit: u64::from(profile.workgroup_size),
        })
    }

    /// Where each element of a parameter tensor lies: calls `visit(index in the tensor, index on the device)`.
    fn each_element(
        &self,
        layer: usize,
        role: Role,
        len: usize,
        mut visit: impl FnMut(usize, usize),
    ) {
        let at = &self.layers[layer];
        let by_row = |start: usize, visit: &mut dyn FnMut(usize, usize)| {
            for i in 0..at.outputs {
                for j in 0..at.inputs {
                    visit(i * at.inputs + j, start + i * at.row + j);
                }
            }
        };
        match role {
            Role::Weight => by_row(at.weight_at, &mut visit),
            Role::Plasticity if matches!(at.plastic, Some((_, Plasticity::Connection, _))) => {
                by_row(at.plasticity_at, &mut visit);
            }
            Role::Plasticity => (0..len).for_each(|i| visit(i, at.plasticity_at + i)),
            Role::Bias => {
                (0..len).for_each(|i| visit(i, at.bias_at.expect("the layer has a bias") + i))
            }
            Role::Rate => (0..len).for_each(|i| visit(i, at.rate_at + i)),
        }
    }

    /// One network's values, padded with zeros, appended to `device`.
    pub fn pack(&self, layout: &Layout, values: &[f32], device: &mut Vec<f32>) {
        let start = device.len();
        device.resize(start + self.stride, 0.0);
        let device = &mut device[start..];
        for tensor in layout.tensors() {
            let values = &values[tensor.range()];
            self.each_element(tensor.layer, tensor.role, tensor.len, |index, at| {
                device[at] = values[index]
            });
        }
    }

    /// The inverse of [`DeviceLayout::pack`].
    pub fn unpack(&self, layout: &Layout, device: &[f32], values: &mut [f32]) {
        for tensor in layout.tensors() {
            let values = &mut values[tensor.range()];
            self.each_element(tensor.layer, tensor.role, tensor.len, |index, at| {
                values[index] = device[at]
            });
        }
    }

    /// What each device parameter is.
    pub fn elements(&self, layout: &Layout) -> Vec<Element> {
        let mut elements = vec![Element::default(); self.stride];
        for (index, tensor) in layout.tensors().iter().enumerate() {
            if !tensor.learned {
                continue;
            }
            let layer = &self.layers[tensor.layer];
            self.each_element(tensor.layer, tensor.role, tensor.len, |element, at| {
                let component = match tensor.role {
                    Role::Bias => 0,
                    Role::Plasticity => 1,
                    _ => 2,
                };
                let rows = layer.partial_rows_at + component;
                let source = match tensor.role {
                    Role::Weight => layer.partial_weight_at + at - layer.weight_at,
                    Role::Plasticity if tensor.shape.len() == 2 => {
                        layer.partial_plasticity_at + at - layer.plasticity_at
                    }
                    // What all rows share lies in the first one's place (`reduce_rows.wgsl`).
                    _ => rows + 4 * element,
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

/// A role's number in the shaders.
pub(super) fn role_code(role: Role) -> u32 {
    match role {
        Role::Weight => 1,
        Role::Plasticity => 2,
        Role::Bias => 3,
        Role::Rate => 4,
    }
}

/// How a layer's rows are spread over lanes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Spread {
    rows: usize,
    lanes: usize,
    quads: usize,
}

impl Spread {
    fn new(layer: &Layer, profile: &Profile) -> Self {
        let quads = layer.inputs().div_ceil(4);
        if matches!(layer, Layer::Bias(_)) {
            return Self {
                rows: 1,
                lanes: 1,
                quads,
            };
        }
        let most = most_lanes(profile);
        let tile = |rows: usize| {
            let lanes = quads
                .div_ceil(QUADS_PER_LANE / rows)
                .next_power_of_two()
                .min(most);
            Self {
                rows,
                lanes,
                quads: quads.div_ceil(lanes),
            }
        };
        let single = tile(1);
        // Several rows where that pads no row and no column more, and where a tile's lanes, each of which keeps the
        // scalars of one row, can tell each other of them by shuffles.
        ROWS_PER_TILE
            .map(tile)
            .into_iter()
            .find(|tile| {
                layer.outputs().is_multiple_of(tile.rows)
                    && tile.columns() == single.columns()
                    && tile.rows * tile.quads <= QUADS_PER_LANE
                    && tile.rows <= tile.lanes.min(profile.subgroup_size as usize)
            })
            .unwrap_or(single)
    }

    /// Padded presynaptic neurons.
    fn columns(&self) -> usize {
        4 * self.lanes * self.quads
    }
}

/// Lanes that own one tile at most.
pub(super) fn most_lanes(profile: &Profile) -> usize {
    1 << profile.workgroup_size.ilog2()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::{Loss, Rate};
    use crate::parameters::Parameters;

    fn network(inputs: usize) -> Network {
        Network::new(
            Loss::SquaredError,
            [
                Layer::plastic(inputs, 5, Rate::learned(0.1).per_neuron()),
                Layer::dense(5, 3, Activation::Linear),
                Layer::bias(3),
            ],
        )
        .unwrap()
    }

    #[test]
    fn rows_fit_their_lanes() {
        for inputs in [1, 3, 32, 33, 60, 129, 256, 1000, 4096, 10_000] {
            let layout = DeviceLayout::new(&network(inputs), &Profile::default());
            let layer = &layout.layers[0];
            assert!(
                layer.row >= inputs && layer.row == 4 * layer.lanes * layer.quads,
                "{inputs}"
            );
            assert!(
                layer.lanes.is_power_of_two() && layer.lanes <= 256,
                "{inputs}"
            );
            assert_eq!(layer.output_row, layout.layers[1].row);
        }
    }

    #[test]
    fn no_lane_holds_more_synapses_than_its_registers() {
        for subgroup_size in [1, 2, 4, 8, 16, 32, 64] {
            for workgroup_size in [128, 256, 1024] {
                let profile = Profile {
                    subgroup_size,
                    workgroup_size,
                    ..Profile::default()
                };
                let most = most_lanes(&profile);
                for inputs in 1..=4096usize {
                    for outputs in [1, 2, 7, 256] {
                        let layer = Layer::dense(inputs, outputs, Activation::Tanh);
                        let Spread { rows, lanes, quads } = Spread::new(&layer, &profile);
                        let context = format!("{inputs}×{outputs} {profile:?}");
                        assert!(rows * quads <= QUADS_PER_LANE, "{context}");
                        assert!(4 * lanes * quads >= inputs, "{context}");
                        assert!(lanes.is_power_of_two() && lanes <= most, "{context}");
                        assert!(outputs % rows == 0, "{context}");
                        assert!(
                            rows == 1 || rows <= lanes.min(subgroup_size as usize),
                            "{context}"
                        );
                        // No more than a quarter is padding, beyond what fills up the last `vec4`.
                        let least = inputs.div_ceil(4);
                        assert!(4 * lanes * quads <= 5 * (least + 1), "{context}");
                    }
                }
            }
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
    fn tiles_have_two_rows_where_that_pads_nothing() {
        let spread = |inputs, outputs, subgroup_size| {
            let profile = Profile {
                subgroup_size,
                ..Profile::default()
            };
            let layer = Layer::dense(inputs, outputs, Activation::Tanh);
            let Spread { rows, lanes, quads } = Spread::new(&layer, &profile);
            (rows, lanes, quads)
        };
        assert_eq!(spread(10, 2, 32), (1, 1, 3));
        assert_eq!(spread(256, 256, 32), (2, 16, 4));
        assert_eq!(spread(4096, 2, 32), (2, 256, 4));
        assert_eq!(spread(256, 255, 32), (1, 8, 8));
        assert_eq!(spread(129, 256, 32), (1, 8, 5));
        assert_eq!(spread(256, 256, 1), (1, 8, 8));
    }

    #[test]
    fn halving_halves_what_a_lane_holds() {
        for (inputs, outputs) in [(32, 3), (60, 2), (224, 3), (256, 2), (4096, 2)] {
            let network = Network::new(
                Loss::SquaredError,
                [Layer::dense(inputs, outputs, Activation::Tanh)],
            )
            .unwrap();
            let layout = DeviceLayout::new(&network, &Profile::default());
            let layer = &layout.layers[0];
            let halved = layer.halved(256);
            assert_eq!(4 * halved.lanes * halved.quads, layer.row);
            assert_eq!(
                2 * halved.rows * halved.quads == layer.rows * layer.quads,
                inputs != 224
            );
        }
    }

    #[test]
    fn packing_round_trips() {
        let network = network(60);
        let layout = Layout::new(&network).unwrap();
        let device_layout = DeviceLayout::new(&network, &Profile::default());
        let parameters =
            Parameters::<f32>::initialise(&network, &crate::Initial::default(), 1, 1).unwrap();
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
