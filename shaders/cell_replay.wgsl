{% from "head.wgsl" import each %}
{% from "cell_parts.wgsl" import initial_value %}
// The traces of a cell before each of {{ apart }} steps, the first of which is `extent.step`; a lane does one synapse of one
// episode. Activity and modulators are known, so that nothing is read out.
//
// initial [trace and eligibility trace, P·B, O, J], kept and replayed [state, trace and eligibility trace, P·B, O, J]
{% include "extent.wgsl" %}

{% include "cell.wgsl" %}

{{ each("cell_replay", workgroup, "index", "states_of_plane()") }}
    let plane = states_of_plane();
    let j = index % {{ presynaptic }}u;
    let i = index / {{ presynaptic }}u % {{ outputs }}u;
    let episode = index / {{ presynaptic * outputs }}u;
    let network = episode / extent.episodes;
    let first = extent.step;
    let end = min(first + {{ apart }}u, extent.done);
    var h = {{ initial_value(initial.trace, "index") }};
    var e = {% if eligibility %}{{ initial_value(initial.eligibility, "index") }}{% else %}0.0{% endif %};
{% if kept %}
    if (extent.first_step + first > 0u) {
        let at = ((extent.first_step + first) / {{ apart }}u - 1u) * {{ states }}u * plane + index;
        h = kept[at];
{% if eligibility %}
        e = kept[at + plane];
{% endif %}
    }
{% endif %}
    for (var t = first; t < end; t++) {
        let at = (t - first) * {{ states }}u * plane + index;
        replayed[at] = h;
{% if eligibility %}
        replayed[at + plane] = e;
{% endif %}
        let of_row = row_in_memory(network, episode, t, i);
        let next = updated(synapse(of_row, network, i, j, presynaptic(episode, t, j), h, e));
        h = next.x;
{% if eligibility %}
        e = next.y;
{% endif %}
    }
}
