{% from "head.wgsl" import each %}
// The forward half of a bias layer, y_i = f(x_i + b_i); a lane does one neuron of one step.
//
// input [P·B or B, T, row], output [P·B, T, output row]
{% include "extent.wgsl" %}

{% include "activation.wgsl" %}

{% set steps = "1u" if stepwise else "extent.steps" %}
{% set input_step = "step % (extent.episodes * extent.steps)" if common_input else "step" %}
{{ each("bias_forward", workgroup, "index", "extent.networks * extent.episodes * " ~ steps ~ " * " ~ outputs ~ "u") }}
    let i = index % {{ outputs }}u;
    let step = {% if stepwise %}index / {{ outputs }}u * extent.steps + extent.step{% else %}index / {{ outputs }}u{% endif %};
    let network = step / (extent.episodes * extent.steps);
    let bias = parameters[network * {{ stride }}u + {{ bias_at }}u + i];
    output[step * {{ output_row }}u + i] = activate(input[{{ input_step }} * {{ row }}u + i] + bias);
}
