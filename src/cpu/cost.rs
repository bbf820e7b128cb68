//! What lies along the lanes of vectors where: by a formula for each way's cost.

use super::along::{Along, MOST_LANES};
use super::shape::{Kind, Shape};
use crate::computation::EPISODE_BLOCK;
use crate::number::{Real, pair_width};

/// Padded synapses of each network, of those that lie side by side: of 32 `f32` networks, a quarter of a mebibyte.
const MOST_SYNAPSES: usize = 1 << 11;

/// Activities of one episode of each network, of those that lie side by side: of 32 `f32` networks, 4 mebibytes.
const MOST_ACTIVITIES: usize = 1 << 15;

/// Synapses of a group of episodes whose layers' rows step together: of `f32`, half a mebibyte.
const MOST_STATES: usize = 1 << 17;

/// What a step of a layer's sweeps costs, forward and back, in what they take for the synapses of one pair of vectors. It was
/// fitted to `f32` with AVX2 and AVX-512 on one processor (`benches/RESULTS.md`); for other vectors it is a model.
#[derive(Clone, Copy)]
struct Cost {
    /// A block of rows of one episode, or a row of a group of episodes: with something else in every lane.
    in_lanes: usize,
    /// A row of one episode, with its synapses along the lanes: the sums over lanes, and what is computed once beside them, cost
    /// as much as six pairs, or as fewer of wide ones.
    alone: usize,
}

impl Cost {
    fn of<R: Real>(shape: &Shape) -> Self {
        let width = pair_width::<R>();
        let (synapses, pairs) = match shape.kind {
            Kind::Bias => (0, 0),
            _ => (shape.inputs, shape.inputs.div_ceil(width)),
        };
        Self {
            in_lanes: 14 + synapses,
            alone: (384 / (width * size_of::<R>())).min(6) + pairs,
        }
    }

    /// A layer of one episode that goes by itself: with rows along the lanes, and with synapses.
    fn of_episode<R: Real>(shape: &Shape) -> [usize; 2] {
        let (cost, outputs) = (Self::of::<R>(shape), shape.outputs);
        let blocks = Along::Rows.blocks::<R>(outputs);
        [
            blocks.saturating_mul(cost.in_lanes),
            outputs.saturating_mul(cost.alone),
        ]
    }
}

impl Along {
    /// What goes together where networks have so many episodes each: a group of them, where it costs no more than as many
    /// episodes each by itself, in whichever way is the faster in each layer ([`Along::of_layer`]).
    ///
    /// Longer rows than 256 synapses would not stay in the nearest cache, and fewer than four episodes gain nothing.
    pub fn fastest<R: Real>(shapes: &[Shape], batch: usize) -> Self {
        let width = pair_width::<R>();
        if has_cell(shapes) {
            return Self::of_cells::<R>(shapes, batch);
        }
        let inputs = shapes.iter().map(|shape| shape.inputs).max().unwrap_or(0);
        let sum = |cost: &dyn Fn(&Shape) -> usize| {
            let costs = shapes.iter().map(cost);
            costs.fold(0, usize::saturating_add)
        };
        let group = sum(&|shape| shape.outputs.saturating_mul(Cost::of::<R>(shape).in_lanes));
        let episode = sum(&|shape| {
            let [rows, synapses] = Cost::of_episode::<R>(shape);
            rows.min(synapses)
        });
        let groups = batch.div_ceil(width);
        let suits = MOST_LANES.is_multiple_of(width)
            && batch >= 4
            && inputs <= 256
            && groups.saturating_mul(group) <= batch.saturating_mul(episode);
        if suits {
            Self::Episodes
        } else {
            Self::Synapses
        }
    }

    /// The faster one for a network with a layer whose rows step together. A step over a block of them is about as long as the
    /// block's synapses and 12 more: over rows, for as many rows as there are lanes of one episode; over episodes, for one row of
    /// as many episodes, whose states have to stay in a near cache.
    fn of_cells<R: Real>(shapes: &[Shape], batch: usize) -> Self {
        let width = pair_width::<R>();
        let cost = |rows: usize| -> usize {
            let blocks = shapes.iter().map(|shape| {
                let columns = shape.layer.synapses() / shape.outputs + 12;
                shape.outputs.div_ceil(rows).saturating_mul(columns)
            });
            blocks.fold(0, usize::saturating_add)
        };
        let states = shapes.iter().map(|shape| shape.layer.synapses());
        let states = states.fold(0, usize::saturating_add);
        let groups = batch.div_ceil(width);
        let suits = MOST_LANES.is_multiple_of(width)
            && states.saturating_mul(width) <= MOST_STATES
            && groups.saturating_mul(cost(1)) < batch.saturating_mul(cost(width));
        if suits {
            Self::Episodes
        } else {
            Self::Synapses
        }
    }

    /// The faster one for a layer, where so much goes together: where one episode goes by itself, rows or synapses.
    pub fn of_layer<R: Real>(self, shape: &Shape) -> Self {
        let [rows, synapses] = Cost::of_episode::<R>(shape);
        let fit = MOST_LANES.is_multiple_of(pair_width::<R>());
        match self {
            // Those whose rows step together have blocks of their own.
            _ if shape.kind == Kind::Cell => self,
            Self::Synapses if fit && rows <= synapses => Self::Rows,
            _ => self,
        }
    }

    /// The same for networks that learn, with so many episodes of so many steps of each: networks side by side where one that is
    /// alone takes no more than five times as long so as it does over synapses or episodes. A population gains what the other
    /// lanes then do besides.
    ///
    /// A row's step over `I` synapses costs about `6 + 1.6 I` over networks, in pairs of vectors of 64 bytes, once for each
    /// episode, and `10 + I / W` over synapses. (Below, both stand five times, so that they are whole numbers.) What a group
    /// has must stay in a near cache.
    pub fn fastest_learning<R: Real>(shapes: &[Shape], batch: usize, steps: usize) -> Self {
        let along = Self::fastest::<R>(shapes, batch);
        if has_cell(shapes) {
            return along;
        }
        let width = pair_width::<R>();
        let all = |cost: fn(usize, usize) -> usize| -> usize {
            let costs = shapes.iter().map(|shape| match shape.kind {
                Kind::Bias => shape.outputs.saturating_mul(cost(1, width)),
                _ => shape.outputs.saturating_mul(cost(shape.inputs, width)),
            });
            costs.fold(0, usize::saturating_add)
        };
        let group = all(|inputs, _| 30 + 8 * inputs).saturating_mul(width * size_of::<R>());
        let alone = match along {
            Self::Episodes => batch.div_ceil(width).saturating_mul(group),
            _ => {
                let episode = all(|inputs, width| 50 + 5 * inputs.div_ceil(width));
                batch.saturating_mul(64).saturating_mul(episode)
            }
        };
        let synapses = shapes.iter().map(Shape::synapses);
        let synapses = synapses.fold(0, usize::saturating_add);
        let neurons = shapes.iter().map(|shape| shape.inputs + 2 * shape.outputs);
        let neurons = neurons.fold(0, usize::saturating_add);
        let suits = MOST_LANES.is_multiple_of(width)
            && batch <= EPISODE_BLOCK
            && synapses <= MOST_SYNAPSES
            && neurons.saturating_mul(steps) <= MOST_ACTIVITIES
            && batch.saturating_mul(group) <= alone.saturating_mul(5);
        if suits { Self::Networks } else { along }
    }
}

/// Whether there is a layer whose rows step together.
fn has_cell(shapes: &[Shape]) -> bool {
    shapes.iter().any(|shape| shape.kind == Kind::Cell)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::{Activation, Dense, Layer, Loss, Network, Plastic, Rate};

    fn learning<R: Real>(layers: Vec<Layer>, batch: usize, steps: usize) -> Along {
        let network = Network::new(Loss::SquaredError, layers).unwrap();
        Along::fastest_learning::<R>(&Shape::all(&network), batch, steps)
    }

    fn plastic(inputs: usize, outputs: usize) -> Layer {
        Plastic::new(inputs, outputs, Rate::learned(0.1)).into()
    }

    #[test]
    fn small_networks_in_small_batches_learn_side_by_side() {
        let one_shot = || -> Vec<Layer> {
            let output = Dense::new(2, 2).activation(Activation::Linear);
            vec![plastic(10, 2), output.into()]
        };
        // Where vectors are wider than any arrays are made for, nothing lies side by side.
        for (wide, along) in [
            (
                pair_width::<f32>() > MOST_LANES,
                learning::<f32>(one_shot(), 1, 20),
            ),
            (
                pair_width::<f64>() > MOST_LANES,
                learning::<f64>(one_shot(), 1, 20),
            ),
        ] {
            assert!(wide || along == Along::Networks, "{along:?}");
        }
        assert_eq!(
            learning::<f32>(vec![plastic(10, 2)], 1, 1_500),
            Along::Networks
        );
        // A large batch, a wide layer, a long episode.
        assert_eq!(learning::<f32>(one_shot(), 512, 20), Along::Episodes);
        assert_eq!(
            learning::<f32>(vec![plastic(400, 60)], 1, 20),
            Along::Synapses
        );
        assert_eq!(learning::<f32>(one_shot(), 1, 1 << 20), Along::Synapses);
    }

    #[test]
    fn layers_of_many_short_rows_go_by_rows() {
        fn along<R: Real>(inputs: usize, outputs: usize) -> Along {
            let layers = [plastic(inputs, outputs)];
            let network = Network::new(Loss::SquaredError, layers).unwrap();
            let shapes = Shape::all(&network);
            let along = Along::fastest::<R>(&shapes, 3);
            assert_eq!(along, Along::Synapses, "fewer episodes than go together");
            along.of_layer::<R>(&shapes[0])
        }
        if pair_width::<f32>().max(pair_width::<f64>()) > MOST_LANES {
            return;
        }
        assert_eq!(along::<f32>(24, 64), Along::Rows);
        assert_eq!(along::<f64>(24, 64), Along::Rows);
        assert_eq!(along::<f32>(24, 1), Along::Synapses);
        assert_eq!(along::<f64>(24, 1), Along::Synapses);
    }
}
