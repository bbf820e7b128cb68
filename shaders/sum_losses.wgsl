{% from "in_order.wgsl" import add_in_order %}
{% from "head.wgsl" import each %}
// The loss of each episode: its steps' losses in order, after those of earlier segments; a lane does one episode.
//
// step_losses [P, T, B], losses [P, whole batch]
{% include "extent.wgsl" %}

{{ each("sum_losses", workgroup, "episode", "extent.networks * extent.episodes") }}
    let network = episode / extent.episodes;
    let loss_at = network * extent.batch + extent.first_episode + episode % extent.episodes;
    let first = network * extent.steps * extent.episodes + episode % extent.episodes;
    var sum = select(losses[loss_at], 0.0, extent.first_segment == 1u);
{{ add_in_order("sum", "t", "0u", "extent.steps", "step_losses[first + ", " * extent.episodes]", unrolled) }}
    losses[loss_at] = sum;
}
