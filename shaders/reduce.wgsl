{% from "in_order.wgsl" import add_in_order %}
{% from "head.wgsl" import each %}
// Sums the blocks' gradients in order, starting from the sum of earlier cuts; a lane does one parameter of one network.
//
// partials [P, blocks, …], sources [parameters] (where its partial gradient lies), gradients [P, parameters]
{% include "extent.wgsl" %}

const NO_SOURCE = 0xffffffffu;

{{ each("reduce", workgroup, "index", "extent.networks * " ~ stride ~ "u") }}
    let network = index / {{ stride }}u;
    let source = sources[index % {{ stride }}u];
    var sum = select(0.0, gradients[index], extent.reduce_goes_on == 1u);
    // Padding and what is not learned have no source.
    let blocks = select(0u, extent.blocks, source != NO_SOURCE);
    let first = network * extent.blocks * {{ partial_stride }}u + source;
{{ add_in_order("sum", "block", "0u", "blocks", "partials[first + ", " * " ~ partial_stride ~ "u]", unrolled) }}
    gradients[index] = sum;
}
