{% from "head.wgsl" import each %}
// The activity of a recurrent layer at one step, from which later ones go on; a lane does one neuron of one episode.
//
// output [P·B, T, output row], after [P·B, O]
{% include "extent.wgsl" %}

{{ each("cell_carry", workgroup, "index", "extent.networks * extent.episodes * " ~ outputs ~ "u") }}
    let episode = index / {{ outputs }}u;
    let i = index % {{ outputs }}u;
    after[index] = output[(episode * extent.steps + extent.step) * {{ output_row }}u + i];
}
