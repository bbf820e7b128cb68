// One optimiser update; a lane does four parameters of one network.
//
// gradients and parameters [P, parameters], moments [2, P, parameters], kinds [parameters] (tensor, role),
// settings [P], states [P]
{% include "extent.wgsl" %}
{% include "learning.wgsl" %}
{% include "update.wgsl" %}

@compute @workgroup_size({{ workgroup }})
fn optimiser(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let index = (group.y * groups.x + group.x) * {{ workgroup }}u + local;
    let size = extent.networks * {{ stride // 4 }}u;
    if (index >= size) {
        return;
    }
    let network = index / {{ stride // 4 }}u;
    let state = states[network];
    if (state.failed != NONE) {
        return;
    }
    let setting = settings[network].settings;
    let at = 4u * (index % {{ stride // 4 }}u);
    let roles = vec4<u32>(kinds[at].y, kinds[at + 1u].y, kinds[at + 2u].y, kinds[at + 3u].y);
    let factors = vec4<f32>(
{% for c in range(4) %}
        settings[network].factors[kinds[at + {{ c }}u].x],
{% endfor %}
    );
    var old = Updated(parameters[index], moments[index], vec4<f32>());
    if (has_second(setting.method)) {
        old.second = moments[size + index];
    }
    let now = update(old, roles, factors, gradients[index], state.scale, setting, state.updates);
    parameters[index] = now.value;
    moments[index] = now.first;
    if (has_second(setting.method)) {
        moments[size + index] = now.second;
    }
}
