// The loss of each episode and the gradient on its output, scaled for the mean over the batch; a lane does one episode.
//
// output, target and signal [P·B, T, output row]; mask [T] or [P·B, T]; losses [P, whole batch]
{% include "extent.wgsl" %}

@compute @workgroup_size({{ workgroup }})
fn loss(
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
    var sum = select(losses[loss_at], 0.0, extent.first_segment == 1u);
    for (var t = 0u; t < extent.steps; t++) {
        let at = (episode * extent.steps + t) * {{ output_row }}u;
        let counts = mask[select(t, episode * extent.steps + t, extent.mask_per_episode == 1u)];
        let scale = counts / f32(extent.batch);
        if (counts == 0.0) {
            for (var o = 0u; o < {{ outputs }}u; o++) {
                signal[at + o] = 0.0;
            }
            continue;
        }
{% with y = "output[at + o]", wanted_y = "target_of[at + o]", c = "signal[at + o]" %}
{% include "step_loss.wgsl" %}
{% endwith %}
        sum = fma(counts, step_loss, sum);
    }
    losses[loss_at] = sum;
}
