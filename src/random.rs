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
#[inline(always)]
pub fn threefry(key: [u32; 4], counter: [u32; 4]) -> [u32; 4] {
    let mut keys = [0x1BD1_1BDA; 5];
    for (keys, word) in keys.iter_mut().zip(key) {
        *keys = word;
    }
    for word in key {
        keys[4] ^= word;
    }
    let mut x = counter;
    inject(&mut x, &keys, 0);
    let [first, second] = [0, 4].map(|round| &ROTATIONS[round..round + 4]);
    four_rounds(&mut x, first);
    inject(&mut x, &keys, 1);
    four_rounds(&mut x, second);
    inject(&mut x, &keys, 2);
    four_rounds(&mut x, first);
    inject(&mut x, &keys, 3);
    four_rounds(&mut x, second);
    inject(&mut x, &keys, 4);
    four_rounds(&mut x, first);
    inject(&mut x, &keys, 5);
    x
}

/// [`threefry`] of several keys and counters side by side. Compilers make vectors of a loop like this, without closures or copies
/// of arrays.
#[inline(always)]
pub(crate) fn threefry_each<const N: usize>(
    key: [[u32; N]; 4],
    counter: [[u32; N]; 4],
) -> [[u32; N]; 4] {
    let [mut a, mut b, mut c, mut d] = [[0; N]; 4];
    for n in 0..N {
        let key = [key[0][n], key[1][n], key[2][n], key[3][n]];
        let counter = [counter[0][n], counter[1][n], counter[2][n], counter[3][n]];
        [a[n], b[n], c[n], d[n]] = threefry(key, counter);
    }
    [a, b, c, d]
}

/// Adds the words of the key, in another order each time.
#[inline(always)]
fn inject(x: &mut [u32; 4], keys: &[u32; 5], time: usize) {
    for (word, x) in x.iter_mut().enumerate() {
        *x = x.wrapping_add(keys[(time + word) % 5]);
    }
    x[3] = x[3].wrapping_add(time as u32);
}

#[inline(always)]
fn four_rounds(x: &mut [u32; 4], rotations: &[[u32; 2]]) {
    for (round, &[first, second]) in rotations.iter().enumerate() {
        let (a, b) = if round % 2 == 0 { (1, 3) } else { (3, 1) };
        mix(x, [0, a], first);
        mix(x, [2, b], second);
    }
}

/// Adds word `b` to word `a`, and mixes the sum into word `b`.
#[inline(always)]
fn mix(x: &mut [u32; 4], [a, b]: [usize; 2], rotation: u32) {
    x[a] = x[a].wrapping_add(x[b]);
    x[b] = x[b].rotate_left(rotation) ^ x[a];
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
