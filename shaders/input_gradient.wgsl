{% from "head.wgsl" import each %}
{# The modulator of row `r` of the four at step `t`. #}
{% macro modulator(r) %}{% if modulated %}modulators[(t * episodes + episode) * {{ modulators }}u{% if modulators > 1 %} + i{{ r }}{% endif %}]{% else %}1.0{% endif %}{% endmacro %}
// The gradient on a layer's presynaptic activity. A lane owns four columns of one episode and goes over the rows four at
// a time: a forward sweep makes H again for the first sum, a reverse sweep the adjoint trace M for the second.
//
//     ∂L/∂x_j(t) = Σ_i δ_i(t) (w_ij + α_ij H_ij(t)) + Σ_i g_i(t) G_ij(t+1)
//
// input [P·B or B, T, row]; input_signal [P·B, T, row]; output and signal [P·B, T, output row], zero beyond the last
// neuron; modulators [T, P·B, 1 or O]; traces [slot, P·B, O, row] with Ḡ, if there is one, in slot 0; adjoint [slot, P·B, O, row] then [slot, P·B, O, 4]
{% include "extent.wgsl" %}

{% if plastic %}
{% include "rule.wgsl" %}

{% endif %}
{{ each("input_gradient", workgroup, "index", "extent.networks * extent.episodes * " ~ row // 4 ~ "u") }}
    let column = index % {{ row // 4 }}u;
    let episode = index / {{ row // 4 }}u;
    let network = episode / extent.episodes;
    let at = network * {{ stride // 4 }}u;
    let first_step = episode * extent.steps;
{% if plastic %}
{% include "first_input.wgsl" %}
{% endif %}
{% if modulated %}
    let episodes = extent.networks * extent.episodes;
{% endif %}
{% if plastic and (trace_in or upstream or adjoint) %}
    let trace_rows = extent.networks * extent.episodes * {{ outputs * row // 4 }}u;
{% endif %}
    for (var tile = 0u; tile < {{ (outputs + 3) // 4 }}u; tile++) {
{% for r in range(4) %}
        // Rows beyond the last repeat it, without signal, retention and gain.
        let i{{ r }} = min(tile * 4u + {{ r }}u, {{ outputs - 1 }}u);
{% if plastic %}
        let is_row{{ r }} = tile * 4u + {{ r }}u < {{ outputs }}u;
{% endif %}
        let w{{ r }} = parameters[at + {{ weight_at // 4 }}u + i{{ r }} * {{ row // 4 }}u + column];
{% if plastic %}
{% if plasticity == "connection" %}
        let a{{ r }} = parameters[at + {{ plasticity_at // 4 }}u + i{{ r }} * {{ row // 4 }}u + column];
{% elif plasticity == "neuron" %}
        let a{{ r }} = vec4<f32>(parameters[at + {{ plasticity_at // 4 }}u + i{{ r }} / 4u][i{{ r }} % 4u]);
{% elif plasticity == "layer" %}
        let a{{ r }} = vec4<f32>(parameters[at + {{ plasticity_at // 4 }}u].x);
{% else %}
{{ unknown("plasticity", plasticity) }}
{% endif %}
        let rate{{ r }} = parameters[at + {{ rate_at // 4 }}u{% if rate_per == "neuron" %} + i{{ r }} / 4u][i{{ r }} % 4u]{% else %}].x{% endif %};
{% if trace_in or upstream or adjoint %}
        let trace{{ r }} = (episode * {{ outputs }}u + i{{ r }}) * {{ row // 4 }}u + column;
{% endif %}
        var h{{ r }} = {% if trace_in %}traces[extent.trace_start * trace_rows + trace{{ r }}]{% else %}vec4<f32>(){% endif %};
{% endif %}
{% endfor %}
        for (var t = 0u; t < extent.done; t++) {
            let step = first_step + t;
            let delta = signal[step * {{ output_row // 4 }}u + tile];
            let here = step * {{ row // 4 }}u + column;
            var gradient = select(input_signal[here], vec4<f32>(), tile == 0u);
{% if plastic %}
            let x = input[(first_input + t) * {{ row // 4 }}u + column];
            let y = output[step * {{ output_row // 4 }}u + tile];
{% endif %}
{% for r in range(4) %}
{% if plastic %}
            gradient = fma(vec4<f32>(delta[{{ r }}]), fma(a{{ r }}, h{{ r }}, w{{ r }}), gradient);
            let d{{ r }} = select(0.0, retention(y[{{ r }}], {{ modulator(r) }}, rate{{ r }}), is_row{{ r }});
            let g{{ r }} = select(0.0, gain(y[{{ r }}], {{ modulator(r) }}, rate{{ r }}), is_row{{ r }});
            h{{ r }} = fma(vec4<f32>(g{{ r }}), x, d{{ r }} * h{{ r }});
{% else %}
            gradient = fma(vec4<f32>(delta[{{ r }}]), w{{ r }}, gradient);
{% endif %}
{% endfor %}
            input_signal[here] = gradient;
        }
{% if plastic %}

{% if adjoint %}
        let state_at = {{ adjoint_slots }}u * trace_rows
            + (extent.adjoint_slot * extent.networks * extent.episodes + episode) * {{ outputs }}u;
        let at_end = extent.last_segment == 1u;
{% endif %}
{% for r in range(4) %}
{% if adjoint %}
        var m{{ r }} = select(adjoint[extent.adjoint_slot * trace_rows + trace{{ r }}], vec4<f32>(), at_end);
        var decay{{ r }} = select(adjoint[state_at + i{{ r }}].x, 1.0, at_end);
{% else %}
        var m{{ r }} = vec4<f32>();
        var decay{{ r }} = 1.0;
{% endif %}
{% if upstream %}
        let u{{ r }} = traces[trace{{ r }}];
{% endif %}
{% endfor %}
        for (var back = 0u; back < extent.done; back++) {
            let t = extent.done - 1u - back;
            let step = first_step + t;
            let delta = signal[step * {{ output_row // 4 }}u + tile];
            let here = step * {{ row // 4 }}u + column;
            var gradient = input_signal[here];
            let x = input[(first_input + t) * {{ row // 4 }}u + column];
            let y = output[step * {{ output_row // 4 }}u + tile];
{% for r in range(4) %}
            let d{{ r }} = select(0.0, retention(y[{{ r }}], {{ modulator(r) }}, rate{{ r }}), is_row{{ r }});
            let g{{ r }} = select(0.0, gain(y[{{ r }}], {{ modulator(r) }}, rate{{ r }}), is_row{{ r }});
            gradient = fma(vec4<f32>(g{{ r }}), {% if upstream %}fma(vec4<f32>(decay{{ r }}), u{{ r }}, a{{ r }} * m{{ r }}){% else %}a{{ r }} * m{{ r }}{% endif %}, gradient);
            m{{ r }} = fma(vec4<f32>(delta[{{ r }}]), x, d{{ r }} * m{{ r }});
            decay{{ r }} *= d{{ r }};
{% endfor %}
            input_signal[here] = gradient;
        }
{% endif %}
    }
}
