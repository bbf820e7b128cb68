{% from "head.wgsl" import head %}
{% from "cell_parts.wgsl" import add_up %}
// The modulator that a network computes from a layer's output at one step; a workgroup does one episode.
//
//     μ(t) = tanh(c + Σ_i v_i y_i(t))
//
// output [P·B, T, output row], modulators [T, P·B]
{% include "extent.wgsl" %}

{% include "hyperbolic_tangent.wgsl" %}

var<workgroup> parts: array<f32, {{ workgroup }}>;

{{ head("cell_modulator", workgroup) }}
    let episodes = extent.networks * extent.episodes;
    let index = group.y * groups.x + group.x;
    // Workgroups beyond the last episode repeat it and store nothing.
    let episode = min(index, episodes - 1u);
    let at = episode / extent.episodes * {{ stride }}u;
    var sum = 0.0;
    for (var i = local; i < {{ outputs }}u; i += {{ workgroup }}u) {
        let y = output[(episode * extent.steps + extent.step) * {{ output_row }}u + i];
        sum = fma(parameters[at + {{ modulation.weight_at }}u + i], y, sum);
    }
    parts[local] = sum;
{{ add_up(workgroup) }}
    if (local == 0u && index < episodes) {
        modulators[extent.step * episodes + episode] = hyperbolic_tangent(parameters[at + {{ modulation.bias_at }}u] + parts[0]);
    }
}
