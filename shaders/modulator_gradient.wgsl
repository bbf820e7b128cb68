{% from "in_order.wgsl" import add_in_order %}
{% from "head.wgsl" import each %}
// The gradient on the modulators that a layer's rows are given, from that on each row's; a lane does one modulator of one step.
// Where all rows have one, it is the sum over chunks of {{ chunk }} of them, in order.
//
// modulators [T, P·B, 1 or O], then the drive, [P·B, T, output row], if it is kept, then the gradient on each row's, [T, P·B, O];
// modulator_signal [T, P·B, 1 or O]
{% include "extent.wgsl" %}

{{ each("modulator_gradient", workgroup, "index", "extent.done * extent.networks * extent.episodes * " ~ modulators ~ "u") }}
    let gradient_at = extent.steps * extent.networks * extent.episodes * {{ modulators + (output_row if drive else 0) }}u;
{% if modulators == outputs %}
    modulator_signal[index] = modulators[gradient_at + index];
{% else %}
    let first = gradient_at + index * {{ outputs }}u;
    var sum = 0.0;
    for (var chunk = 0u; chunk < {{ outputs }}u; chunk += {{ chunk }}u) {
        let end = min(chunk + {{ chunk }}u, {{ outputs }}u);
        var part = 0.0;
{{ add_in_order("part", "row", "chunk", "end", "modulators[first + ", "]", unrolled) }}
        sum += part;
    }
    modulator_signal[index] = sum;
{% endif %}
}
