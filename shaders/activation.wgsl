// The activation of a layer and its derivative from the output. `of` ends the names where a kernel has several.

fn is_nan{{ of }}(z: f32) -> bool {
    // The bits, because compilers may assume that no NaN is ever compared.
    return (bitcast<u32>(z) & 0x7fffffffu) > 0x7f800000u;
}

{% if activation == "tanh" %}
// Not the built-in: drivers lose small arguments to cancellation and large ones to overflow. The quotient of `real.rs`, with
// its coefficients; exactly ±1 where that is what `tanh` rounds to.
fn hyperbolic_tangent{{ of }}(z: f32) -> f32 {
    let x = clamp(z, -{{ tanh.last }}, {{ tanh.last }});
    let square = x * x;
    let fourth = square * square;
{% for name, c in [("odd", tanh.odd), ("even", tanh.even)] %}
    let {{ name }} = fma(fma(fma({{ c[4] }}, square, {{ c[3] }}), fourth, fma({{ c[2] }}, square, {{ c[1] }})), square, {{ c[0] }});
{% endfor %}
    let y = clamp(x * (odd / even), -1.0, 1.0);
    return select(y, sign(z), abs(z) > {{ tanh.last }});
}
{% endif %}

fn activate{{ of }}(z: f32) -> f32 {
{% if activation == "linear" %}
    return z;
{% elif activation == "tanh" %}
    return select(hyperbolic_tangent{{ of }}(z), z, is_nan{{ of }}(z));
{% elif activation == "logistic" %}
    return select(1.0 / (1.0 + exp(-clamp(z, -80.0, 80.0))), z, is_nan{{ of }}(z));
{% elif activation == "relu" %}
    return select(max(z, 0.0), z, is_nan{{ of }}(z));
{% else %}
{{ unknown("activation", activation) }}
{% endif %}
}

fn derivative{{ of }}(y: f32) -> f32 {
{% if activation == "linear" %}
    return 1.0;
{% elif activation == "tanh" %}
    return (1.0 - y) * (1.0 + y);
{% elif activation == "logistic" %}
    return y * (1.0 - y);
{% elif activation == "relu" %}
    return select(0.0, 1.0, y > 0.0);
{% else %}
{{ unknown("activation", activation) }}
{% endif %}
}
