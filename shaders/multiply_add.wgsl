// Nothing but multiply-adds, {{ chains }} independent chains of vec4s in every lane: how fast the device does them.
//
// output [lanes]
{% include "extent.wgsl" %}

@compute @workgroup_size({{ workgroup }})
fn multiply_add(@builtin(global_invocation_id) id: vec3<u32>) {
    // Not known before the run, so that nothing is computed beforehand.
    let factor = vec4<f32>(0.5 + f32(extent.batch));
    let term = vec4<f32>(1.0 + f32(id.x) * 1e-9);
{% for chain in range(chains) %}
    var v{{ chain }} = term * {{ chain }}.0;
{% endfor %}
    for (var t = 0u; t < extent.steps; t++) {
{% for turn in range(turns) %}
{% for chain in range(chains) %}
        v{{ chain }} = fma(v{{ chain }}, factor, term);
{% endfor %}
{% endfor %}
    }
    var sum = v0;
{% for chain in range(1, chains) %}
    sum += v{{ chain }};
{% endfor %}
    output[id.x] = (sum.x + sum.y) + (sum.z + sum.w);
}
