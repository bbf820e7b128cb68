{% from "head.wgsl" import head %}
{% from "tree.wgsl" import tree %}
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

{{ head("check_parts", workgroup) }}
    // Workgroups beyond the last part repeat it and store nothing.
    let index = group.y * groups.x + group.x;
    let part = min(index, extent.networks * {{ parts }}u - 1u);
    let network = part / {{ parts }}u;
    let gradients_at = network * {{ stride }}u;
    let first = part % {{ parts }}u * {{ part }}u;
    let end = min(first + {{ part }}u, {{ stride }}u);

    var found = Found(0.0, NONE);
    for (var at = first + local; at < end; at += {{ workgroup }}u) {
        let tensor = kinds[at].x;
        let is_learned = settings[network].factors[tensor] != 0.0;
        found = look(found, gradients[gradients_at + at], tensor, is_learned);
    }
    peaks[local] = found.peak;
    failures[local] = found.failed;
{% call tree(workgroup) %}
            peaks[local] = max(peaks[local], peaks[local + width]);
            failures[local] = min(failures[local], failures[local + width]);
{% endcall %}

    let peak = peaks[0];

    let inverse = inverse_power_of_two(exponent_of(peak));
    var square = 0.0;
    for (var at = first + local; at < end; at += {{ workgroup }}u) {
        let value = gradients[gradients_at + at] * inverse;
        if (settings[network].factors[kinds[at].x] != 0.0) {
            square = fma(value, value, square);
        }
    }
    squares[local] = square;
{% call tree(workgroup) %}
            squares[local] += squares[local + width];
{% endcall %}

    if (local == 0u && index == part) {
        parts[part] = Part(peak, squares[0], failures[0]);
    }
}
