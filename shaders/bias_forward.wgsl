// The forward half of a bias layer, y_i = f(x_i + b_i); a lane does one neuron of one step.
//
// input [P·B, T, row], output [P·B, T, output row]
{% include "extent.wgsl" %}

{% include "activation.wgsl" %}

@compute @workgroup_size({{ workgroup }})
fn bias_forward(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let index = (group.y * groups.x + group.x) * {{ workgroup }}u + local;
    if (index >= extent.networks * extent.episodes * extent.steps * {{ outputs }}u) {
        return;
    }
    let i = index % {{ outputs }}u;
    let step = index / {{ outputs }}u;
    let network = step / (extent.episodes * extent.steps);
    let bias = parameters[network * {{ stride }}u + {{ bias_at }}u + i];
    output[step * {{ output_row }}u + i] = activate(input[step * {{ row }}u + i] + bias);
}
