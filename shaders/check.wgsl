// After a meta-step's gradients, and after `check_parts`: one workgroup a network sums its loss, and says whether the
// network failed and what scales its gradient. A network that fails is frozen from then on.
//
// losses [P, B], parts [P, parts], settings [P], states [P], progress [P]
{% include "extent.wgsl" %}
{% include "learning.wgsl" %}
{% include "finite.wgsl" %}

var<workgroup> sums: array<f32, {{ workgroup }}>;
var<workgroup> squares: array<f32, {{ workgroup }}>;
var<workgroup> peaks: array<f32, {{ workgroup }}>;
var<workgroup> failures: array<u32, {{ workgroup }}>;

@compute @workgroup_size({{ workgroup }})
fn check(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    // Workgroups beyond the last network repeat it and store nothing.
    let index = group.y * groups.x + group.x;
    let network = min(index, extent.networks - 1u);
    let learns = control[0].learn == 1u;
    let checked = select(0u, {{ parts }}u, learns);

    // The mean's terms, so that the sum does not overflow where the mean does not.
    var sum = 0.0;
    for (var b = local; b < extent.batch; b += {{ workgroup }}u) {
        sum += losses[network * extent.batch + b] / f32(extent.batch);
    }
    var failed = NONE;
    var peak = 0.0;
    for (var at = local; at < checked; at += {{ workgroup }}u) {
        let part = parts[network * {{ parts }}u + at];
        peak = max(peak, part.peak);
        failed = min(failed, part.failed);
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

    // The parts' squares, each from its own power of two to that of all; below 2^-63 they no longer count.
    let exponent = exponent_of(peak);
    var square = 0.0;
    for (var at = local; at < checked; at += {{ workgroup }}u) {
        let part = parts[network * {{ parts }}u + at];
        let lower = min(exponent - exponent_of(part.peak), 63u);
        square = fma(part.square, power_of_two(127u - 2u * lower), square);
    }
    squares[local] = square;
    workgroupBarrier();
    for (var width = {{ workgroup // 2 }}u; width > 0u; width /= 2u) {
        if (local < width) {
            squares[local] += squares[local + width];
        }
        workgroupBarrier();
    }

    if (local == 0u && index < extent.networks) {
        let most = settings[network].settings.max_gradient_norm;
        var state = states[network];
        let done = progress[network].meta_steps;
        if (state.failed == NONE && failed != NONE) {
            state.failed = failed;
            state.failed_at = control[0].first_meta_step + done;
        }
        state.scale = select(1.0, scale_to_norm(most, squares[0], exponent), most < LARGEST && peak > 0.0);
        if (learns && state.failed == NONE) {
            state.updates += 1u;
        }
        states[network] = state;
        progress[network] = Progress(done + 1u, progress[network].loss + loss);
    }
}
