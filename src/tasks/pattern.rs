//! Patterns of ±1 from random words.

use super::draw::DRAWS;
use crate::error::{Error, Result};

/// The most bits that a pattern may have: one block of random words.
pub const MAX_BITS: usize = 128;

/// Fails unless a pattern may have so many bits.
pub(super) fn check_bits(bits: usize) -> Result<()> {
    if bits == 0 {
        return Err(Error::ZeroSize {
            field: "task.bits".into(),
        });
    }
    if bits > MAX_BITS {
        return Err(Error::setting(
            "task.bits",
            format!("{bits}, at most {MAX_BITS} are supported"),
        ));
    }
    Ok(())
}

/// Bit `j` of a pattern as ±1.
pub(super) fn sign(pattern: &[u32; 4], j: usize) -> f32 {
    if pattern[j / 32] >> (j % 32) & 1 == 1 {
        1.0
    } else {
        -1.0
    }
}

/// Bit `j` of several patterns, given by word, as ±1.
pub(super) fn signs(patterns: &[[u32; DRAWS]; 4], j: usize, signs: &mut [f32]) {
    for (sign, word) in signs.iter_mut().zip(&patterns[j / 32]) {
        // The sign of a float is its highest bit.
        let minus = !(word >> (j % 32)) << 31;
        *sign = f32::from_bits(1.0f32.to_bits() | minus);
    }
}

/// The bits of word `word` that a pattern of `bits` bits uses.
pub(super) fn bit_mask(bits: usize, word: usize) -> u32 {
    match bits.saturating_sub(32 * word) {
        0 => 0,
        used if used < 32 => (1 << used) - 1,
        _ => u32::MAX,
    }
}
