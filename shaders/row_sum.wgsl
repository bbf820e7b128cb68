{# Rendered from the plan that `row_sum.rs` makes. #}
{% if lanes > shuffled %}
{% if groups > 1 %}
var<workgroup> exchange: array<f32, {{ exchanged * components }}>;
var<workgroup> grouped: array<f32, {{ grouped }}>;
{% else %}
var<workgroup> exchange: array<{{ left }}, {{ 2 * exchanged }}>;
{% endif %}

{% endif %}
// Sums over the {{ lanes }} lanes of a tile, in a fixed order: every lane receives those of its own row.
// `turn` alternates between calls, so that one barrier a call is enough.
fn row_sum({% for v in range(values) %}v{{ v }}: f32, {% endfor %}local: u32, turn: u32) -> {{ sums }} {
{% for split in splits %}
{% if loop.first %}
    // Lanes that differ in one bit share out the sums between them: each goes on with half of them.
{% endif %}
    let odd{{ split.level }} = (local & {{ split.distance }}u) != 0u;
{% for pair in split.pairs %}
    let {{ pair.to }} = select({{ pair.even }}, {{ pair.odd }}, odd{{ split.level }})
        + subgroupShuffleXor(select({{ pair.odd }}, {{ pair.even }}, odd{{ split.level }}), {{ split.distance }}u);
{% endfor %}
{% endfor %}
    var sum = {{ remaining }};
{% for distance in distances %}
    sum += subgroupShuffleXor(sum, {{ distance }}u);
{% endfor %}
{% if lanes > shuffled %}
{% if groups > 1 %}
    // In two stages: {{ groups }} groups of the tile's parts, then the groups. In the first a lane adds up one number.
    // Each barrier also keeps the next call from what the other stage still reads.
    if (local % {{ shuffled }}u < {{ width }}u) {
        let mine = local / {{ shuffled }}u * {{ slots }}u + local % {{ width }}u * {{ components }}u;
{% for c in range(components) %}
        exchange[mine + {{ c }}u] = sum{% if components > 1 %}[{{ c }}]{% endif %};
{% endfor %}
    }
    workgroupBarrier();
    let group = local % {{ lanes }}u / {{ slots }}u % {{ groups }}u;
    let first = (local / {{ lanes }}u * {{ parts }}u + group * {{ parts // groups }}u) * {{ slots }}u + local % {{ slots }}u;
    var of_group = exchange[first];
{% for part in range(1, parts // groups) %}
    of_group += exchange[first + {{ part * slots }}u];
{% endfor %}
    let of_tile = local / {{ lanes }}u * {{ groups * slots }}u;
    if (local % {{ lanes }}u < {{ groups * slots }}u) {
        grouped[of_tile + local % {{ lanes }}u] = of_group;
    }
    workgroupBarrier();
    let own = of_tile + local % {{ width }}u * {{ components }}u;
{% for c in range(components) %}
    var sum{{ c }} = grouped[own + {{ c }}u];
{% for part in range(1, groups) %}
    sum{{ c }} += grouped[own + {{ part * slots + c }}u];
{% endfor %}
{% endfor %}
    sum = {% if components > 1 %}vec2<f32>(sum0, sum1){% else %}sum0{% endif %};
{% else %}
    let page = (turn & 1u) * {{ workgroup // shuffled * width }}u;
    if (local % {{ shuffled }}u < {{ width }}u) {
        exchange[page + local / {{ shuffled }}u * {{ width }}u + local % {{ width }}u] = sum;
    }
    workgroupBarrier();
    let first = page + (local / {{ lanes }}u * {{ parts }}u + local / {{ width }}u % {{ across }}u) * {{ width }}u + local % {{ width }}u;
    sum = exchange[first];
{% for part in range(1, parts // across) %}
    sum += exchange[first + {{ part * across * width }}u];
{% endfor %}
{% for distance in part_distances %}
    sum += subgroupShuffleXor(sum, {{ distance }}u);
{% endfor %}
{% endif %}
{% endif %}
{% if gathers %}
    let other = subgroupShuffleXor(sum, {{ rows }}u);
    return select(vec2<f32>(sum, other), vec2<f32>(other, sum), odd{{ splits | length }});
{% else %}
    return sum;
{% endif %}
}
