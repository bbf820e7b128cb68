{% from "head.wgsl" import each %}
// The loss of each step, and the gradient on its output, scaled for the mean over the batch; a lane does one step of one
// episode.
//
// output and signal [P·B, T, output row]; target [P·B or B, T, output row]; mask [T], [P·B, T] or [B, T];
// step_losses [P, T, B]
{% include "extent.wgsl" %}
{% include "given.wgsl" %}

{{ each("loss", workgroup, "step", "extent.networks * extent.episodes * extent.steps") }}
    let episode = step / extent.steps;
    let t = step % extent.steps;
    let network = episode / extent.episodes;
    let within = episode % extent.episodes;
    let loss_at = (network * extent.steps + t) * extent.episodes + within;
    let at = step * {{ output_row }}u;
    let target_at = (given_at(extent.targets, network, extent.episodes, within) * extent.steps + t) * {{ output_row }}u;
    let own_mask = given_at(extent.masks, network, extent.episodes, within) * extent.steps + t;
    let counts = mask[select(own_mask, t, extent.masks == 0u)];
    if (counts == 0.0) {
        for (var o = 0u; o < {{ outputs }}u; o++) {
            signal[at + o] = 0.0;
        }
        step_losses[loss_at] = 0.0;
        return;
    }
    let scale = counts / f32(extent.batch);
{% with y = "output[at + o]", wanted_y = "target_of[target_at + o]", c = "signal[at + o]" %}
{% include "step_loss.wgsl" %}
{% endwith %}
    step_losses[loss_at] = counts * step_loss;
}
