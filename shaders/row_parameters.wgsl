{# The parameters of a tile's rows, `i0` and on, and of the lane's own row `i` of network `network`: needs `lane`. Every tensor starts at a whole vec4. #}
    let at = network * {{ stride // 4 }}u;
{% for r in range(rows) %}
    let weight_at{{ r }} = at + {{ weight_at // 4 }}u + i{{ r }} * {{ row // 4 }}u + lane;
{% for q in range(quads) %}
    let w{{ r }}_{{ q }} = parameters[weight_at{{ r }} + {{ q * lanes }}u];
{% endfor %}
{% endfor %}
    let bias = {% if bias_at is none %}0.0{% else %}parameters[at + {{ bias_at // 4 }}u + i / 4u][i % 4u]{% endif %};
{% if plastic %}
{% for r in range(rows) %}
{% if plasticity == "connection" %}
    let plasticity_at{{ r }} = at + {{ plasticity_at // 4 }}u + i{{ r }} * {{ row // 4 }}u + lane;
{% elif plasticity == "neuron" %}
    let a{{ r }} = vec4<f32>(parameters[at + {{ plasticity_at // 4 }}u + i{{ r }} / 4u][i{{ r }} % 4u]);
{% elif plasticity == "layer" %}
    let a{{ r }} = vec4<f32>(parameters[at + {{ plasticity_at // 4 }}u].x);
{% else %}
{{ unknown("plasticity", plasticity) }}
{% endif %}
{% for q in range(quads) %}
    let a{{ r }}_{{ q }} = {% if plasticity == "connection" %}parameters[plasticity_at{{ r }} + {{ q * lanes }}u]{% else %}a{{ r }}{% endif %};
{% endfor %}
{% endfor %}
    let rate = parameters[at + {{ rate_at // 4 }}u{% if rate_per == "neuron" %} + i / 4u][i % 4u]{% elif rate_per == "layer" %}].x{% else %}{{ unknown("rate", rate_per) }}{% endif %};
{% endif %}
