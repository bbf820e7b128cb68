{% from "head.wgsl" import each %}
// The task's random episodes; a lane makes one episode.
//
// keys [P], progress [P], patterns [P·B, patterns], input [P·B, T, row], target [P·B, T, output row]
{% include "extent.wgsl" %}
{% include "learning.wgsl" %}
{% include "threefry.wgsl" %}
{% include "task.wgsl" %}

{{ each("episodes", workgroup, "episode", "extent.networks * extent.episodes") }}
    let network = episode / extent.episodes;
    let key = keys[network];
    let meta_step = control[0].first_meta_step + progress[network].meta_steps;
    let counter = vec4<u32>(meta_step, extent.first_episode + episode % extent.episodes, 0u, 0u);
{% if task == "completion" %}
    let pattern = threefry(key, counter);
    let shown = shown_bit(key, counter);
    for (var t = 0u; t < extent.steps; t++) {
        let step = episode * extent.steps + t;
        for (var j = 0u; j < {{ bits }}u; j++) {
            input[step * {{ row }}u + j] = input_at(pattern, shown, extent.first_step + t, j);
            target_of[step * {{ output_row }}u + j] = bit(pattern, j);
        }
    }
{% else %}
    let patterns_at = episode * {{ patterns }}u;
{% with apart = 1 %}
{% include "patterns.wgsl" %}
{% endwith %}
    for (var t = 0u; t < extent.steps; t++) {
        let now = extent.first_step + t;
        let step = episode * extent.steps + t;
        let pattern = patterns[patterns_at + now % {{ patterns }}u];
        for (var j = 0u; j < {{ bits + patterns }}u; j++) {
            input[step * {{ row }}u + j] = input_at(pattern, now, j);
        }
        for (var o = 0u; o < {{ patterns }}u; o++) {
            target_of[step * {{ output_row }}u + o] = target_at(now, o);
        }
    }
{% endif %}
}
