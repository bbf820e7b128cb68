//! The counter-based random generator: any word of any episode can be made alone, in any order, and identically in
//! Rust and in WGSL (`shaders/threefry.wgsl`).

use rand::rand_core::TryRng;
use std::convert::Infallible;

/// What a stream of random words is for; the third key word, so that purposes never share words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
#[non_exhaustive]
pub enum Purpose {
    /// Initial parameters.
    Initial = 0,
    /// Episodes of training and of its frozen end.
    Training = 1,
    /// Episodes of an evaluation on other data.
    Evaluation = 2,
    /// Episodes of a frozen end on other data than those of training.
    Validation = 3,
}

/// By how much the rounds of [`threefry`] rotate, of the same authors; so is the constant of its parity word.
pub(crate) const ROTATIONS: [[u32; 2]; 8] = [
    [10, 26],
    [11, 21],
    [13, 27],
    [23, 5],
    [6, 20],
    [17, 11],
    [25, 10],
    [18, 20],
];

/// Threefry-4x32 with 20 rounds: four random words from a key and a counter.
///
/// Salmon, Moraes, Dror and Shaw 2011, "Parallel random numbers: as easy as 1, 2, 3".
#[inline]
pub fn threefry(key: [u32; 4], counter: [u32; 4]) -> [u32; 4] {
    let words = threefry_each::<1>(key.map(|word| [word]), counter.map(|word| [word]));
    words.map(|[word]| word)
}

/// [`threefry`] of several keys and counters side by side, which the compiler does with vectors.
#[inline(always)]
pub(crate) fn threefry_each<const N: usize>(
    key: [[u32; N]; 4],
    counter: [[u32; N]; 4],
) -> [[u32; N]; 4] {
    let mut parity = [0x1BD1_1BDA; N];
    for words in &key {
        for (parity, word) in parity.iter_mut().zip(words) {
            *parity ^= word;
        }
    }
    let keys = [key[0], key[1], key[2], key[3], parity];
    let mut x = counter;
    for (x, key) in x.iter_mut().zip(&keys) {
        add(x, key);
    }
    for round in 0..20 {
        let [first, second] = ROTATIONS[round % 8];
        let (a, b) = if round % 2 == 0 { (1, 3) } else { (3, 1) };
        mix(&mut x, [0, a], first);
        mix(&mut x, [2, b], second);
        if round % 4 == 3 {
            let injection = round / 4 + 1;
            for (word, x) in x.iter_mut().enumerate() {
                add(x, &keys[(injection + word) % 5]);
            }
            add(&mut x[3], &[injection as u32; N]);
        }
    }
    x
}

#[inline(always)]
fn add<const N: usize>(sum: &mut [u32; N], other: &[u32; N]) {
    for (sum, other) in sum.iter_mut().zip(other) {
        *sum = sum.wrapping_add(*other);
    }
}

/// Adds word `b` to word `a`, and mixes the sum into word `b`.
#[inline(always)]
fn mix<const N: usize>(x: &mut [[u32; N]; 4], [a, b]: [usize; 2], rotation: u32) {
    let (mut sums, mut mixed) = (x[a], x[b]);
    for (sum, word) in sums.iter_mut().zip(&mut mixed) {
        *sum = sum.wrapping_add(*word);
        *word = word.rotate_left(rotation) ^ *sum;
    }
    (x[a], x[b]) = (sums, mixed);
}

/// The key of one network's streams. Network `n` of a population with seed `s` has the key of seed `s + n`.
pub fn key(seed: u64, purpose: Purpose) -> [u32; 4] {
    [seed as u32, (seed >> 32) as u32, purpose as u32, 0]
}

/// A sequence of random words, for the distributions of other libraries.
pub(crate) struct Stream {
    key: [u32; 4],
    block: u64,
    words: [u32; 4],
    used: usize,
}

impl Stream {
    /// The stream of a network's initial parameters.
    pub(crate) fn initial(seed: u64) -> Self {
        Self {
            key: key(seed, Purpose::Initial),
            block: 0,
            words: [0; 4],
            used: 4,
        }
    }

    fn word(&mut self) -> u32 {
        if self.used == 4 {
            self.words = threefry(
                self.key,
                [self.block as u32, (self.block >> 32) as u32, 0, 0],
            );
            self.block += 1;
            self.used = 0;
        }
        self.used += 1;
        self.words[self.used - 1]
    }
}

impl TryRng for Stream {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        Ok(self.word())
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(u64::from(self.word()) | u64::from(self.word()) << 32)
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        for chunk in bytes.chunks_mut(4) {
            chunk.copy_from_slice(&self.word().to_le_bytes()[..chunk.len()]);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The known answers published with the generator.
    #[test]
    fn the_generator_gives_the_words_published_with_it() {
        assert_eq!(
            threefry([0; 4], [0; 4]),
            [0x9c6c_a96a, 0xe17e_ae66, 0xfc10_ecd4, 0x5256_a7d8]
        );
        assert_eq!(
            threefry([u32::MAX; 4], [u32::MAX; 4]),
            [0x2a88_1696, 0x5701_2287, 0xf6c7_446e, 0xa16a_6732]
        );
        assert_eq!(
            threefry(
                [0xa409_3822, 0x299f_31d0, 0x082e_fa98, 0xec4e_6c89],
                [0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344]
            ),
            [0x59cd_1dbb, 0xb887_9579, 0x86b5_d00c, 0xac8b_6d84]
        );
    }

    #[test]
    fn words_side_by_side_are_those_of_each() {
        let [key, counter] = [3, 11].map(|factor| {
            std::array::from_fn(|word| std::array::from_fn(|n| factor * (5 * n + word) as u32))
        });
        let words = threefry_each::<16>(key, counter);
        for n in 0..16 {
            let alone = threefry(key.map(|words| words[n]), counter.map(|words| words[n]));
            assert_eq!(words.map(|words| words[n]), alone);
        }
    }

    #[test]
    fn purposes_and_seeds_do_not_share_words() {
        let words = |seed, purpose| threefry(key(seed, purpose), [0; 4]);
        assert_ne!(words(1, Purpose::Initial), words(1, Purpose::Training));
        assert_ne!(words(1, Purpose::Training), words(2, Purpose::Training));
        assert_ne!(
            words(1, Purpose::Training),
            words(1 + (1 << 32), Purpose::Training)
        );
    }
}
