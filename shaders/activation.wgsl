// The activation of a layer and its derivative from the output. `of` ends the names where a kernel has several.

fn is_nan{{ of }}(z: f32) -> bool {
    // The bits, because compilers may assume that no NaN is ever compared.
    return (bitcast<u32>(z) & 0x7fffffffu) > 0x7f800000u;
}

{% if activation == "tanh" %}
// Not the built-in: drivers lose small arguments to cancellation and large ones to overflow. A quotient of polynomials,
// odd and even, fitted to the range in which the result is not yet within 3e-7 of ±1; right to 5e-7 everywhere.
fn hyperbolic_tangent{{ of }}(z: f32) -> f32 {
    let x = clamp(z, -7.9, 7.9);
    let square = x * x;
    let odd = fma(square, fma(square, fma(square, 1.1511005e-5, 2.9588335e-3), 1.2933019e-1), 0.9999999);
    let even = fma(square, fma(square, fma(square, fma(square, 2.4853514e-7, 2.3976142e-4), 2.3847755e-2), 0.4626625), 1.0);
    return x * (odd / even);
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
