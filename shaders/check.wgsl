// After a meta-step's gradients: one workgroup a network sums its loss, looks for values that are not finite, and takes the
// norm of its gradient. A network that fails is frozen from then on.
//
// losses [P, B], gradients [P, parameters], kinds [parameters] (tensor, role), settings [P], states [P], progress [P]
{% include "extent.wgsl" %}
{% include "learning.wgsl" %}
{% include "finite.wgsl" %}

var<workgroup> sums: array<f32, {{ workgroup }}>;
var<workgroup> peaks: array<f32, {{ workgroup }}>;
var<workgroup> failures: array<u32, {{ workgroup }}>;

@compute @workgroup_size({{ workgroup }})
fn check(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    // One workgroup may be more than there are networks: it repeats the last one and stores nothing.
    let index = group.y * groups.x + group.x;
    let network = min(index, extent.networks - 1u);
    let learns = control[0].learn == 1u;
    let checked = select(0u, {{ stride }}u, learns);

    // The mean's terms, so that the sum does not overflow where the mean does not.
    var sum = 0.0;
    for (var b = local; b < extent.batch; b += {{ workgroup }}u) {
        sum += losses[network * extent.batch + b] / f32(extent.batch);
    }
    // The first tensor, in order, with a value that is not finite; NONE where all are.
    var failed = NONE;
    var peak = 0.0;
    for (var at = local; at < checked; at += {{ workgroup }}u) {
        let kind = kinds[at];
        let value = gradients[network * {{ stride }}u + at];
        if (kind.y != FIXED) {
            if (is_finite(value)) {
                peak = max(peak, abs(value));
            } else {
                failed = min(failed, kind.x);
            }
        }
    }
    sums[local] = sum;
    peaks[local] = peak;
    failures[local] = failed;
    workgroupBarrier();
    for (var width = {{ workgroup // 2 }}u; width > 0u; width /= 2u) {
        if (local < width) {
            sums[local] += sums[local + width];
            peaks[local] = max(peaks[local], peaks[local + width]);
            failures[local] = min(failures[local], failures[local + width]);
        }
        workgroupBarrier();
    }
    let loss = sums[0];
    failed = select(LOSS, failures[0], is_finite(loss));
    peak = peaks[0];
    workgroupBarrier();

    // Divided by the largest element first, so that squares do not overflow.
    var square = 0.0;
    for (var at = local; at < checked; at += {{ workgroup }}u) {
        if (kinds[at].y != FIXED && peak > 0.0) {
            let value = gradients[network * {{ stride }}u + at] / peak;
            square = fma(value, value, square);
        }
    }
    sums[local] = square;
    workgroupBarrier();
    for (var width = {{ workgroup // 2 }}u; width > 0u; width /= 2u) {
        if (local < width) {
            sums[local] += sums[local + width];
        }
        workgroupBarrier();
    }

    if (local == 0u && index < extent.networks) {
        let largest = settings[network].max_gradient_norm;
        // In this form neither the product nor the quotient overflows.
        let part = largest / peak / sqrt(sums[0]);
        var state = states[network];
        let done = progress[network].meta_steps;
        if (state.failed == NONE && failed != NONE) {
            state.failed = failed;
            state.failed_at = control[0].first_meta_step + done;
        }
        state.scale = select(1.0, min(part, 1.0), peak > 0.0);
        if (learns && state.failed == NONE) {
            state.updates += 1u;
        }
        states[network] = state;
        progress[network] = Progress(done + 1u, progress[network].loss + loss);
    }
}
