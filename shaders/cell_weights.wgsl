{% from "head.wgsl" import each %}
// The gradient of a cell's weights, `Σ δ_i(t) x_j(t)` over the episodes of a block; a lane does one weight.
//
// signal [P·B, T, output row], partials [P, blocks, …]
{% include "extent.wgsl" %}

{% include "cell.wgsl" %}

{{ each("cell_weights", workgroup, "index", "extent.networks * extent.blocks * " ~ outputs * columns ~ "u") }}
    let j = index % {{ columns }}u;
    let i = index / {{ columns }}u % {{ outputs }}u;
    let block = index / {{ columns * outputs }}u;
    let network = block / extent.blocks;
    let partial = block * {{ partial_stride }}u + {{ partial_at }}u + i * {{ partial_row }}u + j;
    var sum = select(0.0, partials[partial], extent.accumulate == 1u);
    for (var e = 0u; e < extent.block_episodes; e++) {
        let within = block % extent.blocks * {{ episode_block }}u + e;
        if (within >= extent.episodes) {
            break;
        }
        let episode = network * extent.episodes + within;
        // In pieces, between which time may be cut.
        for (var end = extent.done; end > 0u;) {
            let begin = (end - 1u) / {{ apart }}u * {{ apart }}u;
            var of_piece = 0.0;
            for (; end > begin; end--) {
                let t = end - 1u;
                let delta = signal[(episode * extent.steps + t) * {{ output_row }}u + i];
                of_piece = fma(delta, {{ "input_of" if of_input else "presynaptic" }}(episode, t, j), of_piece);
            }
            sum += of_piece;
        }
    }
    partials[partial] = sum;
}
