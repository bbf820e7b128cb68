{% from "meta_names.wgsl" import quad, one, row %}
{% set below = "signal" ~ (layer.index - 1) ~ "[(t * " ~ layer.inputs ~ "u + j) * " ~ packed ~ "u + slot]" %}

{% if not layer.plastic %}
// The gradient on the layer's input; all steps and columns are spread over the lanes.
fn input_gradient{{ layer.index }}(lane: u32, slot: u32) {
    for (var item = lane; item < extent.steps * {{ layer.inputs }}u; item += {{ lanes }}u) {
        let t = item / {{ layer.inputs }}u;
        let j = item % {{ layer.inputs }}u;
        var gradient = 0.0;
        for (var i = 0u; i < {{ layer.outputs }}u; i++) {
            let w = held_one({{ layer.weight_at }}u + i * {{ layer.row }}u + j, slot);
            gradient = fma({{ row("signal", layer, "i", "t", packed) }}, w, gradient);
        }
        {{ below }} = gradient;
    }
}
{% else %}
// The gradient on the layer's input, as in `input_gradient.wgsl`, but a lane owns one column; of four rows at a time.
fn input_gradient{{ layer.index }}(lane: u32, slot: u32) {
    for (var j = lane; j < {{ layer.inputs }}u; j += {{ lanes }}u) {
        for (var tile = 0u; tile < {{ (layer.outputs + 3) // 4 }}u; tile++) {
            var w = vec4<f32>();
            var a = vec4<f32>();
            var rate = vec4<f32>();
{% for r in range(4) %}
            // Rows beyond the last repeat it, without signal, retention and gain.
            let i{{ r }} = min(tile * 4u + {{ r }}u, {{ layer.outputs - 1 }}u);
            let is_row{{ r }} = tile * 4u + {{ r }}u < {{ layer.outputs }}u;
            w[{{ r }}] = held_one({{ layer.weight_at }}u + i{{ r }} * {{ layer.row }}u + j, slot);
{% if layer.plasticity == "connection" %}
            a[{{ r }}] = held_one({{ layer.plasticity_at }}u + i{{ r }} * {{ layer.row }}u + j, slot);
{% else %}
            a[{{ r }}] = held_one({{ layer.plasticity_at }}u{% if layer.plasticity == "neuron" %} + i{{ r }}{% endif %}, slot);
{% endif %}
            rate[{{ r }}] = held_one({{ layer.rate_at }}u{% if layer.rate_per == "neuron" %} + i{{ r }}{% endif %}, slot);
{% endfor %}
            var h = vec4<f32>();
            for (var t = 0u; t < extent.steps; t++) {
                let x = {{ one(layer, "j", "t", packed) }};
                var gradient = select({{ below }}, 0.0, tile == 0u);
{% for r in range(4) %}
                let y{{ r }} = {{ row("output", layer, "i" ~ r, "t", packed) }};
                let d{{ r }} = select(0.0, retention_{{ layer.rule }}(y{{ r }}, 1.0, rate[{{ r }}]), is_row{{ r }});
                let g{{ r }} = select(0.0, gain_{{ layer.rule }}(y{{ r }}, 1.0, rate[{{ r }}]), is_row{{ r }});
                let delta{{ r }} = select(0.0, {{ row("signal", layer, "i" ~ r, "t", packed) }}, is_row{{ r }});
                gradient = fma(delta{{ r }}, fma(a[{{ r }}], h[{{ r }}], w[{{ r }}]), gradient);
                h[{{ r }}] = fma(g{{ r }}, x, d{{ r }} * h[{{ r }}]);
{% endfor %}
                {{ below }} = gradient;
            }
            var m = vec4<f32>();
            for (var back = 0u; back < extent.steps; back++) {
                let t = extent.steps - 1u - back;
                let x = {{ one(layer, "j", "t", packed) }};
                var gradient = {{ below }};
{% for r in range(4) %}
                let y{{ r }} = {{ row("output", layer, "i" ~ r, "t", packed) }};
                let d{{ r }} = select(0.0, retention_{{ layer.rule }}(y{{ r }}, 1.0, rate[{{ r }}]), is_row{{ r }});
                let g{{ r }} = select(0.0, gain_{{ layer.rule }}(y{{ r }}, 1.0, rate[{{ r }}]), is_row{{ r }});
                let delta{{ r }} = select(0.0, {{ row("signal", layer, "i" ~ r, "t", packed) }}, is_row{{ r }});
                gradient = fma(g{{ r }}, a[{{ r }}] * m[{{ r }}], gradient);
                m[{{ r }}] = fma(delta{{ r }}, x, d{{ r }} * m[{{ r }}]);
{% endfor %}
                {{ below }} = gradient;
            }
        }
    }
}
{% endif %}
