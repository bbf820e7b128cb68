// The forward sweep of one layer. {{ lanes }} lanes own one row of synapses of one episode; a lane keeps
// {{ 4 * quads }} synapses in registers for all steps.
//
//     y_i(t)    = f(b_i + Σ_j (w_ij + α_ij H_ij(t)) x_j(t))
//     H_ij(t+1) = d_i(t) H_ij(t) + g_i(t) x_j(t)
//
// input [P·B, T, row], output and drive [P·B, T, output row], traces [slot, P·B, O, row]
{% include "extent.wgsl" %}

{% include "activation.wgsl" %}

{% if plastic %}
{% include "rule.wgsl" %}

{% endif %}
{% include "row_sum.wgsl" %}

@compute @workgroup_size({{ workgroup }})
fn forward(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let rows = extent.networks * extent.episodes * {{ outputs }}u;
    let index = (group.y * groups.x + group.x) * {{ workgroup // lanes }}u + local / {{ lanes }}u;
    let lane = local % {{ lanes }}u;
    // No early return: lanes beyond the last row repeat it and store nothing.
    let row = min(index, rows - 1u);
    let stores = index < rows && lane == 0u;
    let i = row % {{ outputs }}u;
    let episode = row / {{ outputs }}u;
    let network = episode / extent.episodes;
{% include "row_parameters.wgsl" %}
{% if plastic %}
{% if trace_in or trace_out %}
    let trace_rows = rows * {{ row // 4 }}u;
    let trace_at = row * {{ row // 4 }}u + lane;
{% endif %}
{% for q in range(quads) %}
    var h{{ q }} = {% if trace_in %}traces[extent.trace_start * trace_rows + trace_at + {{ q * lanes }}u]{% else %}vec4<f32>(){% endif %};
{% endfor %}
{% endif %}

    for (var t = 0u; t < extent.steps; t++) {
        let step = episode * extent.steps + t;
        let input_at = step * {{ row // 4 }}u + lane;
{% for q in range(quads) %}
        let x{{ q }} = input[input_at + {{ q * lanes }}u];
{% endfor %}
        var fixed = w0 * x0;
{% for q in range(1, quads) %}
        fixed = fma(w{{ q }}, x{{ q }}, fixed);
{% endfor %}
{% if plastic %}
        var plastic = a0 * h0 * x0;
{% for q in range(1, quads) %}
        plastic = fma(a{{ q }} * h{{ q }}, x{{ q }}, plastic);
{% endfor %}
{% endif %}
{% if drive %}
        // The first sum is that of the variant without a drive, so that both give the same output bit for bit.
        let sums = row_sum(vec2<f32>(total(fixed + plastic), total(plastic)), local, t);
        let y = activate(bias + sums.x);
{% elif plastic %}
        let y = activate(bias + row_sum(total(fixed + plastic), local, t));
{% else %}
        let y = activate(bias + row_sum(total(fixed), local, t));
{% endif %}
        if (stores) {
            output[step * {{ output_row }}u + i] = y;
{% if drive %}
            drive[step * {{ output_row }}u + i] = sums.y;
{% endif %}
        }
{% if plastic %}
        let d = retention(y, rate);
        let g = gain(y, rate);
{% for q in range(quads) %}
        h{{ q }} = fma(vec4<f32>(g), x{{ q }}, d * h{{ q }});
{% endfor %}
{% endif %}
    }
{% if plastic and trace_out %}

    if (index < rows) {
{% for q in range(quads) %}
        traces[extent.trace_end * trace_rows + trace_at + {{ q * lanes }}u] = h{{ q }};
{% endfor %}
    }
{% endif %}
}
