// The activation of a layer and its derivative from the output. `of` ends the names where a kernel has several.

fn is_nan{{ of }}(z: f32) -> bool {
    // The bits, because compilers may assume that no NaN is ever compared.
    return (bitcast<u32>(z) & 0x7fffffffu) > 0x7f800000u;
}

{% if activation == "tanh" %}
{% include "hyperbolic_tangent.wgsl" %}
{% endif %}

fn activate{{ of }}(z: f32) -> f32 {
{% if activation == "linear" %}
    return z;
{% elif activation == "tanh" %}
    return hyperbolic_tangent{{ of }}(z);
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
