// The plasticity rule, H ← d(y, η) H + g(y, η) x, and its partial derivatives. `of` ends the names where a kernel
// has several.

{% if rule == "hebb" %}
fn retention{{ of }}(y: f32, rate: f32) -> f32 {
    return 1.0 - rate;
}
fn retention_by_output{{ of }}(y: f32, rate: f32) -> f32 {
    return 0.0;
}
fn retention_by_rate{{ of }}(y: f32, rate: f32) -> f32 {
    return -1.0;
}
{% elif rule == "oja" %}
fn retention{{ of }}(y: f32, rate: f32) -> f32 {
    return fma(-rate * y, y, 1.0);
}
fn retention_by_output{{ of }}(y: f32, rate: f32) -> f32 {
    return -2.0 * rate * y;
}
fn retention_by_rate{{ of }}(y: f32, rate: f32) -> f32 {
    return -y * y;
}
{% else %}
{{ unknown("rule", rule) }}
{% endif %}
fn gain{{ of }}(y: f32, rate: f32) -> f32 {
    return rate * y;
}
fn gain_by_output{{ of }}(y: f32, rate: f32) -> f32 {
    return rate;
}
fn gain_by_rate{{ of }}(y: f32, rate: f32) -> f32 {
    return y;
}
