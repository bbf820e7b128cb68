// Threefry-4x32 with 20 rounds, the counter-based generator of `random.rs`.

fn rotate(x: u32, by: u32) -> u32 {
    return (x << by) | (x >> (32u - by));
}

fn threefry(key: vec4<u32>, counter: vec4<u32>) -> vec4<u32> {
    let parity = 0x1BD11BDAu ^ key.x ^ key.y ^ key.z ^ key.w;
    var x = counter + key;
{% for round in range(20) %}
{% set first = rotations[round % 8][0] %}
{% set second = rotations[round % 8][1] %}
{% if round % 2 == 0 %}
    x.x += x.y;
    x.y = rotate(x.y, {{ first }}u) ^ x.x;
    x.z += x.w;
    x.w = rotate(x.w, {{ second }}u) ^ x.z;
{% else %}
    x.x += x.w;
    x.w = rotate(x.w, {{ first }}u) ^ x.x;
    x.z += x.y;
    x.y = rotate(x.y, {{ second }}u) ^ x.z;
{% endif %}
{% if round % 4 == 3 %}
{% set words = ["key.x", "key.y", "key.z", "key.w", "parity"] %}
{% set injection = round // 4 + 1 %}
    x += vec4<u32>({% for word in range(4) %}{{ words[(injection + word) % 5] }}{{ ", " if not loop.last }}{% endfor %});
    x.w += {{ injection }}u;
{% endif %}
{% endfor %}
    return x;
}
