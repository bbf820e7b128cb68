// What the episodes of the task are, bit for bit as in `task.rs`.

fn bit(pattern: vec4<u32>, j: u32) -> f32 {
    return select(-1.0, 1.0, ((pattern[j / 32u] >> (j % 32u)) & 1u) == 1u);
}

{% if task == "completion" %}
// The bit that is shown at step 1.
fn shown_bit(key: vec4<u32>, counter: vec4<u32>) -> u32 {
    let choice = threefry(key, counter + vec4<u32>(0u, 0u, 1u, 0u)).x;
    return ((choice >> 16u) * {{ bits }}u) >> 16u;
}

fn input_at(pattern: vec4<u32>, shown: u32, now: u32, j: u32) -> f32 {
    return select(0.0, bit(pattern, j), now == 0u || j == shown);
}

fn counts_at(now: u32) -> bool {
    return now == 1u;
}
{% elif task in ["one-shot", "reversal"] %}
// Pattern `k` as it is drawn, which may equal an earlier one.
fn draw(key: vec4<u32>, counter: vec4<u32>, k: u32, attempt: u32) -> vec4<u32> {
    return threefry(key, counter + vec4<u32>(0u, 0u, k, attempt))
        & vec4<u32>({{ bit_masks[0] }}u, {{ bit_masks[1] }}u, {{ bit_masks[2] }}u, {{ bit_masks[3] }}u);
}

// The label of what is shown at step `now`.
fn label_at(now: u32) -> u32 {
    return (now + select(0u, 1u, now >= {{ reversal }}u)) % {{ patterns }}u;
}

fn shows_label(now: u32) -> bool {
    return now < {{ patterns }}u || (now >= {{ reversal }}u && now - {{ reversal }}u < {{ patterns }}u);
}

fn target_at(now: u32, o: u32) -> f32 {
    return select(0.0, 1.0, o == label_at(now));
}

fn input_at(pattern: vec4<u32>, now: u32, j: u32) -> f32 {
    if (j < {{ bits }}u) {
        return bit(pattern, j);
    }
    return select(0.0, target_at(now, j - {{ bits }}u), shows_label(now));
}

fn counts_at(now: u32) -> bool {
    return !shows_label(now);
}
{% else %}
{{ unknown("task", task) }}
{% endif %}
