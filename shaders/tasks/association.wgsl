// One-shot learning and reversal, bit for bit as in `src/tasks/association.rs`. Words: the patterns.
alias Shown = vec4<u32>;

// Pattern `k` as it is drawn, which may equal an earlier one.
fn draw(key: vec4<u32>, counter: vec4<u32>, k: u32, attempt: u32) -> vec4<u32> {
    return threefry(key, counter + vec4<u32>(0u, 0u, k, attempt))
        & vec4<u32>({{ mask0 }}u, {{ mask1 }}u, {{ mask2 }}u, {{ mask3 }}u);
}

fn draw_episode(key: vec4<u32>, counter: vec4<u32>, at: u32, apart: u32) {
    for (var k = 0u; k < {{ patterns }}u; k++) {
        // Drawn again until it differs from every earlier one.
        for (var attempt = 0u; attempt < 0xffffffffu; attempt++) {
            let pattern = draw(key, counter, k, attempt);
            var is_new = true;
            for (var earlier = 0u; earlier < k; earlier++) {
                is_new = is_new && any(pattern != words[at + earlier * apart]);
            }
            if (is_new) {
                words[at + k * apart] = pattern;
                break;
            }
        }
    }
}

// The label of what is shown at step `now`.
fn label_at(now: u32) -> u32 {
    return (now + select(0u, 1u, now >= {{ reversal }}u)) % {{ patterns }}u;
}

fn shows_label(now: u32) -> bool {
    return now < {{ patterns }}u || (now >= {{ reversal }}u && now - {{ reversal }}u < {{ patterns }}u);
}

fn shown_at(at: u32, apart: u32, now: u32) -> Shown {
    return words[at + now % {{ patterns }}u * apart];
}

fn input_at(shown: Shown, now: u32, j: u32) -> f32 {
    if (j < {{ bits }}u) {
        return bit(shown, j);
    }
    return select(0.0, target_at(shown, now, j - {{ bits }}u), shows_label(now));
}

fn target_at(shown: Shown, now: u32, o: u32) -> f32 {
    return select(0.0, 1.0, o == label_at(now));
}

fn counts_at(now: u32) -> bool {
    return !shows_label(now);
}
