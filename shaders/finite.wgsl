
fn is_finite(value: f32) -> bool {
    // The exponent's bits, because compilers may assume that no value is infinite.
    return (bitcast<u32>(value) & 0x7f800000u) != 0x7f800000u;
}

// Numbers are divided by a power of two near the largest of them before they are squared, so that no square overflows
// and none that counts is lost. The exponent of that power, biased as in an f32, for the largest of some numbers:
fn exponent_of(peak: f32) -> u32 {
    return clamp(bitcast<u32>(peak) >> 23u, 1u, 253u);
}
fn power_of_two(exponent: u32) -> f32 {
    return bitcast<f32>(exponent << 23u);
}
fn inverse_power_of_two(exponent: u32) -> f32 {
    return power_of_two(254u - exponent);
}

// What scales gradients to a norm of `most`, where theirs is the power of two times the root of `square`; 1 where they
// are within it.
fn scale_to_norm(most: f32, square: f32, exponent: u32) -> f32 {
    let bound = most / sqrt(square);
    return select(1.0, bound * inverse_power_of_two(exponent), bound < power_of_two(exponent));
}
