//! Training tests.
