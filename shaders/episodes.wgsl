// The task's random episodes; a lane makes one episode.
//
// keys [P], progress [P], words [P·B, {{ words }}], input [P·B, T, row], target [P·B, T, output row]
{% include "extent.wgsl" %}
{% include "learning.wgsl" %}
{% include "threefry.wgsl" %}
{% include "task.wgsl" %}

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
    let words_at = episode * {{ words }}u;
    draw_episode(key, counter, words_at, 1u);
    for (var t = 0u; t < extent.steps; t++) {
        let now = extent.first_step + t;
        let step = episode * extent.steps + t;
        let shown = shown_at(words_at, 1u, now);
        for (var j = 0u; j < {{ inputs }}u; j++) {
            input[step * {{ row }}u + j] = input_at(shown, now, j);
        }
        for (var o = 0u; o < {{ outputs }}u; o++) {
            target_of[step * {{ output_row }}u + o] = target_at(shown, now, o);
        }
    }
}
