//! The random words of one episode.

use crate::random::threefry;

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

    /// Four of the words, those of block (`first`, `second`); every block has its own.
    pub fn words(&self, first: u32, second: u32) -> [u32; 4] {
        threefry(self.key, [self.meta_step, self.episode, first, second])
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
