// Sums the blocks' gradients in order, starting from the sum of earlier cuts; a lane does one parameter of one network.
//
// partials [P, blocks, …], sources [parameters] (where its partial gradient lies), gradients [P, parameters]
{% include "extent.wgsl" %}

const NO_SOURCE = 0xffffffffu;

@compute @workgroup_size({{ workgroup }})
fn reduce(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let index = (group.y * groups.x + group.x) * {{ workgroup }}u + local;
    if (index >= extent.networks * {{ stride }}u) {
        return;
    }
    let network = index / {{ stride }}u;
    let source = sources[index % {{ stride }}u];
    var sum = select(0.0, gradients[index], extent.reduce_goes_on == 1u);
    // Padding and what is not learned have no source.
    let blocks = select(0u, extent.blocks, source != NO_SOURCE);
    let first = network * extent.blocks * {{ partial_stride }}u + source;
    var block = 0u;
    // Loads do not wait for each other.
    for (; block + {{ unrolled }}u <= blocks; block += {{ unrolled }}u) {
{% for next in range(unrolled) %}
        let part{{ next }} = partials[first + (block + {{ next }}u) * {{ partial_stride }}u];
{% endfor %}
{% for next in range(unrolled) %}
        sum += part{{ next }};
{% endfor %}
    }
    for (; block < blocks; block++) {
        sum += partials[first + block * {{ partial_stride }}u];
    }
    gradients[index] = sum;
}
