{% from "head.wgsl" import each %}
// Puts the input of one step among those of its episodes; a lane does one neuron of one episode.
//
// step_input [P·B or B, row], input [P·B or B, T, row]
{% include "extent.wgsl" %}

{{ each("take_input", workgroup, "index", "extent.inputs * extent.episodes * " ~ row ~ "u") }}
    let step = index / {{ row }}u * extent.steps + extent.step;
    input[step * {{ row }}u + index % {{ row }}u] = step_input[index];
}
