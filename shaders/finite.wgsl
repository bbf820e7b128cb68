
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

// The largest size of gradients that are finite, and the first tensor, in order, with one that is not; NONE where all are.
struct Found {
    peak: f32,
    failed: u32,
}

// What was found, and in the gradient `value` of one parameter of `tensor`, unless that stays as it is.
fn look(found: Found, value: f32, tensor: u32, is_learned: bool) -> Found {
    if (!is_learned) {
        return found;
    }
    if (is_finite(value)) {
        return Found(max(found.peak, abs(value)), found.failed);
    }
    return Found(found.peak, min(found.failed, tensor));
}

// Whether a norm of at most `most` asks anything of gradients of which `peak` is the largest.
fn is_limited(most: f32, peak: f32) -> bool {
    return most < LARGEST && peak > 0.0;
}

// A network's state after meta-step `number`, in which `failed` was not finite: it learns, unless it has ever failed.
fn after(old: State, failed: u32, number: u32, learns: bool) -> State {
    var state = old;
    if (state.failed == NONE && failed != NONE) {
        state.failed = failed;
        state.failed_at = number;
    }
    if (learns && state.failed == NONE) {
        state.updates += 1u;
    }
    return state;
}

// What scales gradients to a norm of `most`, where theirs is the power of two times the root of `square`; 1 where they
// are within it.
fn scale_to_norm(most: f32, square: f32, exponent: u32) -> f32 {
    let bound = most / sqrt(square);
    return select(1.0, bound * inverse_power_of_two(exponent), bound < power_of_two(exponent));
}
