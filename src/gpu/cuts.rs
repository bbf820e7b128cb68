//! How work is cut where a limit of the device demands it: first over networks (groups, which share nothing), then over
//! episodes, last over time, one episode at a time. A cut never changes the order in which gradients are summed: blocks
//! of episodes have a fixed size, and a cut within a block goes on with that block's sums.

use super::arrays::{Lengths, resident_bytes};
use super::fusion;
use super::layout::{DeviceLayout, LayerLayout};
use super::profile::Profile;
use super::stages::Stages;
use super::turns;
use super::variant::sweeps;
use super::work::{Work, synapse_steps};
use crate::computation::{Checkpoints, EPISODE_BLOCK};
use crate::error::{Error, Result};
use crate::network::Network;
use std::ops::Range;

/// The most networks that a group can have: each of the buffers that no other cut makes smaller, the resident ones and
/// those of one block of episodes, must fit one binding.
pub(super) fn group_size(network: &Network, profile: &Profile, work: &Work) -> usize {
    let layout = DeviceLayout::new(network, profile);
    let block = EPISODE_BLOCK.min(work.request.batch);
    let steps = work.request.steps;
    let fits = |networks: usize| {
        let group = work.of(networks);
        let resident = resident_bytes(&layout, networks, work.learn).into_iter();
        resident.map(|(_, bytes)| bytes).max() <= Some(profile.binding_bytes)
            && largest_buffer(&layout, &group, block, steps) <= profile.binding_bytes
            && fusion::largest_buffer(&layout, &group) <= profile.binding_bytes
            && synapse_steps(network, networks, block, steps) <= profile.submission_work
    };
    largest(work.networks, fits).max(1)
}

/// The most networks that a group can have whose whole batch is computed at once.
pub(super) fn whole_group_size(network: &Network, profile: &Profile, work: &Work) -> usize {
    let layout = DeviceLayout::new(network, profile);
    let fits = |networks: usize| {
        let group = work.of(networks);
        let limits = whole_limits(network, profile, &layout, &group);
        limits.iter().all(|limit| limit.asked <= limit.limit)
    };
    largest(work.networks, fits).max(1)
}

/// A limit of the device, and how much of it some work asks for.
struct Limit {
    what: &'static str,
    asked: u64,
    limit: u64,
}

/// The limits that a whole batch must keep to be computed at once.
fn whole_limits(
    network: &Network,
    profile: &Profile,
    layout: &DeviceLayout,
    work: &Work,
) -> [Limit; 3] {
    let (batch, steps) = (work.request.batch, work.request.steps);
    let resident = resident_bytes(layout, work.networks, work.learn).into_iter();
    let resident = resident.map(|(_, bytes)| bytes).max().unwrap_or(0);
    [
        Limit {
            what: "bytes of a buffer",
            asked: largest_buffer(layout, work, batch, steps).max(resident),
            limit: profile.binding_bytes,
        },
        Limit {
            what: "synapse-steps of a submission",
            asked: work.amount(network),
            limit: profile.submission_work,
        },
        Limit {
            what: "turns of a kernel's loops",
            asked: most_turns(layout, work, batch, steps).1,
            limit: profile.loop_turns,
        },
    ]
}

/// Fails unless a whole batch can be computed at once.
pub(super) fn require_whole(
    network: &Network,
    profile: &Profile,
    layout: &DeviceLayout,
    work: &Work,
) -> Result<()> {
    let limits = whole_limits(network, profile, layout, work).into_iter();
    match limits.into_iter().find(|limit| limit.asked > limit.limit) {
        None => Ok(()),
        Some(Limit { what, asked, limit }) => Err(Error::DeviceLimit {
            what: format!(
                "{} episodes of {} steps at once ({what}), which a session does not cut",
                work.request.batch, work.request.steps
            ),
            requested: asked,
            limit,
        }),
    }
}

/// A range of networks, cut into ranges of at most `size`.
pub(super) fn split(networks: Range<usize>, size: usize) -> impl Iterator<Item = Range<usize>> {
    let end = networks.end;
    let first = networks.step_by(size);
    first.map(move |first| first..(first + size).min(end))
}

/// Fails if what is resident of one network exceeds a binding: no cut makes that smaller.
pub(super) fn require_residents(
    layout: &DeviceLayout,
    profile: &Profile,
    learning: bool,
) -> Result<()> {
    let resident = resident_bytes(layout, 1, learning).into_iter();
    match resident.max_by_key(|&(_, bytes)| bytes) {
        Some((resident, bytes)) if bytes > profile.binding_bytes => Err(Error::DeviceLimit {
            what: format!("{resident:?} of one network (bytes of a buffer)"),
            requested: bytes,
            limit: profile.binding_bytes,
        }),
        _ => Ok(()),
    }
}

/// The largest number from 1 to `most` that fits, if what fits gets no rarer towards 1; 0 if none does.
fn largest(most: usize, fits: impl Fn(usize) -> bool) -> usize {
    let (mut low, mut high) = (0, most);
    while low < high {
        let middle = low + (high - low).div_ceil(2);
        if fits(middle) {
            low = middle;
        } else {
            high = middle - 1;
        }
    }
    low
}

fn largest_buffer(layout: &DeviceLayout, work: &Work, episodes: usize, steps: usize) -> u64 {
    let sweeps = sweeps(layout, work, steps);
    let stages = Stages::new(layout, work, &sweeps);
    let lengths = Lengths::new(work, episodes, steps);
    // Every segment's buffers are as large as the first one's.
    let arrays = stages.arrays(1).into_iter();
    let bytes = arrays.map(|array| array.shape(layout, work, &sweeps).bytes(&lengths));
    bytes.max().unwrap_or(0)
}

fn most_turns(
    layout: &DeviceLayout,
    work: &Work,
    episodes: usize,
    steps: usize,
) -> (&'static str, u64) {
    let sweeps = sweeps(layout, work, steps);
    turns::most(&Stages::new(layout, work, &sweeps), episodes, steps)
}

/// The episodes of a cut and the steps of a segment: the most that the limits allow.
pub(super) fn cut_sizes(
    network: &Network,
    profile: &Profile,
    layout: &DeviceLayout,
    work: &Work,
) -> Result<(usize, usize)> {
    let (batch, steps) = (work.request.batch, work.request.steps);
    let fits = |episodes: usize, steps: usize| {
        largest_buffer(layout, work, episodes, steps) <= profile.binding_bytes
            && synapse_steps(network, work.networks, episodes, steps) <= profile.submission_work
            && most_turns(layout, work, episodes, steps).1 <= profile.loop_turns
    };
    let (kernel, turns) = most_turns(layout, work, 1, 1);
    if turns > profile.loop_turns {
        return Err(Error::DeviceLimit {
            what: format!("turns of the loops of the kernel {kernel} in one dispatch, however cut"),
            requested: turns,
            limit: profile.loop_turns,
        });
    }
    let blocks = largest(batch.div_ceil(EPISODE_BLOCK), |blocks| {
        fits((blocks * EPISODE_BLOCK).min(batch), steps)
    });
    if blocks > 0 {
        return Ok(((blocks * EPISODE_BLOCK).min(batch), steps));
    }
    // A part of a block must divide it, so that no cut spans two blocks.
    let parts = largest(EPISODE_BLOCK.ilog2() as usize, |power| {
        fits(1 << (power - 1), steps)
    });
    if parts > 0 {
        return Ok((1 << (parts - 1), steps));
    }
    // Segments begin where a cell's traces are kept.
    let is_cell = |layer: &LayerLayout| layer.cell.is_some();
    let unit = match layout.layers.iter().any(is_cell) {
        true => Checkpoints::of(steps).replayed(),
        false => 1,
    };
    let units = largest(steps / unit, |units| fits(1, units * unit));
    match units * unit {
        0 => Err(Error::DeviceLimit {
            what: format!(
                "one episode of {} networks (bytes of a buffer), however cut",
                work.networks
            ),
            requested: largest_buffer(layout, work, 1, unit),
            limit: profile.binding_bytes,
        }),
        steps => Ok((1, steps)),
    }
}
