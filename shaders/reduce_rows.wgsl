{% from "in_order.wgsl" import add_in_order %}
{% from "head.wgsl" import each %}
// What all rows of a layer have together, plasticity or rate: each block's sum over the rows, in order, takes the place
// of the first row's part. A lane does one block.
//
// partials [P, blocks, …], a vec4 (bias, plasticity, rate, 0) for each row
{% include "extent.wgsl" %}

{{ each("reduce_rows", workgroup, "block", "extent.networks * extent.blocks") }}
    let first = block * {{ partial_stride // 4 }}u + {{ partial_rows_at // 4 }}u;
    let own = partials[first];
    var sum = own;
{{ add_in_order("sum", "row", "1u", outputs ~ "u", "partials[first + ", "]", unrolled) }}
    partials[first] = select(own, sum, vec4<bool>(false, {{ shares_plasticity }}, {{ shares_rate }}, false));
}
