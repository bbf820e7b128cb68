//! How a layer's rows of synapses are spread over lanes.

use super::profile::Profile;

/// Synapses, in `vec4`s, that one lane holds at most, of all rows together: more would not fit its registers.
pub(super) const QUADS_PER_LANE: usize = 8;

/// Rows of a tile, most first: a lane loads its presynaptic activity once for all of them.
const ROWS_PER_TILE: [usize; 2] = [2, 1];

/// Lanes of a workgroup, unless a row needs more.
const WORKGROUP: usize = 64;

/// Lanes of a workgroup at most: with more, a lane would have fewer registers than its synapses take.
const MOST_LANES: u32 = 256;

/// Rows that the same lanes own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Tile {
    pub rows: usize,
    /// Lanes that own one tile.
    pub lanes: usize,
    /// `vec4`s of synapses of each row that a lane holds.
    pub quads: usize,
}

impl Tile {
    /// For rows of `inputs` synapses, of which there are `outputs`.
    pub fn new(inputs: usize, outputs: usize, profile: &Profile) -> Self {
        let quads = inputs.div_ceil(4);
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
                outputs.is_multiple_of(tile.rows)
                    && tile.columns() == single.columns()
                    && tile.fits()
                    && tile.rows <= tile.lanes.min(profile.subgroup_size as usize)
            })
            .unwrap_or(single)
    }

    /// For neurons without synapses: nothing is spread.
    pub fn of_one_lane(inputs: usize) -> Self {
        Self {
            rows: 1,
            lanes: 1,
            quads: inputs.div_ceil(4),
        }
    }

    /// The same rows with half as many synapses a lane, as far as they can be halved: for a sweep that holds more arrays.
    pub fn halved(self, most_lanes: usize) -> Self {
        match self.rows {
            1 if self.quads.is_multiple_of(2) && 2 * self.lanes <= most_lanes => Self {
                lanes: 2 * self.lanes,
                quads: self.quads / 2,
                ..self
            },
            1 => self,
            rows => Self {
                rows: rows / 2,
                ..self
            },
        }
    }

    /// Whether a lane holds its synapses in registers.
    pub fn fits(self) -> bool {
        self.rows * self.quads <= QUADS_PER_LANE
    }

    /// Padded presynaptic neurons.
    pub fn columns(self) -> usize {
        4 * self.lanes * self.quads
    }

    /// Lanes of a workgroup.
    pub fn workgroup(self) -> usize {
        WORKGROUP.max(self.lanes)
    }
}

/// Lanes that own one tile at most.
pub(super) fn most_lanes(profile: &Profile) -> usize {
    1 << profile.workgroup_size.min(MOST_LANES).ilog2()
}

#[cfg(test)]
mod tests {
    use super::*;

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
                        let tile = Tile::new(inputs, outputs, &profile);
                        let (rows, lanes, quads) = (tile.rows, tile.lanes, tile.quads);
                        // No more than a quarter is padding, beyond what fills up the last `vec4`.
                        let least = inputs.div_ceil(4);
                        assert!(
                            tile.fits()
                                && 4 * lanes * quads >= inputs
                                && lanes.is_power_of_two()
                                && lanes <= most
                                && outputs % rows == 0
                                && (rows == 1 || rows <= lanes.min(subgroup_size as usize))
                                && 4 * lanes * quads <= 5 * (least + 1),
                            "{inputs}×{outputs} {profile:?}: {tile:?}"
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn tiles_have_two_rows_where_that_pads_nothing() {
        let spread = |inputs, outputs, subgroup_size| {
            let profile = Profile {
                subgroup_size,
                ..Profile::default()
            };
            let tile = Tile::new(inputs, outputs, &profile);
            (tile.rows, tile.lanes, tile.quads)
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
            let tile = Tile::new(inputs, outputs, &Profile::default());
            let halved = tile.halved(256);
            assert_eq!(halved.columns(), tile.columns());
            assert_eq!(
                2 * halved.rows * halved.quads == tile.rows * tile.quads,
                inputs != 224
            );
        }
    }
}
