{% from "head.wgsl" import each %}
// The gradient of a bias layer; a lane does one neuron of one block of episodes.
//
// output and signal [P·B, T, output row], input_signal [P·B, T, row], partials [P, blocks, …]
{% include "extent.wgsl" %}

{% include "activation.wgsl" %}

{{ each("bias_backward", workgroup, "index", "extent.networks * extent.blocks * " ~ outputs ~ "u") }}
    let i = index % {{ outputs }}u;
    let block = index / {{ outputs }}u;
    let network = block / extent.blocks;
    let partial = block * {{ partial_stride // 4 }}u + {{ partial_rows_at // 4 }}u + i;
    var by_bias = select(0.0, partials[partial].x, extent.accumulate == 1u);
    for (var e = 0u; e < extent.block_episodes; e++) {
        let within = block % extent.blocks * {{ episode_block }}u + e;
        if (within >= extent.episodes) {
            break;
        }
        for (var back = 0u; back < extent.done; back++) {
            let step = (network * extent.episodes + within) * extent.steps + extent.done - 1u - back;
            let here = step * {{ output_row }}u + i;
            let y = output[here];
            let c = signal[here];
{% with f = "", p = "", biased = true %}
{% include "reverse_step.wgsl" %}
{% endwith %}
            signal[here] = delta;
{% if input_signal %}
            input_signal[step * {{ row }}u + i] = delta;
{% endif %}
        }
    }
    partials[partial] = vec4<f32>(by_bias, 0.0, 0.0, 0.0);
}
