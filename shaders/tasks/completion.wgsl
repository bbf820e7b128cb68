// Pattern completion, bit for bit as in `src/tasks/completion.rs`. Words: the pattern, and which bit is shown at step 1.
struct Shown {
    pattern: vec4<u32>,
    bit: u32,
}

fn draw_episode(key: vec4<u32>, counter: vec4<u32>, at: u32, apart: u32) {
    words[at] = threefry(key, counter);
    let choice = threefry(key, counter + vec4<u32>(0u, 0u, 1u, 0u)).x;
    words[at + apart] = vec4<u32>(((choice >> 16u) * {{ bits }}u) >> 16u, 0u, 0u, 0u);
}

fn shown_at(at: u32, apart: u32, now: u32) -> Shown {
    return Shown(words[at], words[at + apart].x);
}

fn input_at(shown: Shown, now: u32, j: u32) -> f32 {
    return select(0.0, bit(shown.pattern, j), now == 0u || j == shown.bit);
}

fn target_at(shown: Shown, now: u32, o: u32) -> f32 {
    return bit(shown.pattern, o);
}

fn counts_at(now: u32) -> bool {
    return now == 1u;
}
