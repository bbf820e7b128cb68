//! How the synapses of one episode of a cell are spread over the lanes of a workgroup that holds them in registers.

use super::cell::CellLayout;
use super::profile::Profile;

/// Registers of a lane at most.
const REGISTERS_OF_LANE: usize = 255;

/// Of these, what a lane needs beside its synapses, about.
const OTHERS: usize = 64;

/// Numbers of its synapses that a lane has at most, those that it adds to others included: a kernel's text names each of them.
const NUMBERS: usize = 144;

/// Lanes at most that add up what the rows have, before one adds that up.
const ADDERS: usize = 16;

/// A grid of lanes. Lane `(r, c)` has rows `r, r + row_lanes, …` and columns `c, c + column_lanes, …`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct CellTile {
    /// Rows and columns of a lane, at most.
    pub rows: usize,
    pub columns: usize,
    /// Lanes along the rows, and along the columns.
    pub row_lanes: usize,
    pub column_lanes: usize,
}

impl CellTile {
    /// The one that takes the least for a cell; none where no workgroup holds what its synapses have on the way back.
    pub fn new(cell: &CellLayout, profile: &Profile) -> Option<Self> {
        let (outputs, presynaptic) = (cell.outputs, cell.presynaptic);
        let most_columns = presynaptic.next_power_of_two().min(64);
        let columns = (0..).map(|power| 1 << power);
        let columns = columns.take_while(|&lanes| lanes <= most_columns);
        let tiles = columns.flat_map(|column_lanes| {
            (1..=outputs.min(NUMBERS)).map(move |rows| Self {
                rows,
                columns: presynaptic.div_ceil(column_lanes),
                row_lanes: outputs.div_ceil(rows),
                column_lanes,
            })
        });
        tiles
            .filter(|tile| tile.fits(cell, profile))
            .min_by_key(|tile| tile.cost(cell))
    }

    /// Lanes of the workgroup.
    pub fn lanes(self) -> usize {
        self.row_lanes * self.column_lanes
    }

    /// Lanes that add up what the rows have.
    pub fn adders(self) -> usize {
        self.lanes().min(ADDERS)
    }

    /// From one column of lanes to the next among their sums: odd, so that they lie in different banks.
    pub fn stride(self, cell: &CellLayout) -> usize {
        cell.outputs | 1
    }

    fn fits(self, cell: &CellLayout, profile: &Profile) -> bool {
        let lanes = self.lanes();
        let synapses = self.rows * self.columns;
        // The traces, and what the way back has of them.
        let numbers = cell.states() + cell.planes();
        let registers =
            (profile.registers as usize / lanes.next_multiple_of(32)).min(REGISTERS_OF_LANE);
        lanes <= profile.workgroup_size as usize
            && (numbers + cell.planes()).max(1) * synapses <= NUMBERS
            && numbers * synapses + OTHERS <= registers
            && 4 * self.numbers_of_workgroup(cell) as u64 <= profile.workgroup_bytes
    }

    /// Numbers in workgroup memory on the way back, at most.
    fn numbers_of_workgroup(self, cell: &CellLayout) -> usize {
        let rows = 3 * self.column_lanes * self.stride(cell);
        let columns = self.row_lanes * cell.presynaptic;
        // Signals, gradients on activity, and six sums of rows.
        rows + columns + 8 * cell.outputs + ADDERS
    }

    /// About how many instructions a step takes: of all lanes for their synapses, and for the sums over rows and columns; and of one
    /// lane after the other, since an episode waits for that, and since kernels are compiled in as long a time.
    fn cost(self, cell: &CellLayout) -> usize {
        let lanes = self.lanes().next_multiple_of(32);
        let synapses = self.rows * self.columns;
        let sums = 3 * self.column_lanes * cell.outputs + self.row_lanes * cell.presynaptic;
        8 * lanes * synapses + 4 * sums + 1000 * synapses
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::{Layer, Modulation, Rate, Recurrent};
    use crate::rule::Rule;

    fn cell(neurons: usize) -> CellLayout {
        let layer = Layer::from(Recurrent::new(neurons, neurons, Rate::learned(0.1)));
        CellLayout::new(&layer).expect("it is a cell")
    }

    fn tile(neurons: usize, profile: &Profile) -> Option<CellTile> {
        CellTile::new(&cell(neurons), profile)
    }

    /// Devices with as many lanes and registers as there are in practice, and less.
    fn profiles() -> impl Iterator<Item = Profile> {
        let lanes = [64, 128, 256, 1024].into_iter();
        lanes.flat_map(|workgroup_size| {
            [1, 8_192, 16_384, 65_536].map(|registers| Profile {
                workgroup_size,
                registers,
                ..Profile::default()
            })
        })
    }

    /// As an H100 has it.
    fn hardware() -> Profile {
        Profile {
            workgroup_size: 1024,
            workgroup_bytes: 48 << 10,
            registers: 65_536,
            ..Profile::default()
        }
    }

    #[test]
    fn lanes_have_each_synapse_once_within_the_limits() {
        let mut ragged = [false; 2];
        for profile in profiles() {
            for neurons in (1..=140).chain([200, 1000]) {
                let cell = cell(neurons);
                let Some(tile) = CellTile::new(&cell, &profile) else {
                    continue;
                };
                let lanes = tile.lanes();
                assert!(
                    lanes <= profile.workgroup_size as usize,
                    "{neurons}: {tile:?}"
                );
                assert!(
                    tile.fits(&cell, &profile) && tile.adders() >= 1 && tile.adders() <= lanes,
                    "{neurons}: {tile:?}"
                );
                // Only the last row and the last column of a lane may be missing.
                let along = [
                    (tile.rows, tile.row_lanes),
                    (tile.columns, tile.column_lanes),
                ];
                for (ragged, (count, lanes)) in ragged.iter_mut().zip(along) {
                    assert!(
                        count * lanes >= neurons && (count - 1) * lanes < neurons,
                        "{neurons}: {tile:?}"
                    );
                    *ragged |= count * lanes > neurons;
                }
            }
        }
        assert_eq!(ragged, [true; 2]);
    }

    #[test]
    fn states_are_held_where_registers_suffice() {
        let largest = |profile: &Profile| {
            let sizes = 1..200;
            sizes.rev().find(|&size| tile(size, profile).is_some())
        };
        let default = Profile::default();
        assert_eq!(largest(&default), Some(48));
        assert_eq!(largest(&hardware()), Some(104));
        let none = Profile {
            registers: 1,
            ..default
        };
        assert_eq!(largest(&none), None);
    }

    #[test]
    fn a_rule_with_more_numbers_takes_more_registers() {
        let profile = hardware();
        assert!(tile(100, &profile).is_some());
        let layer = Recurrent::new(100, 100, Rate::learned(0.1))
            .rule(Rule::retroactive())
            .modulation(Modulation::from_network());
        let cell = CellLayout::new(&Layer::from(layer)).expect("it is a cell");
        assert_eq!(CellTile::new(&cell, &profile), None);
    }
}
