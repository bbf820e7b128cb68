{% if rows > 1 %}
// What every lane has of its own row, of each of the tile's rows.
fn of_rows(own: f32, local: u32) -> vec2<f32> {
    let other = subgroupShuffleXor(own, 1u);
    return select(vec2<f32>(own, other), vec2<f32>(other, own), (local & 1u) != 0u);
}
{% endif %}
