{% from "meta_names.wgsl" import quad, one, row %}

// The gradient of a row goes on from the episodes before. The signal becomes the gradient on the summed input.
fn backward{{ layer.index }}(episode: u32, lane: u32, slot: u32) {
    if (lane < {{ layer.outputs }}u) {
        let i = lane;
        let goes_on = episode > 0u;
        let by_row_at = ({{ layer.partial_rows_at // 4 }}u + i) * {{ packed }}u + slot;
        let earlier = select(vec4<f32>(), partials[by_row_at], goes_on);
        var by_bias = earlier.x;
        var by_rate = earlier.z;
{% if not layer.is_bias %}
        let by_weight_at = ({{ layer.partial_weight_at // 4 }}u + i * {{ layer.row // 4 }}u) * {{ packed }}u + slot;
{% if layer.plasticity == "connection" %}
        let by_plasticity_at = ({{ layer.partial_plasticity_at // 4 }}u + i * {{ layer.row // 4 }}u) * {{ packed }}u + slot;
{% endif %}
{% for q in range(layer.quads) %}
        var dw{{ q }} = select(vec4<f32>(), partials[by_weight_at + {{ q * packed }}u], goes_on);
{% endfor %}
{% endif %}
{% if layer.plastic %}
        let rate = held_one({{ layer.rate_at }}u{% if layer.rate_per == "neuron" %} + i{% endif %}, slot);
{% if layer.plasticity == "connection" %}
        let plasticity_at = {{ layer.plasticity_at // 4 }}u + i * {{ layer.row // 4 }}u;
{% else %}
        let a = held_one({{ layer.plasticity_at }}u{% if layer.plasticity == "neuron" %} + i{% endif %}, slot);
{% endif %}
{% for q in range(layer.quads) %}
{% if layer.plasticity == "connection" %}
        let a{{ q }} = held_quad(plasticity_at + {{ q }}u, slot);
        var da{{ q }} = select(vec4<f32>(), partials[by_plasticity_at + {{ q * packed }}u], goes_on);
{% else %}
        let a{{ q }} = vec4<f32>(a);
        var da{{ q }} = vec4<f32>();
{% endif %}
        var m{{ q }} = vec4<f32>();
{% endfor %}
        // S_i(t + 1)
        var inner = 0.0;
{% endif %}
        for (var back = 0u; back < extent.steps; back++) {
            let t = extent.steps - 1u - back;
            let y = {{ row("output", layer, "i", "t", packed) }};
            let c = {{ row("signal", layer, "i", "t", packed) }};
{% if layer.is_bias %}
            let delta = c * derivative_{{ layer.activation }}(y);
            by_bias += delta;
{% if layer.index > 0 %}
            signal{{ layer.index - 1 }}[(t * {{ layer.inputs }}u + i) * {{ packed }}u + slot] = delta;
{% endif %}
{% else %}
{% for q in range(layer.quads) %}
            let x{{ q }} = {{ quad(layer, q, "t", packed) }};
{% endfor %}
{% if layer.plastic %}
            let p = {% if layer.drive %}{{ row("drive", layer, "i", "t", packed) }}{% else %}0.0{% endif %};
            let d = retention_{{ layer.rule }}(y, rate);
            let g = gain_{{ layer.rule }}(y, rate);
            var read = a0 * m0 * x0;
{% for q in range(1, layer.quads) %}
            read = fma(a{{ q }} * m{{ q }}, x{{ q }}, read);
{% endfor %}
            let r = total(read);
{% if layer.drive %}
            // Below this retention its gradient is summed from its definition, since the recurrence divides by it.
            let small = abs(d) < {{ small_retention }};
            var lookback = 0.0;
            if (small) {
                var product = 1.0;
                for (var before = 1u; before <= t; before++) {
                    let past = t - before;
                    let y_past = {{ row("output", layer, "i", "past", packed) }};
                    var part = a0 * m0 * {{ quad(layer, 0, "past", packed) }};
{% for q in range(1, layer.quads) %}
                    part = fma(a{{ q }} * m{{ q }}, {{ quad(layer, q, "past", packed) }}, part);
{% endfor %}
                    lookback = fma(product * gain_{{ layer.rule }}(y_past, rate), total(part), lookback);
                    product *= retention_{{ layer.rule }}(y_past, rate);
                    if (abs(product) < 1e-14) {
                        break;
                    }
                }
            }
            let retained = select(inner - g * r, d * lookback, small);
            let q = select(retained / select(d, 1.0, small), lookback, small);
            let by_output = c + r * gain_by_output_{{ layer.rule }}(y, rate) + q * retention_by_output_{{ layer.rule }}(y, rate);
            let delta = by_output * derivative_{{ layer.activation }}(y);
            by_rate += r * gain_by_rate_{{ layer.rule }}(y, rate) + q * retention_by_rate_{{ layer.rule }}(y, rate);
            inner = fma(delta, p, retained);
{% else %}
            let by_output = c + r * gain_by_output_{{ layer.rule }}(y, rate);
            let delta = by_output * derivative_{{ layer.activation }}(y);
{% endif %}
{% else %}
            let delta = c * derivative_{{ layer.activation }}(y);
{% endif %}
            by_bias += delta;
{% if layer.index > 0 %}
            {{ row("signal", layer, "i", "t", packed) }} = delta;
{% endif %}
{% for q in range(layer.quads) %}
{% if layer.plastic %}
            da{{ q }} = fma(g * x{{ q }}, m{{ q }}, da{{ q }});
            m{{ q }} = fma(vec4<f32>(delta), x{{ q }}, d * m{{ q }});
{% endif %}
            dw{{ q }} = fma(vec4<f32>(delta), x{{ q }}, dw{{ q }});
{% endfor %}
{% endif %}
        }
        var by_plasticity = earlier.y;
{% if layer.plastic and layer.plasticity != "connection" %}
        var da = da0;
{% for q in range(1, layer.quads) %}
        da += da{{ q }};
{% endfor %}
        by_plasticity += total(da);
{% endif %}
{% if not layer.is_bias %}
{% for q in range(layer.quads) %}
        partials[by_weight_at + {{ q * packed }}u] = dw{{ q }};
{% if layer.plasticity == "connection" %}
        partials[by_plasticity_at + {{ q * packed }}u] = da{{ q }};
{% endif %}
{% endfor %}
{% endif %}
        partials[by_row_at] = vec4<f32>(by_bias, by_plasticity, by_rate, 0.0);
    }
}
