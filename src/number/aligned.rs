//! Arrays that begin at a line of the cache, so that no vector straddles two.

use super::lanes::pair_width;
use super::real::Real;
use aligned_vec::{AVec, ConstAlign};

/// An array whose first element begins a line of the cache, so that no vector of a row straddles two.
pub(crate) type Aligned<R> = AVec<R, ConstAlign<64>>;

/// `size` zeros.
pub(crate) fn zeros<R: Real>(size: usize) -> Aligned<R> {
    let mut values = Aligned::with_capacity(64, size);
    values.resize(size, R::zero());
    values
}

/// Elements of a row of synapses: `size` rounded up to a whole number of pairs of vectors in either precision, so that
/// inner loops have no remainder, and of lines of the cache.
pub(crate) fn padded(size: usize) -> usize {
    size.next_multiple_of(pair_width::<f32>().max(16))
}
