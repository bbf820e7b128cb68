{# An episode in workgroup memory, and the loss of its steps. #}

{% if task %}
fn make_episode(key: vec4<u32>, counter: vec4<u32>, lane: u32, slot: u32) {
    if (lane == 0u) {
        draw_episode(key, counter, slot, {{ packed }}u);
    }
    workgroupBarrier();
    for (var item = lane; item < extent.steps * {{ layers[0].quads }}u; item += {{ lanes }}u) {
        let t = item / {{ layers[0].quads }}u;
        let j = item % {{ layers[0].quads }}u * 4u;
        let shown = shown_at(slot, {{ packed }}u, t);
        var x = vec4<f32>({% for c in range(4) %}input_at(shown, t, j + {{ c }}u){{ ", " if not loop.last }}{% endfor %});
        x = select(vec4<f32>(), x, vec4<u32>(j, j + 1u, j + 2u, j + 3u) < vec4<u32>({{ layers[0].inputs }}u));
        input[item * {{ packed }}u + slot] = x;
    }
}
{% else %}
fn take_episode(episode: u32, lane: u32, slot: u32) {
    for (var item = lane; item < extent.steps * {{ layers[0].quads }}u; item += {{ lanes }}u) {
        let t = item / {{ layers[0].quads }}u;
        let at = (episode * extent.steps + t) * {{ layers[0].row }}u + item % {{ layers[0].quads }}u * 4u;
        input[item * {{ packed }}u + slot] = vec4<f32>(
            episodes[at], episodes[at + 1u], episodes[at + 2u], episodes[at + 3u],
        );
    }
}
{% endif %}

// Each step's loss, and the gradient on the last layer's output, scaled for the mean over the batch.
fn loss_of_steps(episode: u32, lane: u32, slot: u32) {
{% if not task %}
    let all_steps = extent.networks * extent.batch * extent.steps;
    let targets_at = all_steps * {{ layers[0].row }}u;
    let masks_at = targets_at + all_steps * {{ last.output_row }}u;
{% endif %}
    for (var t = lane; t < extent.steps; t += {{ lanes }}u) {
        let at = t * {{ last.outputs * packed }}u + slot;
{% if task %}
        let counts = select(0.0, 1.0, counts_at(t));
        let shown = shown_at(slot, {{ packed }}u, t);
{% else %}
        let target_at = targets_at + (episode * extent.steps + t) * {{ last.output_row }}u;
        let counts = episodes[masks_at + select(t, episode * extent.steps + t, extent.mask_per_episode == 1u)];
{% endif %}
        losses[t * {{ packed }}u + slot] = 0.0;
        if (counts == 0.0) {
            for (var o = 0u; o < {{ last.outputs }}u; o++) {
                signal{{ last.index }}[at + o * {{ packed }}u] = 0.0;
            }
            continue;
        }
        let scale = counts / f32(extent.batch);
{% with
    y = "output" ~ last.index ~ "[at + o * " ~ packed ~ "u]",
    c = "signal" ~ last.index ~ "[at + o * " ~ packed ~ "u]",
    wanted_y = "target_at(shown, t, o)" if task else "episodes[target_at + o]",
    outputs = last.outputs
%}
{% include "step_loss.wgsl" %}
{% endwith %}
        losses[t * {{ packed }}u + slot] = counts * step_loss;
    }
}
