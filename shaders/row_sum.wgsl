fn total(v: vec4<f32>) -> f32 {
    return (v.x + v.y) + (v.z + v.w);
}

{% if lanes > shuffled %}
var<workgroup> exchange: array<{{ sums }}, {{ 2 * workgroup // shuffled }}>;

{% endif %}
// The sum over the {{ lanes }} lanes of a row, in a fixed order; every lane receives it.
// `turn` alternates between calls, so that one barrier a call is enough.
fn row_sum(value: {{ sums }}, local: u32, turn: u32) -> {{ sums }} {
    var sum = value;
{% for distance in distances %}
    sum += subgroupShuffleXor(sum, {{ distance }}u);
{% endfor %}
{% if lanes > shuffled %}
    let page = (turn & 1u) * {{ workgroup // shuffled }}u;
    if (local % {{ shuffled }}u == 0u) {
        exchange[page + local / {{ shuffled }}u] = sum;
    }
    workgroupBarrier();
    let first = page + local / {{ lanes }}u * {{ lanes // shuffled }}u;
    sum = exchange[first];
{% for part in range(1, lanes // shuffled) %}
    sum += exchange[first + {{ part }}u];
{% endfor %}
{% endif %}
    return sum;
}
