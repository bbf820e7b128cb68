{# Of neuron `i` at step `t`: its signal from `c`, and what its parameters have of that. #}
{% if plastic %}
        c += by_postsynaptic;
{{ accumulate(row_planes.rate, "by_rate") }}
{% endif %}
{% if modulation.source == "network" %}
        c = fma(sigma, parameters[network * {{ stride }}u + {{ modulation.weight_at }}u + i], c);
{{ accumulate(row_planes.modulator_weight, "sigma * y") }}
{{ accumulate(row_planes.modulator_bias, "sigma") }}
{% if modulation.per == "neuron" %}
{{ accumulate(row_planes.fan_out_weight, "mu * by_modulator") }}
{{ accumulate(row_planes.fan_out_bias, "by_modulator") }}
{% endif %}
{% elif modulator_signal == "neuron" %}
        modulator_signal[(t * episodes + episode) * {{ outputs }}u + i] = by_modulator;
{% endif %}
        let delta = c * derivative(y);
        signal[here] = delta;
{% if bias_at is not none %}
{{ accumulate(row_planes.bias, "delta") }}
{% endif %}
{% if input == "identity" and input_signal %}
        input_signal[(episode * extent.steps + t) * {{ row }}u + i] = delta;
{% endif %}
