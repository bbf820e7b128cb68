// What all rows of a layer have together, plasticity or rate: each block's sum over the rows, in order, takes the place
// of the first row's part. A lane does one block.
//
// partials [P, blocks, …], a vec4 (bias, plasticity, rate, 0) for each row
{% include "extent.wgsl" %}

@compute @workgroup_size({{ workgroup }})
fn reduce_rows(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let block = (group.y * groups.x + group.x) * {{ workgroup }}u + local;
    if (block >= extent.networks * extent.blocks) {
        return;
    }
    let first = block * {{ partial_stride // 4 }}u + {{ partial_rows_at // 4 }}u;
    let own = partials[first];
    var sum = own;
    var row = 1u;
    // Loads do not wait for each other.
    for (; row + {{ unrolled }}u <= {{ outputs }}u; row += {{ unrolled }}u) {
{% for next in range(unrolled) %}
        let part{{ next }} = partials[first + row + {{ next }}u];
{% endfor %}
{% for next in range(unrolled) %}
        sum += part{{ next }};
{% endfor %}
    }
    for (; row < {{ outputs }}u; row++) {
        sum += partials[first + row];
    }
    partials[first] = select(own, sum, vec4<bool>(false, {{ shares_plasticity }}, {{ shares_rate }}, false));
}
