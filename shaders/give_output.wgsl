{% from "head.wgsl" import each %}
// Takes the output of one step from those of its episodes; a lane does one neuron of one episode.
//
// output [P·B, T, row], step_output [P·B, row]
{% include "extent.wgsl" %}

{{ each("give_output", workgroup, "index", "extent.networks * extent.episodes * " ~ row ~ "u") }}
    let step = index / {{ row }}u * extent.steps + extent.step;
    step_output[index] = output[step * {{ row }}u + index % {{ row }}u];
}
