{% from "head.wgsl" import each %}
// The gradients of what else a cell has of parameters, which were summed over each episode's steps: the sum over the episodes of a
// block, and over the synapses of a row where they have one parameter. A lane does one element of a tensor.
//
// adjoint [plane, P·B, O, J] then [plane, P·B, O], partials [P, blocks, …]
{% include "extent.wgsl" %}

{{ each("cell_gradients", workgroup, "index", "extent.networks * extent.blocks * " ~ elements ~ "u") }}
    let element = index % {{ elements }}u;
    let block = index / {{ elements }}u;
    let network = block / extent.blocks;
    let plane = extent.networks * extent.episodes * {{ outputs * presynaptic }}u;
    let rows = extent.networks * extent.episodes * {{ outputs }}u;
    var partial = block * {{ partial_stride }}u;
    // From where on the first episode's numbers are added up, how many, and how far apart those of episodes are.
    var first = 0u;
    var count = 1u;
    var apart = {{ outputs }}u;
{% for sum in sums %}
    {{ "} else " if not loop.first }}if (element < {{ sum.end }}u) {
        let n = element - {{ sum.start }}u;
        partial += {{ sum.partial_at }}u + n;
{% if sum.kind == "connections" %}
        first = {{ sum.plane }}u * plane + n;
        apart = {{ outputs * presynaptic }}u;
{% elif sum.kind == "synapses of a row" %}
        first = {{ sum.plane }}u * plane + n * {{ presynaptic }}u;
        count = {{ presynaptic }}u;
        apart = {{ outputs * presynaptic }}u;
{% elif sum.kind == "rows" %}
        first = {{ planes }}u * plane + {{ sum.plane }}u * rows + n;
{% else %}
{{ unknown("sum", sum.kind) }}
{% endif %}
{% endfor %}
    }
    var sum = select(0.0, partials[partial], extent.accumulate == 1u);
    for (var e = 0u; e < extent.block_episodes; e++) {
        let within = block % extent.blocks * {{ episode_block }}u + e;
        if (within >= extent.episodes) {
            break;
        }
        let begin = first + (network * extent.episodes + within) * apart;
        var of_episode = 0.0;
        for (var k = 0u; k < count; k++) {
            of_episode += adjoint[begin + k];
        }
        sum += of_episode;
    }
    partials[partial] = sum;
}
