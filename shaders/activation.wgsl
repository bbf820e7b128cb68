// The activation of a layer and its derivative from the output. `of` ends the names where a kernel has several.

fn is_nan{{ of }}(z: f32) -> bool {
    // The bits, because compilers may assume that no NaN is ever compared.
    return (bitcast<u32>(z) & 0x7fffffffu) > 0x7f800000u;
}

{% if activation == "tanh" %}
// Not the built-in: drivers lose small arguments to cancellation and large ones to overflow.
fn hyperbolic_tangent{{ of }}(z: f32) -> f32 {
    let size = abs(z);
    let square = z * z;
    let above = fma(square, fma(square, fma(square, 1.0, 378.0), 17325.0), 135135.0);
    let below = fma(square, fma(square, fma(square, 28.0, 3150.0), 62370.0), 135135.0);
    let saturating = sign(z) * (1.0 - 2.0 / (exp(2.0 * min(size, 15.0)) + 1.0));
    return select(saturating, z * above / below, size < 1.0);
}
{% endif %}

fn activate{{ of }}(z: f32) -> f32 {
{% if activation == "linear" %}
    return z;
{% else %}
    if (is_nan{{ of }}(z)) {
        return z;
    }
{% if activation == "tanh" %}
    return hyperbolic_tangent{{ of }}(z);
{% elif activation == "logistic" %}
    return 1.0 / (1.0 + exp(-clamp(z, -80.0, 80.0)));
{% elif activation == "relu" %}
    return max(z, 0.0);
{% endif %}
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
{% endif %}
}
