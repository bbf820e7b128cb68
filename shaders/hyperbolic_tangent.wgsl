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
    let rounded = select(y, sign(z), abs(z) > {{ tanh.last }});
    // The bits, because compilers may assume that no NaN is ever compared.
    return select(rounded, z, (bitcast<u32>(z) & 0x7fffffffu) > 0x7f800000u);
}
