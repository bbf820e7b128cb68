//! How the lanes of a tile of rows add up what each of them has: the plan that `shaders/row_sum.wgsl` is rendered from.
//!
//! A tile has a few sums, one or two for each row. Lanes first share them out: of two lanes, each takes over half of the
//! other's sums, so that a shuffle and an addition serve two. What is left is added over the subgroup by shuffles, and
//! over subgroups by workgroup memory.

use super::tile::Tile;
use minijinja::{Value, context};

/// Parts in workgroup memory that one lane adds up at most; more are added in two stages.
const MOST_PARTS: usize = 8;

/// Groups of parts where there are two stages.
const GROUPS: usize = 8;

/// How the lanes share out the sums: in each step two that are twice as far apart.
struct Shares {
    splits: Vec<Value>,
    /// What each lane goes on with.
    names: Vec<String>,
    /// Lanes of a subgroup that hold different sums.
    width: usize,
}

impl Shares {
    /// Of `values` sums, over a subgroup of which `shuffled` lanes have the same tile.
    fn new(values: usize, shuffled: usize) -> Self {
        let mut names: Vec<_> = (0..values).map(|value| format!("v{value}")).collect();
        let mut splits = Vec::new();
        let mut distance = 1;
        // Lanes whose numbers differ in the lowest bit split even from odd rows' sums, and so on; last, a row's two sums.
        while names.len() > 1 && distance < shuffled {
            let level = splits.len() + 1;
            let pairs: Vec<_> = names
                .chunks_exact(2)
                .enumerate()
                .map(|(index, pair)| {
                    let (even, odd) = (&pair[0], &pair[1]);
                    context! { to => format!("s{level}_{index}"), even, odd }
                })
                .collect();
            names = (0..pairs.len())
                .map(|index| format!("s{level}_{index}"))
                .collect();
            splits.push(context! { level, distance, pairs });
            distance *= 2;
        }
        Self {
            splits,
            names,
            width: distance,
        }
    }
}

/// Renders to the function `row_sum`, for `sums` sums a row, one or two, and a subgroup of at least `subgroup_size` lanes.
pub(super) fn row_sum(tile: Tile, sums: usize, subgroup_size: usize) -> Value {
    let Tile { lanes, rows, .. } = tile;
    let shuffled = lanes.min(subgroup_size);
    let values = rows * sums;
    let Shares {
        splits,
        names,
        width,
    } = Shares::new(values, shuffled);
    let kind = |count: usize| match count {
        1 => "f32",
        _ => "vec2<f32>",
    };
    let remaining = match names.as_slice() {
        [name] => name.clone(),
        names => format!("{}({})", kind(names.len()), names.join(", ")),
    };
    let doublings = |from: usize, to: usize| {
        std::iter::successors(Some(from), |distance| Some(2 * distance))
            .take_while(|&distance| distance < to)
            .collect::<Vec<_>>()
    };
    // Of what the subgroups of a tile have, each lane reads its share.
    let parts = lanes / shuffled;
    let across = parts.min(shuffled / width);
    let groups = match parts / across > MOST_PARTS {
        true => GROUPS,
        false => 1,
    };
    context! {
        values, splits, remaining, width, shuffled, parts, across, groups,
        left => kind(names.len()),
        sums => kind(sums),
        distances => doublings(width, shuffled),
        part_distances => doublings(width, width * across),
        gathers => sums > 1 && names.len() == 1,
        components => names.len(),
        slots => width * names.len(),
        exchanged => tile.workgroup() / shuffled * width,
        grouped => tile.workgroup() / lanes * groups * width * names.len(),
    }
}
