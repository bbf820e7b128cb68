{% from "head.wgsl" import each %}
{% from "cell_parts.wgsl" import initial_value %}
// What one step makes of the traces of a cell; a lane does one synapse of one episode.
//
//     h_ij(t+1) = bound(F(h_ij, e_ij, x_j, y_i, m_i, η_i, κ_ij))        e_ij(t+1) = E(…)
//
// present and initial [trace and eligibility trace, P·B, O, J], kept [state, trace and eligibility trace, P·B, O, J]
{% include "extent.wgsl" %}

{% include "cell.wgsl" %}

{{ each("cell_update", workgroup, "index", "states_of_plane()") }}
    let plane = states_of_plane();
    let j = index % {{ presynaptic }}u;
    let i = index / {{ presynaptic }}u % {{ outputs }}u;
    let episode = index / {{ presynaptic * outputs }}u;
    let network = episode / extent.episodes;
    let t = extent.step;
    var h = {{ initial_value(initial.trace, "index") }};
    var e = {% if eligibility %}{{ initial_value(initial.eligibility, "index") }}{% else %}0.0{% endif %};
    if (extent.first_step + t > 0u) {
        h = present[index];
{% if eligibility %}
        e = present[plane + index];
{% endif %}
    }
    let of_row = synapse_of_row(network, episode, t, i);
    let next = updated(synapse(of_row, network, i, j, presynaptic(episode, t, j), h, e));
    present[index] = next.x;
{% if eligibility %}
    present[plane + index] = next.y;
{% endif %}
{% if kept %}
    // The reverse sweep begins anew from the states after some of the steps; the last is not one of them.
    let done = extent.first_step + t + 1u;
    if (done % {{ apart }}u == 0u && (t + 1u < extent.steps || extent.last_segment == 0u)) {
        let at = (done / {{ apart }}u - 1u) * {{ states }}u * plane + index;
        kept[at] = next.x;
{% if eligibility %}
        kept[at + plane] = next.y;
{% endif %}
    }
{% endif %}
}
