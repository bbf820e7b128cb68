{% from "meta_names.wgsl" import quad, one, row, four, kept %}

// The gradient of a row goes on from the episodes before. The signal becomes the gradient on the summed input.
fn backward{{ layer.index }}(episode: u32, lane: u32, slot: u32) {
    if (lane < {{ layer.outputs }}u) {
        let i = lane;
{% if layer.bias_at is not none %}
        let by_bias_at = ({{ layer.bias_at }}u + i) * {{ packed }}u + slot;
        var by_bias = 0.0;
{% endif %}
{% if layer.drive %}
{% if layer.rate_per == "neuron" %}
        let by_rate_at = ({{ layer.rate_at }}u + i) * {{ packed }}u + slot;
{% endif %}
        var by_rate = 0.0;
        // S_i(t + 1)
        var inner = 0.0;
{% endif %}
{% if layer.shares %}
        let part = i * {{ packed }}u + slot;
{% endif %}
{% if layer.plastic and layer.plasticity != "connection" %}
{% if layer.plasticity == "neuron" %}
        let by_plasticity_at = ({{ layer.plasticity_at }}u + i) * {{ packed }}u + slot;
{% endif %}
        var by_plasticity = 0.0;
        let a = held_one({{ layer.plasticity_at }}u{% if layer.plasticity == "neuron" %} + i{% endif %}, slot);
{% endif %}
{% if not layer.is_bias %}
        let by_weight_at = ({{ layer.weight_at }}u + i * {{ layer.row }}u) * {{ packed }}u + slot;
{% if layer.plasticity == "connection" %}
        let by_plasticity_at = ({{ layer.plasticity_at }}u + i * {{ layer.row }}u) * {{ packed }}u + slot;
        let plasticity_at = {{ layer.plasticity_at // 4 }}u + i * {{ layer.row // 4 }}u;
{% endif %}
{% for q in range(layer.quads) %}
        var dw{{ q }} = vec4<f32>();
{% if layer.plastic %}
        let a{{ q }} = {% if layer.plasticity == "connection" %}held_quad(plasticity_at + {{ q }}u, slot){% else %}vec4<f32>(a){% endif %};
        var da{{ q }} = vec4<f32>();
        var m{{ q }} = vec4<f32>();
{% endif %}
{% endfor %}
{% endif %}
{% if layer.plastic %}
        let rate = held_one({{ layer.rate_at }}u{% if layer.rate_per == "neuron" %} + i{% endif %}, slot);
{% endif %}
        // A branch, so that the addresses are computed again where the sums are stored, and need no registers until then.
        if (episode > 0u) {
{% if layer.bias_at is not none %}
            by_bias = gradients[by_bias_at];
{% endif %}
{% if layer.drive %}
            by_rate = {% if layer.rate_per == "neuron" %}gradients[by_rate_at]{% else %}parts{{ layer.index }}[part].y{% endif %};
{% endif %}
{% if layer.plasticity == "neuron" %}
            by_plasticity = gradients[by_plasticity_at];
{% elif layer.plasticity == "layer" %}
            by_plasticity = parts{{ layer.index }}[part].x;
{% endif %}
{% if not layer.is_bias %}
{% for q in range(layer.quads) %}
            dw{{ q }} = {{ four("gradients", "by_weight_at", q, packed) }};
{% if layer.plasticity == "connection" %}
            da{{ q }} = {{ four("gradients", "by_plasticity_at", q, packed) }};
{% endif %}
{% endfor %}
{% endif %}
        }
        for (var back = 0u; back < extent.steps; back++) {
            let t = extent.steps - 1u - back;
            let y = {{ row("output", layer, "i", "t", packed) }};
            let c = {{ row("signal", layer, "i", "t", packed) }};
{% if not layer.is_bias %}
{% for q in range(layer.quads) %}
            let x{{ q }} = {{ quad(layer, q, "t", packed) }};
{% endfor %}
{% if layer.plastic %}
            let d = retention_{{ layer.rule }}(y, 1.0, rate);
            let g = gain_{{ layer.rule }}(y, 1.0, rate);
{% if layer.quads == 1 %}
            let r = add_products(a0 * m0, x0, 0.0);
{% else %}
            var read = a0 * m0 * x0;
{% for q in range(1, layer.quads) %}
            read = fma(a{{ q }} * m{{ q }}, x{{ q }}, read);
{% endfor %}
            let r = total(read);
{% endif %}
{% if layer.drive %}
{% if layer.kept %}
            // Rounding errors of S add up. It is made afresh where the trace after the step was kept.
            if ((t + 1u) % {{ checkpoint }}u == 0u && back > 0u) {
                inner = 0.0;
{% for q in range(layer.quads) %}
                inner = add_products(a{{ q }} * m{{ q }}, {{ kept(layer, q, "t + 1u", checkpoint, packed) }}, inner);
{% endfor %}
            }
            // The last trace that was kept ends a sum over earlier steps.
            let since = t % {{ checkpoint }}u;
            let to_kept = t >= {{ checkpoint }}u;
            let most = select(t, since, to_kept);
{% else %}
            let most = t;
{% endif %}
            // Below this retention its gradient is summed from its definition, since the recurrence divides by it.
            let small = abs(d) < {{ small_retention }};
            var lookback = 0.0;
            if (small) {
                var product = 1.0;
                for (var before = 1u; before <= most; before++) {
                    let past = t - before;
                    let y_past = {{ row("output", layer, "i", "past", packed) }};
                    var part = 0.0;
{% for q in range(layer.quads) %}
                    part = add_products(a{{ q }} * m{{ q }}, {{ quad(layer, q, "past", packed) }}, part);
{% endfor %}
                    lookback = fma(product * gain_{{ layer.rule }}(y_past, 1.0, rate), part, lookback);
                    product *= retention_{{ layer.rule }}(y_past, 1.0, rate);
                    if (abs(product) < {{ least_product }}) {
                        break;
                    }
                }
{% if layer.kept %}
                if (to_kept && abs(product) >= {{ least_product }}) {
                    var part = 0.0;
{% for q in range(layer.quads) %}
                    part = add_products(a{{ q }} * m{{ q }}, {{ kept(layer, q, "t", checkpoint, packed) }}, part);
{% endfor %}
                    lookback = fma(product, part, lookback);
                }
{% endif %}
            }
            let driven = {{ row("drive", layer, "i", "t", packed) }};
{% endif %}
{% endif %}
{% endif %}
{% with
    plastic = layer.plastic, retention = layer.drive, steady = layer.steady, biased = layer.bias_at is not none,
    f = "_" ~ layer.activation, p = "_" ~ layer.rule, m = "1.0"
%}
{% include "reverse_step.wgsl" %}
{% endwith %}
{% if layer.index > 0 %}
{% if layer.is_bias %}
            signal{{ layer.index - 1 }}[(t * {{ layer.inputs }}u + i) * {{ packed }}u + slot] = delta;
{% else %}
            {{ row("signal", layer, "i", "t", packed) }} = delta;
{% endif %}
{% endif %}
{% if not layer.is_bias %}
{% for q in range(layer.quads) %}
{% if layer.plastic %}
            da{{ q }} = fma(g * x{{ q }}, m{{ q }}, da{{ q }});
            m{{ q }} = fma(vec4<f32>(delta), x{{ q }}, d * m{{ q }});
{% endif %}
            dw{{ q }} = fma(vec4<f32>(delta), x{{ q }}, dw{{ q }});
{% endfor %}
{% endif %}
        }
{% if layer.bias_at is not none %}
        gradients[by_bias_at] = by_bias;
{% endif %}
{% if layer.drive and layer.rate_per == "neuron" %}
        gradients[by_rate_at] = by_rate;
{% endif %}
{% if layer.plastic and layer.plasticity != "connection" %}
        var da = da0;
{% for q in range(1, layer.quads) %}
        da += da{{ q }};
{% endfor %}
        by_plasticity += total(da);
{% endif %}
{% if layer.plasticity == "neuron" %}
        gradients[by_plasticity_at] = by_plasticity;
{% endif %}
{% if layer.shares %}
        parts{{ layer.index }}[part] = vec2<f32>(
            {{ "by_plasticity" if layer.plasticity == "layer" else "0.0" }},
            {{ "by_rate" if layer.drive and layer.rate_per == "layer" else "0.0" }},
        );
{% endif %}
{% if not layer.is_bias %}
{% for q in range(layer.quads) %}
{% for c in "xyzw" %}
        gradients[by_weight_at + {{ (4 * q + loop.index0) * packed }}u] = dw{{ q }}.{{ c }};
{% if layer.plasticity == "connection" %}
        gradients[by_plasticity_at + {{ (4 * q + loop.index0) * packed }}u] = da{{ q }}.{{ c }};
{% endif %}
{% endfor %}
{% endfor %}
{% endif %}
    }
}
{% if layer.shares %}

fn add_parts{{ layer.index }}(lane: u32, slot: u32) {
    if (lane == 0u) {
        var sum = vec2<f32>();
        for (var i = 0u; i < {{ layer.outputs }}u; i++) {
            sum += parts{{ layer.index }}[i * {{ packed }}u + slot];
        }
{% if layer.plasticity == "layer" %}
        gradients[{{ layer.plasticity_at * packed }}u + slot] = sum.x;
{% endif %}
{% if layer.drive and layer.rate_per == "layer" %}
        gradients[{{ layer.rate_at * packed }}u + slot] = sum.y;
{% endif %}
    }
}
{% endif %}
