//! Sequences that must be of one length.

use std::iter::Zip;

/// The elements of both, in pairs.
///
/// # Panics
/// If one has more than the other: `zip` alone would leave those out in silence.
#[inline(always)]
#[track_caller]
pub(crate) fn zip_eq<A, B>(a: A, b: B) -> Zip<A::IntoIter, B::IntoIter>
where
    A: IntoIterator<IntoIter: ExactSizeIterator>,
    B: IntoIterator<IntoIter: ExactSizeIterator>,
{
    let (a, b) = (a.into_iter(), b.into_iter());
    assert!(a.len() == b.len(), "sequences of different lengths");
    a.zip(b)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sequences_of_different_lengths_are_refused() {
        let pairs: Vec<_> = zip_eq([1, 2], ["a", "b"]).collect();
        assert_eq!(pairs, [(1, "a"), (2, "b")]);
        let shorter = std::panic::catch_unwind(|| zip_eq([1, 2], [1]).count());
        assert!(shorter.is_err());
    }
}
