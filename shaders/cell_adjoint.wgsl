// The gradients on the traces after the step, `λ` and `ε`, of the synapse at `at`. What a bound changed passes nothing on.
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
{% if bound is not none %}
    let after = new_traces(s).x;
    gradients.x = select(gradients.x, 0.0, after < -{{ bound }} || {{ bound }} < after);
{% endif %}
    return gradients;
}
