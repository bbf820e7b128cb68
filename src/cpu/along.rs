//! What lies along the lanes of a vector, as data: arrays are laid out by it, and kernels are compiled for each.

use super::layers::{Kind, Shape};
use super::segments;
use crate::computation::EPISODE_BLOCK;
use crate::number::{Real, pair_width};

/// What the lanes of a vector hold. `kernels::Way` is the same as a type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Along {
    /// A row's synapses, of one episode at a time. Rows are padded to whole vectors, and what a row computes once a step
    /// beside its synapses is computed for that episode alone.
    Synapses,
    /// As many episodes as a pair of vectors has lanes: a synapse's weight is the same in every lane, and what a row
    /// computes once a step it computes for all of them. That suits small layers; a large row's arrays, one vector a
    /// synapse, would not stay in the nearest cache.
    Episodes,
    /// As many networks as a pair of vectors has lanes, of each the same episode of its batch: what each has of its own,
    /// weights and gradients too, lies beside the others'. No row is padded and nothing is summed over lanes. A network that
    /// is alone, or one of the last few, takes the time of a whole group.
    Networks,
    /// As many of a layer's rows as a pair of vectors has lanes, a *block* of them, of one episode at a time: weights, traces
    /// and gradients are transposed, `[rows / W, I, W]`, presynaptic activity is the same in every lane, and what a row
    /// computes once a step it computes for all of the block. Nothing is summed over lanes but the gradient of the input.
    /// Where rows do not fill the last block, its other lanes do what its first one does, with gradients of zero.
    Rows,
}

/// The most lanes of a pair of vectors: `f32` with AVX-512.
pub(super) const MOST_LANES: usize = 32;

/// Numbers that a sweep keeps of a row beside its synapses while the row waits, for each episode: as many as the reverse
/// sweep has.
pub(super) const STATE: usize = 6;

/// Padded synapses of each network, of those that lie side by side: of 32 `f32` networks, a quarter of a mebibyte.
const MOST_SYNAPSES: usize = 1 << 11;

/// Activities of one episode of each network, of those that lie side by side: of 32 `f32` networks, 4 mebibytes.
const MOST_ACTIVITIES: usize = 1 << 15;

/// Elements of a line of the cache, in `f32`.
const LINE: usize = 16;

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

    /// The faster one for a layer, where so much goes together: where one episode goes by itself, rows or synapses.
    pub fn of_layer<R: Real>(self, shape: &Shape) -> Self {
        let [rows, synapses] = Cost::of_episode::<R>(shape);
        let fit = MOST_LANES.is_multiple_of(pair_width::<R>());
        match self {
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

    /// What a sweep has of its own in each lane, `W`: episodes, networks or rows that go together.
    pub fn width<R: Real>(self) -> usize {
        match self {
            Self::Synapses => 1,
            Self::Episodes | Self::Networks | Self::Rows => pair_width::<R>(),
        }
    }

    /// Networks that go together: the last axis of their parameters.
    pub fn networks<R: Real>(self) -> usize {
        match self {
            Self::Networks => self.width::<R>(),
            Self::Synapses | Self::Episodes | Self::Rows => 1,
        }
    }

    /// Rows of a layer that go together, as one block.
    pub fn rows<R: Real>(self) -> usize {
        match self {
            Self::Rows => self.width::<R>(),
            Self::Synapses | Self::Episodes | Self::Networks => 1,
        }
    }

    /// Of a network, the episodes that go together.
    pub fn episodes<R: Real>(self) -> usize {
        self.beside::<R>() / self.networks::<R>()
    }

    /// Episodes that go together, `E`, of one network or of one each: the last axis of what is the same for all rows.
    pub fn beside<R: Real>(self) -> usize {
        self.width::<R>() / self.rows::<R>()
    }

    /// Blocks of a layer's rows; each row is one where none go together.
    pub fn blocks<R: Real>(self, outputs: usize) -> usize {
        outputs.div_ceil(self.rows::<R>())
    }

    /// Synapses of a row in each lane, `C`: padded where they lie along the lanes.
    pub fn columns(self, shape: &Shape) -> usize {
        match self {
            Self::Synapses => shape.row,
            Self::Episodes | Self::Networks | Self::Rows => shape.inputs,
        }
    }

    /// Presynaptic neurons of each episode, `N`: padded where one episode goes by itself.
    pub fn neurons(self, shape: &Shape) -> usize {
        match self {
            Self::Synapses | Self::Rows => shape.row,
            Self::Episodes | Self::Networks => shape.inputs,
        }
    }

    /// Rows whose sweeps are interleaved step by step. Where a row's next step waits for a sum over lanes, or for the
    /// activation, the processor has the others to do meanwhile.
    pub const fn together(self) -> usize {
        match self {
            Self::Synapses => 4,
            Self::Networks => 2,
            Self::Episodes | Self::Rows => 1,
        }
    }

    /// Rows of synapses that a sweep keeps of a row while it waits: the trace, or the adjoint trace. Over episodes also the
    /// gradient by plasticity, which is summed over the lanes at the end.
    const fn kept_rows(self) -> usize {
        match self {
            Self::Synapses | Self::Networks | Self::Rows => 1,
            Self::Episodes => 2,
        }
    }

    /// Episodes of a block: [`EPISODE_BLOCK`], or a whole group where that has more.
    pub fn block<R: Real>(self) -> usize {
        EPISODE_BLOCK.max(self.episodes::<R>())
    }

    /// The scratch of a layer's sweeps over `steps` steps, for one chunk of rows.
    pub fn scratch<R: Real>(self, shape: &Shape, steps: usize) -> ScratchSize {
        let (columns, width) = (self.columns(shape), self.width::<R>());
        let of_step = self.neurons(shape) * self.beside::<R>();
        let waiting = segments::waiting::<R>(shape.outputs, steps, of_step);
        ScratchSize {
            slots: self.blocks::<R>(waiting).max(self.together()),
            slot: ((self.kept_rows() * columns + STATE) * width).next_multiple_of(LINE),
        }
    }
}

/// The scratch of one chunk of rows: a slot for every row, or block of them, where rows wait for the next segment of steps, else one for each
/// that is worked on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ScratchSize {
    pub slots: usize,
    /// Elements of a slot.
    pub slot: usize,
}

impl ScratchSize {
    pub fn elements(self) -> usize {
        self.slots * self.slot
    }
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
