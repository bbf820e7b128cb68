// Sums the blocks' gradients in order, starting from the sum of earlier cuts; a lane does one parameter of one network.
//
// partials [P, blocks, …], sources [parameters] (first partial gradient, how many), gradients [P, parameters]
{% include "extent.wgsl" %}

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
    for (var block = 0u; block < extent.blocks; block++) {
        let at = (network * extent.blocks + block) * {{ partial_stride }}u + source.x;
        var part = 0.0;
        // Where one parameter serves several rows, their sums lie one vec4 apart.
        for (var row = 0u; row < source.y; row++) {
            part += partials[at + row * 4u];
        }
        sum += part;
    }
    gradients[index] = sum;
}
