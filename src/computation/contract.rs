//! What both engines hold to, so that a result does not depend on how work is cut.

/// Episodes whose gradients are summed before the sum goes on: part of the result's last bits. Where vectors lie along
/// episodes and a pair of them has more lanes, the CPU engine takes as many as those.
pub(crate) const EPISODE_BLOCK: usize = 16;
