//! Blocks of a batch that several processes share out. Block `n` is made by process `n` modulo their number; then each has all of
//! them, and goes on as if it had made them itself.

use super::job::Job;
use crate::computation::Exchange;
use bytemuck::Pod;

/// Whether there is more than one block to share.
pub(super) fn is_worth_it(job: &Job) -> bool {
    job.request.batch > job.block
}

/// Whether block `number` is made by this process.
pub(super) fn is_own(exchange: Option<&dyn Exchange>, number: usize) -> bool {
    exchange.is_none_or(|it| number % it.ranks() == it.rank())
}

/// Fills in what the other processes made: `values` has `size` elements for each block from number `first` on, the last of which may
/// have fewer.
pub(super) fn fill_in<T: Pod>(
    exchange: &dyn Exchange,
    first: usize,
    size: usize,
    values: &mut [T],
) {
    let rank_of = |index: usize| (first + index) % exchange.ranks();
    let blocks = values.chunks(size).enumerate();
    let own = blocks.filter(|(index, _)| rank_of(*index) == exchange.rank());
    let own: Vec<_> = own
        .map(|(_, block)| bytemuck::cast_slice::<_, u8>(block))
        .collect();
    let all = exchange.gather(&own.concat());
    let mut rest: Vec<&[u8]> = all.iter().map(Vec::as_slice).collect();
    for (index, block) in values.chunks_mut(size).enumerate() {
        let block: &mut [u8] = bytemuck::cast_slice_mut(block);
        // Nothing came where a process failed.
        if let Some(rest) = rest.get_mut(rank_of(index))
            && let Some((made, after)) = rest.split_at_checked(block.len())
        {
            block.copy_from_slice(made);
            *rest = after;
        }
    }
}
