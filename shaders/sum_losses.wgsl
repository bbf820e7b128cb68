// The loss of each episode: its steps' losses in order, after those of earlier segments; a lane does one episode.
//
// step_losses [P, T, B], losses [P, whole batch]
{% include "extent.wgsl" %}

@compute @workgroup_size({{ workgroup }})
fn sum_losses(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let episode = (group.y * groups.x + group.x) * {{ workgroup }}u + local;
    if (episode >= extent.networks * extent.episodes) {
        return;
    }
    let network = episode / extent.episodes;
    let loss_at = network * extent.batch + extent.first_episode + episode % extent.episodes;
    let first = network * extent.steps * extent.episodes + episode % extent.episodes;
    var sum = select(losses[loss_at], 0.0, extent.first_segment == 1u);
    var t = 0u;
    // Loads do not wait for each other.
    for (; t + {{ unrolled }}u <= extent.steps; t += {{ unrolled }}u) {
{% for next in range(unrolled) %}
        let loss{{ next }} = step_losses[first + (t + {{ next }}u) * extent.episodes];
{% endfor %}
{% for next in range(unrolled) %}
        sum += loss{{ next }};
{% endfor %}
    }
    for (; t < extent.steps; t++) {
        sum += step_losses[first + t * extent.episodes];
    }
    losses[loss_at] = sum;
}
