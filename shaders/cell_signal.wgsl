{% from "head.wgsl" import head %}
{% from "cell_parts.wgsl" import add_up %}
// The gradient on each neuron's summed input at one step, `δ`, and what parameters of neurons have of it; a workgroup does one
// episode. `γ` is what the next step passes back, and `σ` what goes through the network's modulator.
//
//     σ = (1 − μ²) Σ_i φ_i ∂L/∂m_i        δ_i = (c_i + γ_i + ∂L/∂y_i + σ v_i) f'(y_i)
//
// output and signal [P·B, T, output row], input_signal [P·B, T, row], modulators and modulator_signal [T, P·B, 1 or O],
// adjoint [plane, P·B, O, J] then [plane, P·B, O]
{% macro accumulate(plane, value) %}
        adjoint[of_row + {{ plane }}u * rows] = {{ value }} + select(adjoint[of_row + {{ plane }}u * rows], 0.0, is_last);
{% endmacro %}
{% include "extent.wgsl" %}

{% include "activation.wgsl" %}

var<workgroup> parts: array<f32, {{ workgroup }}>;

{{ head("cell_signal", workgroup) }}
    let t = extent.step;
    let episodes = extent.networks * extent.episodes;
    let episode = group.y * groups.x + group.x;
    if (t >= extent.done || episode >= episodes) {
        return;
    }
    let is_last = t + 1u == extent.done && extent.last_segment == 1u;
    let network = episode / extent.episodes;
    let rows = episodes * {{ outputs }}u;
    let of_rows = {{ planes }}u * rows * {{ presynaptic }}u + episode * {{ outputs }}u;
{% if modulation.source == "network" or modulator_signal == "layer" %}
    var sum = 0.0;
    for (var i = local; i < {{ outputs }}u; i += {{ workgroup }}u) {
        let by_modulator = adjoint[of_rows + i + {{ row_planes.modulator }}u * rows];
{% if modulation.source == "network" and modulation.per == "neuron" %}
        sum = fma(parameters[network * {{ stride }}u + {{ modulation.fan_out_weight_at }}u + i], by_modulator, sum);
{% else %}
        sum += by_modulator;
{% endif %}
    }
    parts[local] = sum;
{{ add_up(workgroup) }}
    workgroupBarrier();
{% endif %}
{% if modulation.source == "network" %}
    let mu = modulators[t * episodes + episode];
    let sigma = parts[0] * ((1.0 - mu) * (1.0 + mu));
{% elif modulator_signal == "layer" %}
    if (local == 0u) {
        modulator_signal[t * episodes + episode] = parts[0];
    }
{% endif %}
    for (var i = local; i < {{ outputs }}u; i += {{ workgroup }}u) {
        let of_row = of_rows + i;
        let here = (episode * extent.steps + t) * {{ output_row }}u + i;
        let y = output[here];
        var c = signal[here];
{% if recurrent %}
{% if upstream.activity %}
        c += adjoint[of_row + {{ row_planes.activity }}u * rows];
{% else %}
        c += select(adjoint[of_row + {{ row_planes.activity }}u * rows], 0.0, is_last);
{% endif %}
{% endif %}
{% if plastic %}
        let by_postsynaptic = adjoint[of_row + {{ row_planes.postsynaptic }}u * rows];
        let by_modulator = adjoint[of_row + {{ row_planes.modulator }}u * rows];
        let by_rate = adjoint[of_row + {{ row_planes.of_rate }}u * rows];
{% endif %}
{% include "cell_row_signal.wgsl" %}
    }
}
