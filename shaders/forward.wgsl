{% from "tile.wgsl" import each_row %}
{% set m = "m" if modulated else "1.0" %}
// The forward sweep of one layer. {{ lanes }} lanes own a tile of {{ rows }} rows of synapses of one episode; a lane keeps
// {{ 4 * quads }} synapses of each row in registers for all steps.
//
//     y_i(t)    = f(b_i + Σ_j (w_ij + α_ij H_ij(t)) x_j(t))
//     H_ij(t+1) = d_i(t) H_ij(t) + g_i(t) x_j(t)
//
// input [P·B or B, T, row], output and drive [P·B, T, output row], traces [slot, P·B, O, row],
// scaled [P·B, O, row] then [P·B, O, 4]; where there are modulators, [T, P·B, 1 or O], the drive follows them
{% include "extent.wgsl" %}

{% include "activation.wgsl" %}

{% if plastic %}
{% include "rule.wgsl" %}

{% endif %}
{% include "row_sum.wgsl" %}
{% include "of_rows.wgsl" %}

@compute @workgroup_size({{ workgroup }})
fn forward(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let tiles = extent.networks * extent.episodes * {{ tiles }}u;
    let index = (group.y * groups.x + group.x) * {{ workgroup // lanes }}u + local / {{ lanes }}u;
    let lane = local % {{ lanes }}u;
    // No early return: lanes beyond the last tile repeat it and store nothing.
    let tile = min(index, tiles - 1u);
    let episode = tile / {{ tiles }}u;
    let network = episode / extent.episodes;
    let i0 = tile % {{ tiles }}u * {{ rows }}u;
{% for r in range(1, rows) %}
    let i{{ r }} = i0 + {{ r }}u;
{% endfor %}
    // Every lane does what a row needs beside its synapses for one of the rows; the first lanes store it.
    let i = i0 + lane % {{ rows }}u;
    let stores = index < tiles && lane < {{ rows }}u;
{% include "row_parameters.wgsl" %}
    // A row's sum starts with its bias in one of its lanes.
{% for r in range(rows) %}
    let start{{ r }} = {% if lanes > 1 %}select(0.0, bias, lane == {{ r }}u){% else %}bias{% endif %};
{% endfor %}
{% if plastic %}
{% if trace_in or trace_out or kept or stepwise %}
    let trace_rows = extent.networks * extent.episodes * {{ outputs * row // 4 }}u;
{% for r in range(rows) %}
    let trace_at{{ r }} = (episode * {{ outputs }}u + i{{ r }}) * {{ row // 4 }}u + lane;
{% endfor %}
{% endif %}
{% if steady %}
    // This rule's retention is the same at every step.
    let d = retention(0.0, 1.0, rate);
{% endif %}
{% if modulated %}
    let episodes = extent.networks * extent.episodes;
{% if drive %}
    let drive_at = extent.steps * episodes * {{ modulators }}u;
{% endif %}
{% endif %}
    // H = scale · h: the retention of a step is taken into the row's scale, so that a step changes each synapse once.
{% for r in range(rows) %}
{% for q in range(quads) %}
    var h{{ r }}_{{ q }} = {% if trace_in %}traces[extent.trace_start * trace_rows + trace_at{{ r }} + {{ q * lanes }}u]{% else %}vec4<f32>(){% endif %};
{% endfor %}
{% endfor %}
    var scale = 1.0;
{% if cut or stepwise %}
    if ({{ "extent.first_segment == 0u" if cut else "extent.step > 0u" }}) {
{% for r in range(rows) %}
{% for q in range(quads) %}
        h{{ r }}_{{ q }} = scaled[trace_at{{ r }} + {{ q * lanes }}u];
{% endfor %}
{% endfor %}
        scale = scaled[trace_rows + episode * {{ outputs }}u + i].x;
{% if cut %}
        {{ each_row("scale", rows) }}
        if (index < tiles) {
{% for r in range(rows) %}
{% for q in range(quads) %}
            traces[extent.trace_start * trace_rows + trace_at{{ r }} + {{ q * lanes }}u] = scale{{ r }} * h{{ r }}_{{ q }};
{% endfor %}
{% endfor %}
        }
{% endif %}
    }
{% endif %}
{% endif %}

    // The presynaptic activity is loaded a step ahead.
    let first_step = episode * extent.steps;
{% include "first_input.wgsl" %}
{% set first = "extent.step" if stepwise else "0u" %}
{% set end = "extent.step + 1u" if stepwise else "extent.steps" %}
{% for q in range(quads) %}
    var next_x{{ q }} = input[{{ "(first_input + extent.step)" if stepwise else "first_input" }} * {{ row // 4 }}u + lane + {{ q * lanes }}u];
{% endfor %}
    for (var t = {{ first }}; t < {{ end }}; t++) {
        let step = first_step + t;
        let next_at = (first_input + min(t + 1u, {{ "extent.step" if stepwise else "extent.steps - 1u" }})) * {{ row // 4 }}u + lane;
{% for q in range(quads) %}
        let x{{ q }} = next_x{{ q }};
        next_x{{ q }} = input[next_at + {{ q * lanes }}u];
{% endfor %}
{% for r in range(rows) %}
{% for q in range(quads) %}
{% for c in parts_of_quad %}
{% if loop.first and q == 0 %}
        var fixed{{ r }} = fma(w{{ r }}_{{ q }}.{{ c }}, x{{ q }}.{{ c }}, start{{ r }});
{% if plastic %}
        var plastic{{ r }} = a{{ r }}_{{ q }}.{{ c }} * (h{{ r }}_{{ q }}.{{ c }} * x{{ q }}.{{ c }});
{% endif %}
{% else %}
        fixed{{ r }} = fma(w{{ r }}_{{ q }}.{{ c }}, x{{ q }}.{{ c }}, fixed{{ r }});
{% if plastic %}
        plastic{{ r }} = fma(a{{ r }}_{{ q }}.{{ c }}, h{{ r }}_{{ q }}.{{ c }} * x{{ q }}.{{ c }}, plastic{{ r }});
{% endif %}
{% endif %}
{% endfor %}
{% endfor %}
{% endfor %}
{% if modulated %}
        let m = modulators[(t * episodes + episode) * {{ modulators }}u{% if modulators > 1 %} + i{% endif %}];
{% endif %}
        let sums = row_sum({% for r in range(rows) %}fixed{{ r }}, {% endfor %}{% if plastic %}{% for r in range(rows) %}plastic{{ r }}, {% endfor %}{% endif %}local, t);
{% if plastic %}
{% if drive %}
        let driven = scale * sums.y;
{% endif %}
        let y = activate(fma(scale, sums.y, sums.x));
{% else %}
        let y = activate(sums);
{% endif %}
        if (stores) {
            output[step * {{ output_row }}u + i] = y;
{% if drive %}
            {% if modulated %}modulators[drive_at + {% else %}drive[{% endif %}step * {{ output_row }}u + i] = driven;
{% endif %}
        }
{% if plastic %}
        // A scale that grows too small or too large goes back into the trace, as does one that is zero or no number.
{% if not steady %}
        let d = retention(y, {{ m }}, rate);
{% endif %}
        let retained = scale * d;
        let keeps = abs(retained) >= {{ least_scale }} && abs(retained) <= {{ most_scale }};
        scale = select(1.0, retained, keeps);
        let push = gain(y, {{ m }}, rate) / scale;
        let back = select(retained, 1.0, keeps);
        {{ each_row("push", rows) }}
        {{ each_row("back", rows) }}
        if ({% for r in range(rows) %}{{ " || " if r else "" }}back{{ r }} != 1.0{% endfor %}) {
{% for r in range(rows) %}
{% for q in range(quads) %}
            h{{ r }}_{{ q }} *= back{{ r }};
{% endfor %}
{% endfor %}
        }
{% for r in range(rows) %}
{% for q in range(quads) %}
        h{{ r }}_{{ q }} = fma(vec4<f32>(push{{ r }}), x{{ q }}, h{{ r }}_{{ q }});
{% endfor %}
{% endfor %}
{% if kept %}
        // The reverse sweep makes S afresh from the trace after some of the steps; the last is not one of them.
        let done = extent.first_step + t + 1u;
        if (done % {{ checkpoint }}u == 0u && (t + 1u < extent.steps || extent.last_segment == 0u)) {
            let kept_at = ({{ first_kept }}u + done / {{ checkpoint }}u - 1u - extent.first_step / {{ checkpoint }}u) * trace_rows;
            {{ each_row("scale", rows) }}
            if (index < tiles) {
{% for r in range(rows) %}
{% for q in range(quads) %}
                traces[kept_at + trace_at{{ r }} + {{ q * lanes }}u] = scale{{ r }} * h{{ r }}_{{ q }};
{% endfor %}
{% endfor %}
            }
        }
{% endif %}
{% endif %}
    }
{% if plastic and trace_out %}

    {{ each_row("scale", rows) }}
    if (index < tiles{% if stepwise %} && extent.step + 1u == extent.steps{% endif %}) {
{% for r in range(rows) %}
{% for q in range(quads) %}
        traces[extent.trace_end * trace_rows + trace_at{{ r }} + {{ q * lanes }}u] = scale{{ r }} * h{{ r }}_{{ q }};
{% endfor %}
{% endfor %}
    }
{% endif %}
{% if plastic and (cut or stepwise) %}
    if (index < tiles) {
{% for r in range(rows) %}
{% for q in range(quads) %}
        scaled[trace_at{{ r }} + {{ q * lanes }}u] = h{{ r }}_{{ q }};
{% endfor %}
{% endfor %}
    }
    if (stores) {
        scaled[trace_rows + episode * {{ outputs }}u + i] = vec4<f32>(scale, 0.0, 0.0, 0.0);
    }
{% endif %}
}
