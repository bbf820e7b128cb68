//! The random words of one episode.

use crate::number::{Kernel, vectorise};
use crate::random::{Purpose, threefry, threefry_each};
use pulp::Simd;

/// The random words of one episode, a function of the network's seed, what the episodes are for, the meta-step and the
/// episode's index in the batch: so that an episode is the same wherever and whenever it is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Draw {
    key: [u32; 4],
    meta_step: u32,
    episode: u32,
}

impl Draw {
    /// For episode `episode` of the batch of meta-step `meta_step`, with the key of a network's episodes.
    pub fn new(key: [u32; 4], meta_step: u32, episode: u32) -> Self {
        Self {
            key,
            meta_step,
            episode,
        }
    }

    /// What the episode is for.
    pub fn purpose(&self) -> Purpose {
        let all = [Purpose::Training, Purpose::Evaluation, Purpose::Validation];
        let own = all.into_iter().find(|one| *one as u32 == self.key[2]);
        own.unwrap_or(Purpose::Initial)
    }

    /// The meta-step, and the episode's index in its batch.
    pub fn place(&self) -> [u32; 2] {
        [self.meta_step, self.episode]
    }

    /// Four of the words, those of block (`first`, `second`); every block has its own.
    pub fn words(&self, first: u32, second: u32) -> [u32; 4] {
        threefry(self.key, [self.meta_step, self.episode, first, second])
    }

    /// The words of one block of each of several draws, by word; of the last draw, where there are fewer.
    pub(super) fn words_of_each(draws: &[Self], first: u32, second: u32) -> [[u32; DRAWS]; 4] {
        let each = std::array::from_fn(|n| draws[n.min(draws.len() - 1)]);
        let mut words = [[0; DRAWS]; 4];
        vectorise(WordsOfEach {
            draws: &each,
            block: [first, second],
            words: &mut words,
        });
        words
    }

    /// The words in turn.
    pub fn sequence(&self) -> Sequence {
        Sequence {
            draw: *self,
            block: 0,
            used: 4,
            words: [0; 4],
        }
    }
}

/// Draws whose words are made at once.
pub(super) const DRAWS: usize = 16;

/// A kernel, for its vectors.
struct WordsOfEach<'a> {
    draws: &'a [Draw; DRAWS],
    block: [u32; 2],
    words: &'a mut [[u32; DRAWS]; 4],
}

impl Kernel for WordsOfEach<'_> {
    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        let (mut key, mut counter) = ([[0; DRAWS]; 4], [[0; DRAWS]; 4]);
        let [first, second] = self.block;
        for (n, draw) in self.draws.iter().enumerate() {
            for (word, key) in key.iter_mut().enumerate() {
                key[n] = draw.key[word];
            }
            let of_draw = [draw.meta_step, draw.episode, first, second];
            for (counter, word) in counter.iter_mut().zip(of_draw) {
                counter[n] = word;
            }
        }
        *self.words = threefry_each(key, counter);
    }
}

/// The random words of one episode, one after the other, as numbers of several kinds.
#[derive(Clone, Debug)]
pub struct Sequence {
    draw: Draw,
    block: u32,
    used: usize,
    words: [u32; 4],
}

impl Sequence {
    /// The next 32 random bits.
    pub fn bits(&mut self) -> u32 {
        if self.used == 4 {
            self.words = self.draw.words(self.block, 0);
            self.block += 1;
            self.used = 0;
        }
        self.used += 1;
        self.words[self.used - 1]
    }

    /// A whole number from 0 to `count - 1`, each as likely but for a part in 2³² of `count`.
    ///
    /// # Panics
    /// If `count` is 0.
    pub fn below(&mut self, count: u32) -> u32 {
        assert!(count > 0, "no number is below 0");
        ((u64::from(self.bits()) * u64::from(count)) >> 32) as u32
    }

    /// A number from 0 up to, and without, 1.
    pub fn unit(&mut self) -> f32 {
        (self.bits() >> 8) as f32 / (1 << 24) as f32
    }

    /// 1 or -1.
    pub fn sign(&mut self) -> f32 {
        if self.bits() & 1 == 1 { 1.0 } else { -1.0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_in_their_range_and_spread_over_it() {
        let mut random = Draw::new([1, 2, 3, 0], 4, 5).sequence();
        let mut counts = [0; 7];
        let (mut sum, mut signs) = (0.0, 0.0);
        for _ in 0..7000 {
            counts[random.below(7) as usize] += 1;
            let unit = random.unit();
            assert!((0.0..1.0).contains(&unit));
            sum += unit;
            signs += random.sign();
        }
        assert!(
            counts.iter().all(|count| (850..1150).contains(count)),
            "{counts:?}"
        );
        assert!((sum / 7000.0 - 0.5).abs() < 0.02 && signs.abs() < 400.0);
    }

    #[test]
    fn words_of_each_are_those_of_one() {
        for count in [1, 5, DRAWS] {
            let draws: Vec<_> = (0..count as u32)
                .map(|n| Draw::new([n, 2, 3 * n, 0], 7 + n, n / 2))
                .collect();
            let words = Draw::words_of_each(&draws, 4, 1);
            for (n, draw) in draws.iter().enumerate() {
                assert_eq!(words.map(|words| words[n]), draw.words(4, 1));
            }
        }
    }

    #[test]
    fn episodes_and_blocks_have_words_of_their_own() {
        let key = [1, 2, 3, 0];
        let words = [
            Draw::new(key, 0, 0).words(0, 0),
            Draw::new(key, 1, 0).words(0, 0),
            Draw::new(key, 0, 1).words(0, 0),
            Draw::new(key, 0, 0).words(1, 0),
            Draw::new(key, 0, 0).words(0, 1),
        ];
        for (index, one) in words.iter().enumerate() {
            assert!(!words[..index].contains(one));
        }
    }
}
