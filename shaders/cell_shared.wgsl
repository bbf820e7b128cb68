{% from "in_order.wgsl" import add_in_order %}
{% from "head.wgsl" import each %}
// What all rows of a cell have together: each block's sum over the rows, in order, takes the place of the first row's part. A lane
// does one tensor of one block.
//
// partials [P, blocks, …]
{% include "extent.wgsl" %}

{{ each("cell_shared", workgroup, "index", "extent.networks * extent.blocks * " ~ shared | length ~ "u") }}
    let block = index / {{ shared | length }}u;
    var first = block * {{ partial_stride }}u;
{% for at in shared %}
    if (index % {{ shared | length }}u == {{ loop.index0 }}u) {
        first += {{ at }}u;
    }
{% endfor %}
    var sum = partials[first];
{{ add_in_order("sum", "row", "1u", outputs ~ "u", "partials[first + ", "]", unrolled) }}
    partials[first] = sum;
}
