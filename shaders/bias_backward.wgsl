// The gradient of a bias layer; a lane does one neuron of one block of episodes.
//
// output and signal [P·B, T, output row], input_signal [P·B, T, row], partials [P, blocks, …]
{% include "extent.wgsl" %}

{% include "activation.wgsl" %}

@compute @workgroup_size({{ workgroup }})
fn bias_backward(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let index = (group.y * groups.x + group.x) * {{ workgroup }}u + local;
    if (index >= extent.networks * extent.blocks * {{ outputs }}u) {
        return;
    }
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
        for (var back = 0u; back < extent.steps; back++) {
            let step = (network * extent.episodes + within) * extent.steps + extent.steps - 1u - back;
            let here = step * {{ output_row }}u + i;
            let by_output = signal[here];
            let by_input = derivative(output[here]);
            let delta = by_output * by_input;
            by_bias = fma(by_output, by_input, by_bias);
            signal[here] = delta;
{% if input_signal %}
            input_signal[step * {{ row }}u + i] = delta;
{% endif %}
        }
    }
    partials[partial] = vec4<f32>(by_bias, 0.0, 0.0, 0.0);
}
