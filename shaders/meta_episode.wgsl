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
fn take_episode(network: u32, episode: u32, lane: u32, slot: u32) {
    let first = given_at(extent.inputs, network, extent.batch, episode) * extent.steps;
    for (var item = lane; item < extent.steps * {{ layers[0].quads }}u; item += {{ lanes }}u) {
        let t = item / {{ layers[0].quads }}u;
        let at = (first + t) * {{ layers[0].row }}u + item % {{ layers[0].quads }}u * 4u;
        input[item * {{ packed }}u + slot] = vec4<f32>(
            episodes[at], episodes[at + 1u], episodes[at + 2u], episodes[at + 3u],
        );
    }
}
{% endif %}

// Each step's loss, and the gradient on the last layer's output, scaled for the mean over the batch.
fn loss_of_steps({{ "network: u32, episode: u32, " if not task }}lane: u32, slot: u32) {
{% if not task %}
    let all_steps = extent.batch * extent.steps;
    let targets_at = extent.inputs * all_steps * {{ layers[0].row }}u;
    let masks_at = targets_at + extent.targets * all_steps * {{ last.output_row }}u;
    let first_target = given_at(extent.targets, network, extent.batch, episode) * extent.steps;
    let first_mask = select(given_at(extent.masks, network, extent.batch, episode) * extent.steps, 0u, extent.masks == 0u);
{% endif %}
    for (var t = lane; t < extent.steps; t += {{ lanes }}u) {
        let at = t * {{ last.outputs * packed }}u + slot;
{% if task %}
        let counts = select(0.0, 1.0, counts_at(t));
        let shown = shown_at(slot, {{ packed }}u, t);
{% else %}
        let target_at = targets_at + (first_target + t) * {{ last.output_row }}u;
        let counts = episodes[masks_at + first_mask + t];
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
