
fn is_finite(value: f32) -> bool {
    // The exponent's bits, because compilers may assume that no value is infinite.
    return (bitcast<u32>(value) & 0x7f800000u) != 0x7f800000u;
}
