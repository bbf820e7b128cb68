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

impl Along {
    /// The faster one for so many episodes of each network.
    ///
    /// A row's step over `I` synapses costs about `6 + 1.6 I` over episodes, for a whole group of `W`, and `10 + I / W` over
    /// synapses, for each episode. (Below, both stand five times, so that they are whole numbers.) That was fitted to `f32`
    /// with AVX2 (`W` = 16), where the two break even at 3 episodes of 16 for `I` = 10, 5 for 32, 7 for 64, 12 for 128 and 16
    /// for 256; it holds for `f64` there (`W` = 8: 4, 5, 6, 7 of 8 for `I` = 10, 32, 64, 128), to which nothing was fitted,
    /// within an episode. For other vectors it is a model. Longer rows would not stay in the nearest cache, and fewer than
    /// four episodes gain nothing.
    pub fn fastest<R: Real>(shapes: &[Shape], batch: usize) -> Self {
        let width = pair_width::<R>();
        let inputs = shapes.iter().map(|shape| shape.inputs).max().unwrap_or(0);
        let group = 30 + 8 * inputs;
        let episode = 50 + 5 * inputs.div_ceil(width);
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

    /// The fastest one for networks that learn, with so many episodes of so many steps of each: networks side by side where one that is alone
    /// takes no more than five times as long so. A population gains what the other lanes then do besides.
    ///
    /// A row's step over networks costs what it does over episodes in [`Along::fastest`], in pairs of vectors of 64 bytes, once
    /// for each episode. What a group has must stay in a near cache.
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

    /// Episodes that go together, `W`, of one network or of one each: the last axis of their arrays.
    pub fn width<R: Real>(self) -> usize {
        match self {
            Self::Synapses => 1,
            Self::Episodes | Self::Networks => pair_width::<R>(),
        }
    }

    /// Networks that go together: the last axis of their parameters.
    pub fn networks<R: Real>(self) -> usize {
        match self {
            Self::Synapses | Self::Episodes => 1,
            Self::Networks => pair_width::<R>(),
        }
    }

    /// Of a network, the episodes that go together.
    pub fn episodes<R: Real>(self) -> usize {
        self.width::<R>() / self.networks::<R>()
    }

    /// Synapses of a row for each episode, `C`: padded where they lie along the lanes.
    pub fn columns(self, shape: &Shape) -> usize {
        match self {
            Self::Synapses => shape.row,
            Self::Episodes | Self::Networks => shape.inputs,
        }
    }

    /// Rows whose sweeps are interleaved step by step. Where a row's next step waits for a sum over lanes, or for the
    /// activation, the processor has the others to do meanwhile.
    pub const fn together(self) -> usize {
        match self {
            Self::Synapses => 4,
            Self::Networks => 2,
            Self::Episodes => 1,
        }
    }

    /// Rows of synapses that a sweep keeps of a row while it waits: the trace, or the adjoint trace. Over episodes also the
    /// gradient by plasticity, which is summed over the lanes at the end.
    const fn kept_rows(self) -> usize {
        match self {
            Self::Synapses | Self::Networks => 1,
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
        let waiting = segments::waiting::<R>(shape.outputs, steps, columns * width);
        ScratchSize {
            slots: waiting.max(self.together()),
            slot: ((self.kept_rows() * columns + STATE) * width).next_multiple_of(LINE),
        }
    }
}

/// The scratch of one chunk of rows: a slot for every row where rows wait for the next segment of steps, else one for each
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
}
