//! The Python package's native half.

// Where Cargo builds the packages' own tests, all of them at once, there is no Python to link to, and none is needed here.
#[cfg(not(test))]
mod package;
