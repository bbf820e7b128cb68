//! What networks have in common, on its way to arrays that hold it for each of them.

use super::device::{Device, Pieces};
use crate::episodes::of_each_network;
use crate::error::Result;
use ndarray::{ArrayView4, Axis};
use wgpu::BufferUsages;

/// Bytes that are copied on the device at once. A copy takes microseconds, however small; so less than this is written for
/// each network, or for several of them.
const PIECE_BYTES: u64 = 1 << 20;

impl Device {
    /// Writes the rows of an array that `networks` networks have in common as [`Device::write_rows`] does, for each of them: they
    /// go to the device once and are copied there.
    pub fn write_copies(
        &self,
        buffer: &wgpu::Buffer,
        at: u64,
        array: &ArrayView4<'_, f32>,
        row: usize,
        networks: usize,
    ) -> Result<()> {
        let (_, episodes, rows, _) = array.dim();
        let of_episode = (4 * rows * row) as u64;
        let of_network = episodes as u64 * of_episode;
        let together = (PIECE_BYTES / of_network).clamp(1, networks as u64) as usize;
        if together == networks {
            return self.write_rows(buffer, at, &of_each_network(array, networks), row);
        }
        let most = (PIECE_BYTES / of_episode).clamp(1, episodes as u64) as usize;
        let usage = BufferUsages::COPY_DST | BufferUsages::COPY_SRC;
        let size = (together * most) as u64 * of_episode;
        let source = self.raw_buffer("what networks have in common", size, usage)?;
        let mut pieces = Pieces::default();
        let mut to = 4 * at;
        for piece in array.axis_chunks_iter(Axis(1), most) {
            pieces.follow(self)?;
            self.write_rows(&source, 0, &of_each_network(&piece, together), row)?;
            let bytes = piece.len_of(Axis(1)) as u64 * of_episode;
            self.submit(|encoder| {
                for first in (0..networks).step_by(together) {
                    let offset = to + first as u64 * of_network;
                    let copies = together.min(networks - first) as u64;
                    encoder.copy_buffer_to_buffer(&source, 0, buffer, offset, copies * bytes);
                }
            })?;
            to += bytes;
        }
        Ok(())
    }
}
