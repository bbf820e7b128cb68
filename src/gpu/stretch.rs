//! What the device's numbers of meta-steps say about episodes.

/// Meta-steps whose numbers follow each other, with batches of one size: what the device's numbers say about episodes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Stretch {
    /// The number of the first.
    first: u32,
    /// The number after the last.
    pub next: u32,
    /// Episodes that each network had seen before the first.
    episodes: u64,
    /// Episodes of each network in a meta-step; 0 for updates with the caller's gradients.
    batch: u64,
}

impl Stretch {
    /// Of networks that have seen so many episodes.
    pub fn after(episodes: u64) -> Self {
        Self {
            episodes,
            ..Self::default()
        }
    }

    /// Episodes that each network had seen before meta-step `number`.
    pub fn episodes_before(&self, number: u32) -> u64 {
        self.episodes + u64::from(number - self.first) * self.batch
    }

    /// The stretch that `count` meta-steps of `batch` episodes belong to, from number `first` on; where their numbers are of
    /// no account, they go on.
    pub fn with(self, first: Option<u32>, count: u32, batch: u64) -> Self {
        let first = first.unwrap_or(self.next);
        // Numbers may come to an end.
        let first = first.checked_add(count).map_or(0, |_| first);
        if (first, batch) == (self.next, self.batch) {
            return self;
        }
        Self {
            first,
            next: first,
            episodes: self.episodes_before(self.next),
            batch,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stretches_count_episodes() {
        let mut stretch = Stretch::default();
        let mut go = |first, count, batch| {
            let before = stretch;
            stretch = stretch.with(first, count, batch);
            let (number, is_new) = (stretch.next, stretch != before);
            stretch.next += count;
            (number, is_new, stretch.episodes_before(number))
        };
        assert_eq!(go(None, 1, 3), (0, true, 0));
        assert_eq!(go(None, 1, 3), (1, false, 3));
        assert_eq!(go(None, 1, 0), (2, true, 6));
        assert_eq!(go(None, 1, 5), (3, true, 6));
        // A task's episodes have numbers of their own.
        assert_eq!(go(Some(100), 10, 5), (100, true, 11));
        assert_eq!(go(Some(110), 10, 5), (110, false, 61));
        assert_eq!(go(Some(110), 10, 5), (110, true, 111));
        assert_eq!(go(Some(u32::MAX - 1), 1, 5), (u32::MAX - 1, true, 161));
        assert_eq!(go(None, 1, 5), (0, true, 166));
    }
}
