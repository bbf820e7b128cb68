//! The `metaplastic` command.

fn main() {}
