{% from "head.wgsl" import each %}
// The gradient on the presynaptic activity of a cell at one step: the sum over the chunks of its rows, in order. A lane does one
// neuron of one episode.
//
{% if recurrent %}
// columns [chunks, P·B, J], adjoint [plane, P·B, O, J] then [plane, P·B, O]
{% else %}
// columns [chunks, P·B, J], input_signal [P·B, T, row]
{% endif %}
{% include "extent.wgsl" %}

{{ each("cell_columns", workgroup, "index", "extent.networks * extent.episodes * " ~ neurons ~ "u") }}
    if (extent.step >= extent.done) {
        return;
    }
    let episodes = extent.networks * extent.episodes;
    let episode = index / {{ neurons }}u;
    let j = index % {{ neurons }}u;
    var sum = 0.0;
    for (var chunk = 0u; chunk < {{ chunks }}u; chunk++) {
        sum += columns[(chunk * episodes + episode) * {{ presynaptic }}u + j];
    }
{% if recurrent %}
    adjoint[({{ planes * presynaptic }}u + {{ row_planes.activity }}u) * episodes * {{ outputs }}u + index] = sum;
{% else %}
    input_signal[(episode * extent.steps + extent.step) * {{ row }}u + j] = sum;
{% endif %}
}
