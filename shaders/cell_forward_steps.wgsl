{% from "head.wgsl" import head %}
{% from "cell_parts.wgsl" import initial_value %}
{% from "cell_tile.wgsl" import place, if_row, if_column, row_sum, of_modulator %}
// The outputs of a cell at all steps from `extent.step` to `extent.until`, and its traces after them. A workgroup does one
// episode, whose traces stay in registers.
//
//     y_i(t) = f(b_i + Σ_k U_ik u_k(t) + Σ_j (w_ij + α_ij h_ij(t)) x_j(t))
//     μ(t) = tanh(c + Σ_i v_i y_i(t))
//     h_ij(t+1) = bound(F(h_ij, e_ij, x_j, y_i, m_i, η_i, κ_ij))        e_ij(t+1) = E(…)
//
// input [P·B or B, T, row], output [P·B, T, output row], present and initial [trace and eligibility trace, P·B, O, J],
// kept [state, trace and eligibility trace, P·B, O, J]
{% include "extent.wgsl" %}

{% include "activation.wgsl" %}
{% if modulation.source == "network" and activation != "tanh" %}

{% include "hyperbolic_tangent.wgsl" %}
{% endif %}

{% include "cell.wgsl" %}

// Of lanes, sums over their columns.
var<workgroup> parts: array<f32, {{ tile.column_lanes * tile.stride }}>;
// After a step, and after the step before.
var<workgroup> activity: array<f32, {{ 2 * outputs }}>;
{% if modulation.source == "network" %}
var<workgroup> of_modulator: array<f32, {{ tile.adders }}>;
{% endif %}

{{ head("cell_forward_steps", tile.lanes) }}
    let episodes = extent.networks * extent.episodes;
    let episode = group.y * groups.x + group.x;
    if (episode >= episodes) {
        return;
    }
    let network = episode / extent.episodes;
    let parameters_at = network * {{ stride }}u;
{{ place(tile) }}
{% if plastic %}
    let plane = states_of_plane();
    let is_first = extent.first_step + extent.step == 0u;
{% for a in range(tile.rows) %}
{% for b in range(tile.columns) %}
    var h_{{ a }}_{{ b }} = 0.0;
    var e_{{ a }}_{{ b }} = 0.0;
    {{ if_row(tile, a) }} {{ if_column(tile, b) }}
        let at = (episode * {{ outputs }}u + i{{ a }}) * {{ presynaptic }}u + j{{ b }};
        if (is_first) {
            h_{{ a }}_{{ b }} = {{ initial_value(initial.trace, "at") }};
{% if eligibility %}
            e_{{ a }}_{{ b }} = {{ initial_value(initial.eligibility, "at") }};
{% endif %}
        } else {
            h_{{ a }}_{{ b }} = present[at];
{% if eligibility %}
            e_{{ a }}_{{ b }} = present[plane + at];
{% endif %}
        }
    } }
{% endfor %}
{% endfor %}
{% endif %}
{% if recurrent %}
    for (var i = local; i < {{ outputs }}u; i += {{ tile.lanes }}u) {
        activity[(extent.step + 1u) % 2u * {{ outputs }}u + i] = activity_in_memory(episode, extent.step, i);
    }
    workgroupBarrier();
{% endif %}
    for (var t = extent.step; t < extent.until; t++) {
        let now = t % 2u * {{ outputs }}u;
{% for b in range(tile.columns) %}
        var x{{ b }} = 0.0;
        {{ if_column(tile, b) }}
{% if not recurrent %}
            x{{ b }} = presynaptic(episode, t, j{{ b }});
{% elif plastic_bias %}
            x{{ b }} = 1.0;
            if (j{{ b }} < {{ outputs }}u) {
                x{{ b }} = activity[{{ outputs }}u - now + j{{ b }}];
            }
{% else %}
            x{{ b }} = activity[{{ outputs }}u - now + j{{ b }}];
{% endif %}
        }
{% endfor %}
{% for a in range(tile.rows) %}
        var sum{{ a }} = 0.0;
        {{ if_row(tile, a) }}
{% for b in range(tile.columns) %}
            {{ if_column(tile, b) }}
                let w = parameters[parameters_at + {{ weight_at }}u + i{{ a }} * {{ presynaptic }}u + j{{ b }}];
{% if plastic %}
                sum{{ a }} = fma(fma(plasticity(network, i{{ a }}, j{{ b }}), h_{{ a }}_{{ b }}, w), x{{ b }}, sum{{ a }});
{% else %}
                sum{{ a }} = fma(w, x{{ b }}, sum{{ a }});
{% endif %}
            }
{% endfor %}
        }
{% endfor %}
{% if input == "matrix" %}
        for (var k = column_lane; k < {{ inputs }}u; k += {{ tile.column_lanes }}u) {
            let u = input_of(episode, t, k);
{% for a in range(tile.rows) %}
            {{ if_row(tile, a) }}
                sum{{ a }} = fma(parameters[parameters_at + {{ input_weight_at }}u + i{{ a }} * {{ row }}u + k], u, sum{{ a }});
            }
{% endfor %}
        }
{% endif %}
{% for a in range(tile.rows) %}
        {{ if_row(tile, a) }}
            parts[column_lane * {{ tile.stride }}u + i{{ a }}] = sum{{ a }};
        }
{% endfor %}
        workgroupBarrier();
        for (var i = local; i < {{ outputs }}u; i += {{ tile.lanes }}u) {
            var z = {{ row_sum(tile, 0) }};
{% if bias_at is not none %}
            z += parameters[parameters_at + {{ bias_at }}u + i];
{% endif %}
{% if input == "identity" %}
            z += input_of(episode, t, i);
{% endif %}
            let y = activate(z);
            activity[now + i] = y;
            output[(episode * extent.steps + t) * {{ output_row }}u + i] = y;
        }
        workgroupBarrier();
{% if modulation.source == "network" %}
        if (local < {{ tile.adders }}u) {
            var sum = 0.0;
            for (var i = local; i < {{ outputs }}u; i += {{ tile.adders }}u) {
                sum = fma(parameters[parameters_at + {{ modulation.weight_at }}u + i], activity[now + i], sum);
            }
            of_modulator[local] = sum;
        }
        workgroupBarrier();
        let mu = hyperbolic_tangent(parameters[parameters_at + {{ modulation.bias_at }}u] + ({{ of_modulator(tile) }}));
        if (local == 0u) {
            modulators[t * episodes + episode] = mu;
        }
{% endif %}
{% if plastic %}
{% if kept %}
        // The reverse sweep begins anew from the states after some of the steps; the last is not one of them.
        let done = extent.first_step + t + 1u;
        let is_kept = done % {{ apart }}u == 0u && (t + 1u < extent.steps || extent.last_segment == 0u);
        let kept_at = (done / {{ apart }}u - 1u) * {{ states }}u * plane;
{% endif %}
{% for a in range(tile.rows) %}
        {{ if_row(tile, a) }}
{% set modulator = "mu" if modulation.source == "network" else "modulator_in_memory(episode, t, i" ~ a ~ ")" %}
            let row = synapse_of_row(network, i{{ a }}, activity[now + i{{ a }}], {{ modulator }});
{% for b in range(tile.columns) %}
            {{ if_column(tile, b) }}
                let next = updated(synapse(row, network, i{{ a }}, j{{ b }}, x{{ b }}, h_{{ a }}_{{ b }}, e_{{ a }}_{{ b }}));
                h_{{ a }}_{{ b }} = next.x;
{% if eligibility %}
                e_{{ a }}_{{ b }} = next.y;
{% endif %}
{% if kept %}
                if (is_kept) {
                    let at = kept_at + (episode * {{ outputs }}u + i{{ a }}) * {{ presynaptic }}u + j{{ b }};
                    kept[at] = next.x;
{% if eligibility %}
                    kept[at + plane] = next.y;
{% endif %}
                }
{% endif %}
            }
{% endfor %}
        }
{% endfor %}
{% endif %}
    }
{% if plastic %}
{% for a in range(tile.rows) %}
{% for b in range(tile.columns) %}
    {{ if_row(tile, a) }} {{ if_column(tile, b) }}
        let at = (episode * {{ outputs }}u + i{{ a }}) * {{ presynaptic }}u + j{{ b }};
        present[at] = h_{{ a }}_{{ b }};
{% if eligibility %}
        present[plane + at] = e_{{ a }}_{{ b }};
{% endif %}
    } }
{% endfor %}
{% endfor %}
{% endif %}
}
