// The plasticity rule, H ← d(y, η) H + g(y, η) x, and its partial derivatives, from its text. `rule.of` ends the names where
// a kernel has several.

{% if rule.takes_tangents %}
{% with of = "_rule" ~ rule.of %}
{% include "hyperbolic_tangent.wgsl" %}
{% endwith %}
{% endif %}
// A number that no literal can be. A compiler must not know it.
fn from_bits{{ rule.of }}(bits: u32) -> f32 {
    return bitcast<f32>(bits);
}
{{ rule.functions }}
