{% from "head.wgsl" import each %}
// One optimiser update; a lane does four parameters of one network.
//
// gradients and parameters [P, parameters], moments [2, P, parameters], kinds [parameters] (tensor, role),
// settings [P], states [P]
{% include "extent.wgsl" %}
{% include "learning.wgsl" %}
{% include "update.wgsl" %}

{{ each("optimiser", workgroup, "index", "extent.networks * " ~ stride // 4 ~ "u") }}
    let size = extent.networks * {{ stride // 4 }}u;
    let network = index / {{ stride // 4 }}u;
    let state = states[network];
    if (state.failed != NONE) {
        return;
    }
    let setting = settings[network].settings;
    let quad = index % {{ stride // 4 }}u;
    let old = remembered(parameters[index], index, size + index, setting);
    let now = update(
        old, roles_of(quad), factors_of(network, quad), gradients[index], state.scale, setting, state.updates,
    );
    parameters[index] = now.value;
    remember(now, index, size + index, setting);
}
