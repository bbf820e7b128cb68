{% from "head.wgsl" import head %}
{% from "cell_parts.wgsl" import add_up %}
// What the gradients on a cell's traces after one step say of each row: sums over its synapses of `λ ∂F/∂z + ε ∂E/∂z`, where `z`
// is the postsynaptic activity, the modulator or the rate. {{ lanes }} lanes go over one row of one episode.
//
// replayed [state, trace and eligibility trace, P·B, O, J], adjoint [plane, P·B, O, J] then [plane, P·B, O]
{% include "extent.wgsl" %}

{% include "cell.wgsl" %}

{% include "cell_adjoint.wgsl" %}

var<workgroup> parts: array<vec3<f32>, {{ workgroup }}>;

{{ head("cell_pull", workgroup) }}
    let t = extent.step;
    if (t >= extent.done) {
        return;
    }
    let is_last = t + 1u == extent.done && extent.last_segment == 1u;
    let plane = states_of_plane();
    let rows = extent.networks * extent.episodes * {{ outputs }}u;
    let index = (group.y * groups.x + group.x) * {{ workgroup // lanes }}u + local / {{ lanes }}u;
    let lane = local % {{ lanes }}u;
    // Lanes beyond the last row repeat it and store nothing.
    let row = min(index, rows - 1u);
    let i = row % {{ outputs }}u;
    let episode = row / {{ outputs }}u;
    let network = episode / extent.episodes;
    let replayed_at = t % {{ apart }}u * {{ states }}u * plane;
    let of_row = row_in_memory(network, episode, t, i);
    var sum = vec3<f32>();
    for (var j = lane; j < {{ presynaptic }}u; j += {{ lanes }}u) {
        let at = row * {{ presynaptic }}u + j;
        let h = replayed[replayed_at + at];
        let e = {% if eligibility %}replayed[replayed_at + plane + at]{% else %}0.0{% endif %};
        let s = synapse(of_row, network, i, j, presynaptic(episode, t, j), h, e);
        let gradients = gradients_on_traces(s, at, plane, is_last);
        sum += pull_row(s, gradients.x, gradients.y);
    }
    parts[local] = sum;
{{ add_up(lanes) }}
    if (lane == 0u && index < rows) {
        let of_rows = {{ planes }}u * plane + row;
        let sums = parts[local];
        adjoint[of_rows + {{ row_planes.postsynaptic }}u * rows] = sums.x;
        adjoint[of_rows + {{ row_planes.modulator }}u * rows] = sums.y;
        adjoint[of_rows + {{ row_planes.of_rate }}u * rows] = sums.z;
    }
}
