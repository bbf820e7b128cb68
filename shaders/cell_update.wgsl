{% from "head.wgsl" import each %}
{% from "cell_parts.wgsl" import initial_value %}
// What one step makes of the traces of a cell; a lane does {{ updated[0] }} rows of one column of one episode.
//
//     h_ij(t+1) = bound(F(h_ij, e_ij, x_j, y_i, m_i, η_i, κ_ij))        e_ij(t+1) = E(…)
//
// present and initial [trace and eligibility trace, P·B, O, J], kept [state, trace and eligibility trace, P·B, O, J]
{% include "extent.wgsl" %}

{% include "cell.wgsl" %}

{{ each("cell_update", workgroup, "lane", "extent.networks * extent.episodes * " ~ updated[1] * presynaptic ~ "u") }}
    let plane = states_of_plane();
    let j = lane % {{ presynaptic }}u;
    let first = lane / {{ presynaptic }}u % {{ updated[1] }}u * {{ updated[0] }}u;
    let episode = lane / {{ presynaptic * updated[1] }}u;
    let network = episode / extent.episodes;
    let t = extent.step;
    let x = presynaptic(episode, t, j);
{% if kept %}
    // The reverse sweep begins anew from the states after some of the steps; the last is not one of them.
    let done = extent.first_step + t + 1u;
    let is_kept = done % {{ apart }}u == 0u && (t + 1u < extent.steps || extent.last_segment == 0u);
    let kept_at = (done / {{ apart }}u - 1u) * {{ states }}u * plane;
{% endif %}
    for (var i = first; i < min(first + {{ updated[0] }}u, {{ outputs }}u); i++) {
        let index = (episode * {{ outputs }}u + i) * {{ presynaptic }}u + j;
        var h = {{ initial_value(initial.trace, "index") }};
        var e = {% if eligibility %}{{ initial_value(initial.eligibility, "index") }}{% else %}0.0{% endif %};
        if (extent.first_step + t > 0u) {
            h = present[index];
{% if eligibility %}
            e = present[plane + index];
{% endif %}
        }
        let of_row = row_in_memory(network, episode, t, i);
        let next = updated(synapse(of_row, network, i, j, x, h, e));
        present[index] = next.x;
{% if eligibility %}
        present[plane + index] = next.y;
{% endif %}
{% if kept %}
        if (is_kept) {
            kept[kept_at + index] = next.x;
{% if eligibility %}
            kept[kept_at + index + plane] = next.y;
{% endif %}
        }
{% endif %}
    }
}
