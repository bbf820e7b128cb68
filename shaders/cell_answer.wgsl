{% from "head.wgsl" import each %}
// Takes the signals of one step back through the synapses of a cell. A lane goes over {{ chunk }} rows of one column of one
// episode.
//
//     λ ← [h]_ij + α_ij δ_i x_j        ε ← [e]_ij        ∂L/∂α_ij += δ_i x_j h_ij        ∂L/∂κ_ij += [κ]_ij
//     ∂L/∂x_j = Σ_i (δ_i (w_ij + α_ij h_ij) + [x]_ij),    where [z] = λ ∂F/∂z + ε ∂E/∂z
//
// signal [P·B, T, output row], replayed [state, trace and eligibility trace, P·B, O, J], adjoint [plane, P·B, O, J],
// columns [chunks, P·B, J]
{% macro accumulate(plane, value, term) %}
        adjoint[{{ plane }}u * plane + at] = fma({{ value }}, {{ term }}, select(adjoint[{{ plane }}u * plane + at], 0.0, is_last));
{% endmacro %}
{% include "extent.wgsl" %}

{% include "cell.wgsl" %}

{% if plastic %}
{% include "cell_adjoint.wgsl" %}
{% endif %}

{{ each("cell_answer", workgroup, "index", "extent.networks * extent.episodes * " ~ chunks * presynaptic ~ "u") }}
    let t = extent.step;
    if (t >= extent.done) {
        return;
    }
    let j = index % {{ presynaptic }}u;
    let chunk = index / {{ presynaptic }}u % {{ chunks }}u;
    let episode = index / {{ presynaptic * chunks }}u;
    let network = episode / extent.episodes;
    let end = min((chunk + 1u) * {{ chunk }}u, {{ outputs }}u);
{% if plastic %}
    let is_last = t + 1u == extent.done && extent.last_segment == 1u;
    let plane = states_of_plane();
    let replayed_at = t % {{ apart }}u * {{ states }}u * plane;
    let x = presynaptic(episode, t, j);
{% endif %}
    var column = 0.0;
    for (var i = chunk * {{ chunk }}u; i < end; i++) {
        let delta = signal[(episode * extent.steps + t) * {{ output_row }}u + i];
{% if plastic or needs.columns %}
        let w = parameters[network * {{ stride }}u + {{ weight_at }}u + i * {{ presynaptic }}u + j];
{% endif %}
{% if plastic %}
        let at = (episode * {{ outputs }}u + i) * {{ presynaptic }}u + j;
        let a = plasticity(network, i, j);
        let h = replayed[replayed_at + at];
        let e = {% if eligibility %}replayed[replayed_at + plane + at]{% else %}0.0{% endif %};
        let s = synapse(row_in_memory(network, episode, t, i), network, i, j, x, h, e);
        let gradients = gradients_on_traces(s, at, plane, is_last);
        let pulled = pull(s, gradients.x, gradients.y);
        let by_weight = delta * x;
        adjoint[at] = fma(a, by_weight, pulled.trace);
{% if eligibility %}
        adjoint[plane + at] = pulled.eligibility;
{% endif %}
{{ accumulate(planes_of.plasticity, "by_weight", "h") }}
{% for it in coefficients %}
{{ accumulate(planes_of.coefficients + loop.index0, "pulled.k" ~ loop.index0, "1.0") }}
{% endfor %}
        column += fma(delta, fma(a, h, w), pulled.presynaptic);
{% elif needs.columns %}
        column = fma(delta, w, column);
{% endif %}
    }
{% if needs.columns %}
    columns[(chunk * extent.networks * extent.episodes + episode) * {{ presynaptic }}u + j] = column;
{% endif %}
}
