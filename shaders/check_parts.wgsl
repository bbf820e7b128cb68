// After a meta-step's gradients: one workgroup for {{ part }} parameters of a network looks for values that are not finite,
// and takes their part of the gradient's norm.
//
// gradients [P, parameters], kinds [parameters] (tensor, role), settings [P], parts [P, parts]
{% include "extent.wgsl" %}
{% include "learning.wgsl" %}
{% include "finite.wgsl" %}

var<workgroup> squares: array<f32, {{ workgroup }}>;
var<workgroup> peaks: array<f32, {{ workgroup }}>;
var<workgroup> failures: array<u32, {{ workgroup }}>;

@compute @workgroup_size({{ workgroup }})
fn check_parts(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    // Workgroups beyond the last part repeat it and store nothing.
    let index = group.y * groups.x + group.x;
    let part = min(index, extent.networks * {{ parts }}u - 1u);
    let network = part / {{ parts }}u;
    let gradients_at = network * {{ stride }}u;
    let first = part % {{ parts }}u * {{ part }}u;
    let end = min(first + {{ part }}u, {{ stride }}u);

    // The first tensor, in order, with a value that is not finite; NONE where all are.
    var failed = NONE;
    var peak = 0.0;
    for (var at = first + local; at < end; at += {{ workgroup }}u) {
        let kind = kinds[at];
        let value = gradients[gradients_at + at];
        if (settings[network].factors[kind.x] != 0.0) {
            if (is_finite(value)) {
                peak = max(peak, abs(value));
            } else {
                failed = min(failed, kind.x);
            }
        }
    }
    peaks[local] = peak;
    failures[local] = failed;
    workgroupBarrier();
    for (var width = {{ workgroup // 2 }}u; width > 0u; width /= 2u) {
        if (local < width) {
            peaks[local] = max(peaks[local], peaks[local + width]);
            failures[local] = min(failures[local], failures[local + width]);
        }
        workgroupBarrier();
    }
    peak = peaks[0];

    let inverse = inverse_power_of_two(exponent_of(peak));
    var square = 0.0;
    for (var at = first + local; at < end; at += {{ workgroup }}u) {
        let value = gradients[gradients_at + at] * inverse;
        if (settings[network].factors[kinds[at].x] != 0.0) {
            square = fma(value, value, square);
        }
    }
    squares[local] = square;
    workgroupBarrier();
    for (var width = {{ workgroup // 2 }}u; width > 0u; width /= 2u) {
        if (local < width) {
            squares[local] += squares[local + width];
        }
        workgroupBarrier();
    }
    if (local == 0u && index == part) {
        parts[part] = Part(peak, squares[0], failures[0]);
    }
}
