// The gradient on the trace before it was held to its bound, from that after; what a bound changed passes nothing on.
fn within_bound(s: Synapse, gradient: f32) -> f32 {
{% if bound is none %}
    return gradient;
{% else %}
    let after = new_traces(s).x;
    return select(gradient, 0.0, after < -{{ bound }} || {{ bound }} < after);
{% endif %}
}
{% if needs.adjoint_in_memory %}

// The gradients on the traces after the step, `λ` and `ε`, of the synapse at `at`.
fn gradients_on_traces(s: Synapse, at: u32, plane: u32, is_last: bool) -> vec2<f32> {
    var gradients = vec2<f32>();
{% if upstream.trace %}
    gradients.x = adjoint[at];
{% else %}
    gradients.x = select(adjoint[at], 0.0, is_last);
{% endif %}
{% if eligibility %}
{% if upstream.eligibility %}
    gradients.y = adjoint[plane + at];
{% else %}
    gradients.y = select(adjoint[plane + at], 0.0, is_last);
{% endif %}
{% endif %}
    gradients.x = within_bound(s, gradients.x);
    return gradients;
}
{% endif %}
