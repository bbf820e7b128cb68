// The plasticity rule, H ← d(y, η) H + g(y, η) x, and its partial derivatives.

{% if rule == "hebb" %}
fn retention(y: f32, rate: f32) -> f32 {
    return 1.0 - rate;
}
fn retention_by_output(y: f32, rate: f32) -> f32 {
    return 0.0;
}
fn retention_by_rate(y: f32, rate: f32) -> f32 {
    return -1.0;
}
{% elif rule == "oja" %}
fn retention(y: f32, rate: f32) -> f32 {
    return 1.0 - rate * y * y;
}
fn retention_by_output(y: f32, rate: f32) -> f32 {
    return -2.0 * rate * y;
}
fn retention_by_rate(y: f32, rate: f32) -> f32 {
    return -y * y;
}
{% endif %}
fn gain(y: f32, rate: f32) -> f32 {
    return rate * y;
}
fn gain_by_output(y: f32, rate: f32) -> f32 {
    return rate;
}
fn gain_by_rate(y: f32, rate: f32) -> f32 {
    return y;
}
