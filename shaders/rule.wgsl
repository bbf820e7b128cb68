// The plasticity rule, H ← d(y, m, η) H + g(y, m, η) x, and its partial derivatives, from its text. `rule.of` ends the names where
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
// Negative numbers have no logarithm and no root. WGSL allows any value there, these functions a NaN.
fn logarithm_rule{{ rule.of }}(x: f32) -> f32 {
    return select(log(x), from_bits{{ rule.of }}(0x7fc00000u), x < 0.0);
}
fn square_root_rule{{ rule.of }}(x: f32) -> f32 {
    return select(sqrt(x), from_bits{{ rule.of }}(0x7fc00000u), x < 0.0);
}
{{ rule.functions }}
