// The task's random episodes, bit for bit those of `task.rs`; a lane makes one episode.
//
// keys [P], progress [P], patterns [P·B, patterns], input [P·B, T, row], target [P·B, T, output row]
{% include "extent.wgsl" %}
{% include "learning.wgsl" %}
{% include "threefry.wgsl" %}

fn bit(pattern: vec4<u32>, j: u32) -> f32 {
    return select(-1.0, 1.0, ((pattern[j / 32u] >> (j % 32u)) & 1u) == 1u);
}

@compute @workgroup_size({{ workgroup }})
fn episodes(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let episode = (group.y * groups.x + group.x) * {{ workgroup }}u + local;
    if (episode >= extent.networks * extent.episodes) {
        return;
    }
    let network = episode / extent.episodes;
    let key = keys[network];
    let meta_step = control[0].first_meta_step + progress[network].meta_steps;
    let counter = vec4<u32>(meta_step, extent.first_episode + episode % extent.episodes, 0u, 0u);
{% if task == "completion" %}
    let pattern = threefry(key, counter);
    let choice = threefry(key, counter + vec4<u32>(0u, 0u, 1u, 0u)).x;
    let shown = ((choice >> 16u) * {{ bits }}u) >> 16u;
    for (var t = 0u; t < extent.steps; t++) {
        let whole = extent.first_step + t == 0u;
        let step = episode * extent.steps + t;
        for (var j = 0u; j < {{ bits }}u; j++) {
            let value = bit(pattern, j);
            input[step * {{ row }}u + j] = select(0.0, value, whole || j == shown);
            target_of[step * {{ output_row }}u + j] = value;
        }
    }
{% else %}
    let patterns_at = episode * {{ patterns }}u;
    for (var k = 0u; k < {{ patterns }}u; k++) {
        // Drawn again until it differs from every earlier one.
        for (var attempt = 0u; ; attempt++) {
            let words = threefry(key, counter + vec4<u32>(0u, 0u, k, attempt))
                & vec4<u32>({{ bit_masks[0] }}u, {{ bit_masks[1] }}u, {{ bit_masks[2] }}u, {{ bit_masks[3] }}u);
            var is_new = true;
            for (var earlier = 0u; earlier < k; earlier++) {
                is_new = is_new && any(words != patterns[patterns_at + earlier]);
            }
            if (is_new) {
                patterns[patterns_at + k] = words;
                break;
            }
        }
    }
    for (var t = 0u; t < extent.steps; t++) {
        let now = extent.first_step + t;
        let reversed = now >= {{ reversal }}u;
        let shown = now % {{ patterns }}u;
        let label = (shown + select(0u, 1u, reversed)) % {{ patterns }}u;
        let labelled = now < {{ patterns }}u || (reversed && now - {{ reversal }}u < {{ patterns }}u);
        let step = episode * extent.steps + t;
        let pattern = patterns[patterns_at + shown];
        for (var j = 0u; j < {{ bits }}u; j++) {
            input[step * {{ row }}u + j] = bit(pattern, j);
        }
        for (var o = 0u; o < {{ patterns }}u; o++) {
            let is_label = select(0.0, 1.0, o == label);
            input[step * {{ row }}u + {{ bits }}u + o] = select(0.0, is_label, labelled);
            target_of[step * {{ output_row }}u + o] = is_label;
        }
    }
{% endif %}
}
