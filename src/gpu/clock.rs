//! The device's own clock.

use super::device::Device;
use crate::error::Result;
use std::ops::Range;
use std::time::Duration;
use wgpu::{BufferUsages, Features, QuerySet, QuerySetDescriptor, QueryType};

/// Queries of one set at most.
const QUERIES: usize = wgpu::QUERY_SET_MAX_QUERIES as usize;

/// The device's own clock, read before and after each of some passes.
#[derive(Debug)]
pub(super) struct Clock {
    pub queries: QuerySet,
    ticks: wgpu::Buffer,
}

impl Clock {
    /// `None` where the device has no clock, or there are too many passes for it.
    pub fn new(device: &Device, passes: usize) -> Result<Option<Self>> {
        if !device.device.features().contains(Features::TIMESTAMP_QUERY) || 2 * passes > QUERIES {
            return Ok(None);
        }
        let queries = device.scoped("making a set of queries", || {
            device.device.create_query_set(&QuerySetDescriptor {
                label: Some("clock"),
                ty: QueryType::Timestamp,
                count: 2 * passes as u32,
            })
        })?;
        let usage = BufferUsages::QUERY_RESOLVE | BufferUsages::COPY_SRC;
        let ticks = device.raw_buffer("ticks", 16 * passes as u64, usage)?;
        Ok(Some(Self { queries, ticks }))
    }

    /// When each of some passes, all of which have been, began and ended, from the first reading on.
    pub fn read(&self, device: &Device, passes: Range<usize>) -> Result<Vec<Range<Duration>>> {
        let readings = 2 * passes.start as u32..2 * passes.end as u32;
        device.submit(|encoder| {
            encoder.resolve_query_set(&self.queries, readings, &self.ticks, 0);
        })?;
        let ticks: Vec<u64> = device.read(&self.ticks, 2 * passes.len())?;
        let zero = ticks.iter().copied().min().unwrap_or_default();
        let period = f64::from(device.queue.get_timestamp_period());
        let since = |tick: u64| Duration::from_nanos(((tick - zero) as f64 * period) as u64);
        let (passes, _) = ticks.as_chunks::<2>();
        Ok(passes
            .iter()
            .map(|&[start, end]| since(start)..since(end))
            .collect())
    }
}
