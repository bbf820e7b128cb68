{% from "head.wgsl" import head %}
{% from "cell_parts.wgsl" import initial_value, add_up %}
// The output of a cell at one step, with the traces after the step before. {{ lanes }} lanes go over one row of one episode.
//
//     y_i(t) = f(b_i + Σ_k U_ik u_k(t) + Σ_j (w_ij + α_ij h_ij(t)) x_j(t))
//
// input [P·B or B, T, row], output [P·B, T, output row], present [trace and eligibility trace, P·B, O, J]
{% include "extent.wgsl" %}

{% include "activation.wgsl" %}

{% include "cell.wgsl" %}

var<workgroup> parts: array<f32, {{ workgroup }}>;

{{ head("cell_forward", workgroup) }}
    let rows = extent.networks * extent.episodes * {{ outputs }}u;
    let index = (group.y * groups.x + group.x) * {{ workgroup // lanes }}u + local / {{ lanes }}u;
    let lane = local % {{ lanes }}u;
    // Lanes beyond the last row repeat it and store nothing.
    let at = min(index, rows - 1u);
    let i = at % {{ outputs }}u;
    let episode = at / {{ outputs }}u;
    let network = episode / extent.episodes;
    let t = extent.step;
    let weight_at = network * {{ stride }}u + {{ weight_at }}u + i * {{ presynaptic }}u;
{% if plastic %}
    let plane = states_of_plane();
{% endif %}
    var sum = 0.0;
    for (var j = lane; j < {{ presynaptic }}u; j += {{ lanes }}u) {
        let w = parameters[weight_at + j];
        let x = presynaptic(episode, t, j);
{% if plastic %}
        let state = at * {{ presynaptic }}u + j;
        var h = {{ initial_value(initial.trace, "state") }};
        if (extent.first_step + t > 0u) {
            h = present[state];
        }
        sum = fma(fma(plasticity(network, i, j), h, w), x, sum);
{% else %}
        sum = fma(w, x, sum);
{% endif %}
    }
{% if input == "matrix" %}
    let input_weight_at = network * {{ stride }}u + {{ input_weight_at }}u + i * {{ row }}u;
    for (var k = lane; k < {{ inputs }}u; k += {{ lanes }}u) {
        sum = fma(parameters[input_weight_at + k], input_of(episode, t, k), sum);
    }
{% endif %}
    parts[local] = sum;
{{ add_up(lanes) }}
    if (lane == 0u && index < rows) {
        var z = parts[local];
{% if bias_at is not none %}
        z += parameters[network * {{ stride }}u + {{ bias_at }}u + i];
{% endif %}
{% if input == "identity" %}
        z += input_of(episode, t, i);
{% endif %}
        output[(episode * extent.steps + t) * {{ output_row }}u + i] = activate(z);
    }
}
