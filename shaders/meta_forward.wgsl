{% from "meta_names.wgsl" import quad, one, row, kept %}
{% set f = "activate_" ~ layer.activation %}
{% if layer.plastic and layer.plasticity not in ["connection", "neuron", "layer"] %}{{ unknown("plasticity", layer.plasticity) }}{% endif %}
{% if layer.plastic and layer.rate_per not in ["neuron", "layer"] %}{{ unknown("rate", layer.rate_per) }}{% endif %}

{% if not layer.plastic %}
// A step of a row needs no other: all are spread over the lanes.
fn forward{{ layer.index }}(lane: u32, slot: u32) {
    for (var item = lane; item < extent.steps * {{ layer.outputs }}u; item += {{ lanes }}u) {
        let t = item / {{ layer.outputs }}u;
        let i = item % {{ layer.outputs }}u;
        let bias = {% if layer.bias_at is none %}0.0{% else %}held_one({{ layer.bias_at }}u + i, slot){% endif %};
{% if layer.is_bias %}
        {{ row("output", layer, "i", "t", packed) }} = {{ f }}({{ one(layer, "i", "t", packed) }} + bias);
{% else %}
        let weight_at = {{ layer.weight_at // 4 }}u + i * {{ layer.row // 4 }}u;
{% if layer.quads == 1 %}
        let sum = add_products(held_quad(weight_at, slot), {{ quad(layer, 0, "t", packed) }}, bias);
{% else %}
        var fixed = held_quad(weight_at, slot) * {{ quad(layer, 0, "t", packed) }};
{% for q in range(1, layer.quads) %}
        fixed = fma(held_quad(weight_at + {{ q }}u, slot), {{ quad(layer, q, "t", packed) }}, fixed);
{% endfor %}
        let sum = bias + total(fixed);
{% endif %}
        {{ row("output", layer, "i", "t", packed) }} = {{ f }}(sum);
{% endif %}
    }
}
{% else %}
// A lane owns one row and keeps its trace in registers for all steps.
fn forward{{ layer.index }}(lane: u32, slot: u32) {
    if (lane < {{ layer.outputs }}u) {
        let i = lane;
        let bias = {% if layer.bias_at is none %}0.0{% else %}held_one({{ layer.bias_at }}u + i, slot){% endif %};
        let rate = held_one({{ layer.rate_at }}u{% if layer.rate_per == "neuron" %} + i{% endif %}, slot);
        let weight_at = {{ layer.weight_at // 4 }}u + i * {{ layer.row // 4 }}u;
{% if layer.plasticity == "connection" %}
        let plasticity_at = {{ layer.plasticity_at // 4 }}u + i * {{ layer.row // 4 }}u;
{% else %}
        let a = held_one({{ layer.plasticity_at }}u{% if layer.plasticity == "neuron" %} + i{% endif %}, slot);
{% endif %}
{% for q in range(layer.quads) %}
        let w{{ q }} = held_quad(weight_at + {{ q }}u, slot);
        let a{{ q }} = {% if layer.plasticity == "connection" %}held_quad(plasticity_at + {{ q }}u, slot){% else %}vec4<f32>(a){% endif %};
        var h{{ q }} = vec4<f32>();
{% endfor %}
        for (var t = 0u; t < extent.steps; t++) {
{% for q in range(layer.quads) %}
            let x{{ q }} = {{ quad(layer, q, "t", packed) }};
{% endfor %}
{% if layer.quads == 1 %}
            let driven = add_products(a0 * h0, x0, 0.0);
            let y = {{ f }}(add_products(w0, x0, bias) + driven);
{% else %}
            var fixed = w0 * x0;
            var plastic = a0 * h0 * x0;
{% for q in range(1, layer.quads) %}
            fixed = fma(w{{ q }}, x{{ q }}, fixed);
            plastic = fma(a{{ q }} * h{{ q }}, x{{ q }}, plastic);
{% endfor %}
            let y = {{ f }}(bias + total(fixed + plastic));
{% if layer.drive %}
            let driven = total(plastic);
{% endif %}
{% endif %}
            {{ row("output", layer, "i", "t", packed) }} = y;
{% if layer.drive %}
            {{ row("drive", layer, "i", "t", packed) }} = driven;
{% endif %}
            let d = retention_{{ layer.rule }}(y, 1.0, rate);
            let g = gain_{{ layer.rule }}(y, 1.0, rate);
{% for q in range(layer.quads) %}
            h{{ q }} = fma(vec4<f32>(g), x{{ q }}, d * h{{ q }});
{% endfor %}
{% if layer.kept %}
            // The reverse sweep makes S afresh from the trace after some of the steps; the last is not one of them.
            if ((t + 1u) % {{ checkpoint }}u == 0u && t + 1u < extent.steps) {
{% for q in range(layer.quads) %}
                {{ kept(layer, q, "t + 1u", checkpoint, packed) }} = h{{ q }};
{% endfor %}
            }
{% endif %}
        }
    }
}
{% endif %}
