{% from "head.wgsl" import head %}
{% from "cell_tile.wgsl" import place, if_row, if_column, row_sum, of_modulator %}
// Goes back over the steps of a cell from before `extent.until` to `extent.step`, before each of which its traces are known. A
// workgroup does one episode, whose gradients stay in registers.
//
//     σ = (1 − μ²) Σ_i φ_i ∂L/∂m_i        δ_i = (c_i + γ_i + Σ_j [y]_ij + σ v_i) f'(y_i)
//     λ ← [h]_ij + α_ij δ_i x_j        ε ← [e]_ij        ∂L/∂α_ij += δ_i x_j h_ij        ∂L/∂κ_ij += [κ]_ij
//     γ_j ← ∂L/∂x_j = Σ_i (δ_i (w_ij + α_ij h_ij) + [x]_ij),    where [z] = λ ∂F/∂z + ε ∂E/∂z
//
// output and signal [P·B, T, output row], input_signal [P·B, T, row], modulators and modulator_signal [T, P·B, 1 or O],
// replayed [state, trace and eligibility trace, P·B, O, J], adjoint [plane, P·B, O, J] then [plane, P·B, O]
{# Planes of rows that are sums over steps come after the first ones. #}
{% macro accumulate(plane, value) %}
        of_rows[{{ (plane - row_planes.first_sum) * outputs }}u + i] += {{ value }};
{% endmacro %}
{# The sum so far of a plane; where there is nothing, zero. #}
{% macro so_far(at) -%}
select(adjoint[{{ at }}], 0.0, is_end)
{%- endmacro %}
{% include "extent.wgsl" %}

{% include "activation.wgsl" %}

{% include "cell.wgsl" %}
{% if plastic %}

{% include "cell_adjoint.wgsl" %}

// Of lanes, sums over their columns of what each row has: {{ row_sums | join(", ") }}.
var<workgroup> parts: array<f32, {{ row_sums | length * tile.column_lanes * tile.stride }}>;
{% endif %}
{% if needs.columns %}
// Of lanes, sums over their rows of what each column has.
var<workgroup> column_parts: array<f32, {{ tile.row_lanes * presynaptic }}>;
{% endif %}
{% if recurrent %}
var<workgroup> passed_back: array<f32, {{ outputs }}>;
{% endif %}
var<workgroup> delta_of: array<f32, {{ outputs }}>;
{% if sums_of_rows > 0 %}
var<workgroup> of_rows: array<f32, {{ sums_of_rows * outputs }}>;
{% endif %}
{% if modulation.source == "network" or modulator_signal == "layer" %}
var<workgroup> of_modulator: array<f32, {{ tile.adders }}>;
{% endif %}

{{ head("cell_backward_steps", tile.lanes) }}
    let episodes = extent.networks * extent.episodes;
    let episode = group.y * groups.x + group.x;
    let end = min(extent.until, extent.done);
    if (episode >= episodes || extent.step >= end) {
        return;
    }
    let is_end = end == extent.done && extent.last_segment == 1u;
    let network = episode / extent.episodes;
    let parameters_at = network * {{ stride }}u;
    let plane = states_of_plane();
    let rows = episodes * {{ outputs }}u;
    let rows_at = {{ planes }}u * plane + episode * {{ outputs }}u;
{{ place(tile) }}
{% if plastic %}
{% for a in range(tile.rows) %}
{% for b in range(tile.columns) %}
{% set ab = "_" ~ a ~ "_" ~ b %}
    var trace{{ ab }} = 0.0;
    var eligibility{{ ab }} = 0.0;
    var plasticity{{ ab }} = 0.0;
{% for it in coefficients %}
    var k{{ loop.index0 }}{{ ab }} = 0.0;
{% endfor %}
    {{ if_row(tile, a) }} {{ if_column(tile, b) }}
        let at = (episode * {{ outputs }}u + i{{ a }}) * {{ presynaptic }}u + j{{ b }};
        trace{{ ab }} = {% if upstream.trace %}adjoint[at]{% else %}{{ so_far("at") }}{% endif %};
{% if eligibility %}
        eligibility{{ ab }} = {% if upstream.eligibility %}adjoint[plane + at]{% else %}{{ so_far("plane + at") }}{% endif %};
{% endif %}
        plasticity{{ ab }} = {{ so_far(planes_of.plasticity ~ "u * plane + at") }};
{% for it in coefficients %}
        k{{ loop.index0 }}{{ ab }} = {{ so_far((planes_of.coefficients + loop.index0) ~ "u * plane + at") }};
{% endfor %}
    } }
{% endfor %}
{% endfor %}
{% endif %}
    for (var i = local; i < {{ outputs }}u; i += {{ tile.lanes }}u) {
{% if recurrent %}
        let activity_at = rows_at + {{ row_planes.activity }}u * rows + i;
        passed_back[i] = {% if upstream.activity %}adjoint[activity_at]{% else %}{{ so_far("activity_at") }}{% endif %};
{% endif %}
{% for sum in range(sums_of_rows) %}
        of_rows[{{ sum * outputs }}u + i] = {{ so_far("rows_at + " ~ (sum + row_planes.first_sum) ~ "u * rows + i") }};
{% endfor %}
    }
    for (var t = end; t > extent.step;) {
        t--;
{% if plastic or needs.columns %}
{% for b in range(tile.columns) %}
        var x{{ b }} = 0.0;
        {{ if_column(tile, b) }}
            x{{ b }} = presynaptic(episode, t, j{{ b }});
        }
{% endfor %}
{% endif %}
{% if plastic %}
        let replayed_at = t % {{ apart }}u * {{ states }}u * plane + episode * {{ outputs * presynaptic }}u;
{% for a in range(tile.rows) %}
        var row{{ a }}: Synapse;
        var sum{{ a }} = vec3<f32>();
        {{ if_row(tile, a) }}
            row{{ a }} = row_in_memory(network, episode, t, i{{ a }});
        }
{% for b in range(tile.columns) %}
{% set ab = "_" ~ a ~ "_" ~ b %}
        var h{{ ab }} = 0.0;
        var e{{ ab }} = 0.0;
        {{ if_row(tile, a) }} {{ if_column(tile, b) }}
            let at = replayed_at + i{{ a }} * {{ presynaptic }}u + j{{ b }};
            h{{ ab }} = replayed[at];
{% if eligibility %}
            e{{ ab }} = replayed[plane + at];
{% endif %}
            let s = synapse(row{{ a }}, network, i{{ a }}, j{{ b }}, x{{ b }}, h{{ ab }}, e{{ ab }});
            trace{{ ab }} = within_bound(s, trace{{ ab }});
            sum{{ a }} += pull_row(s, trace{{ ab }}, eligibility{{ ab }});
        } }
{% endfor %}
        {{ if_row(tile, a) }}
{% for sum in row_sums %}
            parts[({{ loop.index0 * tile.column_lanes }}u + column_lane) * {{ tile.stride }}u + i{{ a }}] = sum{{ a }}.{{ {"postsynaptic": "x", "modulator": "y", "rate": "z"}[sum] }};
{% endfor %}
        }
{% endfor %}
        workgroupBarrier();
{% endif %}
{% if modulation.source == "network" or modulator_signal == "layer" %}
        if (local < {{ tile.adders }}u) {
            var sum = 0.0;
            for (var i = local; i < {{ outputs }}u; i += {{ tile.adders }}u) {
                let by_modulator = {{ row_sum(tile, 1) }};
{% if modulation.source == "network" and modulation.per == "neuron" %}
                sum = fma(parameters[parameters_at + {{ modulation.fan_out_weight_at }}u + i], by_modulator, sum);
{% else %}
                sum += by_modulator;
{% endif %}
            }
            of_modulator[local] = sum;
        }
        workgroupBarrier();
{% endif %}
{% if modulation.source == "network" %}
        let mu = modulators[t * episodes + episode];
        let sigma = ({{ of_modulator(tile) }}) * ((1.0 - mu) * (1.0 + mu));
{% elif modulator_signal == "layer" %}
        if (local == 0u) {
            modulator_signal[t * episodes + episode] = {{ of_modulator(tile) }};
        }
{% endif %}
        for (var i = local; i < {{ outputs }}u; i += {{ tile.lanes }}u) {
            let here = (episode * extent.steps + t) * {{ output_row }}u + i;
            let y = output[here];
            var c = signal[here];
{% if recurrent %}
            c += passed_back[i];
{% endif %}
{% for sum in row_sums %}
            let by_{{ sum }} = {{ row_sum(tile, loop.index0) }};
{% endfor %}
{% include "cell_row_signal.wgsl" %}
            delta_of[i] = delta;
        }
{% if plastic or needs.columns %}
        workgroupBarrier();
{% for b in range(tile.columns) %}
        var column{{ b }} = 0.0;
{% endfor %}
{% for a in range(tile.rows) %}
        {{ if_row(tile, a) }}
            let delta = delta_of[i{{ a }}];
{% for b in range(tile.columns) %}
{% set ab = "_" ~ a ~ "_" ~ b %}
            {{ if_column(tile, b) }}
{% if needs.columns %}
                let w = parameters[parameters_at + {{ weight_at }}u + i{{ a }} * {{ presynaptic }}u + j{{ b }}];
{% endif %}
{% if plastic %}
                let a = plasticity(network, i{{ a }}, j{{ b }});
                let s = synapse(row{{ a }}, network, i{{ a }}, j{{ b }}, x{{ b }}, h{{ ab }}, e{{ ab }});
                let pulled = pull(s, trace{{ ab }}, eligibility{{ ab }});
                let by_weight = delta * x{{ b }};
                trace{{ ab }} = fma(a, by_weight, pulled.trace);
{% if eligibility %}
                eligibility{{ ab }} = pulled.eligibility;
{% endif %}
                plasticity{{ ab }} = fma(by_weight, h{{ ab }}, plasticity{{ ab }});
{% for it in coefficients %}
                k{{ loop.index0 }}{{ ab }} += pulled.k{{ loop.index0 }};
{% endfor %}
{% if needs.columns %}
                column{{ b }} += fma(delta, fma(a, h{{ ab }}, w), pulled.presynaptic);
{% endif %}
{% else %}
                column{{ b }} = fma(delta, w, column{{ b }});
{% endif %}
            }
{% endfor %}
        }
{% endfor %}
{% endif %}
{% if needs.columns %}
{% for b in range(tile.columns) %}
        {{ if_column(tile, b) }}
            column_parts[row_lane * {{ presynaptic }}u + j{{ b }}] = column{{ b }};
        }
{% endfor %}
        workgroupBarrier();
        for (var j = local; j < {{ neurons }}u; j += {{ tile.lanes }}u) {
            var sum = column_parts[j];
{% for r in range(1, tile.row_lanes) %}
            sum += column_parts[{{ r * presynaptic }}u + j];
{% endfor %}
{% if recurrent %}
            passed_back[j] = sum;
{% else %}
            input_signal[(episode * extent.steps + t) * {{ row }}u + j] = sum;
{% endif %}
        }
{% endif %}
{% if needs.columns and not plastic %}
        // A step begins with what the one before read.
        workgroupBarrier();
{% endif %}
    }
{% if plastic %}
{% for a in range(tile.rows) %}
{% for b in range(tile.columns) %}
{% set ab = "_" ~ a ~ "_" ~ b %}
    {{ if_row(tile, a) }} {{ if_column(tile, b) }}
        let at = (episode * {{ outputs }}u + i{{ a }}) * {{ presynaptic }}u + j{{ b }};
        adjoint[at] = trace{{ ab }};
{% if eligibility %}
        adjoint[plane + at] = eligibility{{ ab }};
{% endif %}
        adjoint[{{ planes_of.plasticity }}u * plane + at] = plasticity{{ ab }};
{% for it in coefficients %}
        adjoint[{{ planes_of.coefficients + loop.index0 }}u * plane + at] = k{{ loop.index0 }}{{ ab }};
{% endfor %}
    } }
{% endfor %}
{% endfor %}
{% endif %}
{% if recurrent %}
    workgroupBarrier();
{% endif %}
    for (var i = local; i < {{ outputs }}u; i += {{ tile.lanes }}u) {
{% if recurrent %}
        adjoint[rows_at + {{ row_planes.activity }}u * rows + i] = passed_back[i];
{% endif %}
{% for sum in range(sums_of_rows) %}
        adjoint[rows_at + {{ sum + row_planes.first_sum }}u * rows + i] = of_rows[{{ sum * outputs }}u + i];
{% endfor %}
    }
}
