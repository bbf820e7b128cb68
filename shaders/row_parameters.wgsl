{# The parameters of row `i` of network `network`: needs `lane`. Every tensor starts at a whole vec4. #}
    let at = network * {{ stride // 4 }}u;
    let weight_at = at + {{ weight_at // 4 }}u + i * {{ row // 4 }}u + lane;
{% for q in range(quads) %}
    let w{{ q }} = parameters[weight_at + {{ q * lanes }}u];
{% endfor %}
    let bias = {% if bias_at is none %}0.0{% else %}parameters[at + {{ bias_at // 4 }}u + i / 4u][i % 4u]{% endif %};
{% if plastic %}
{% if plasticity == "connection" %}
    let plasticity_at = at + {{ plasticity_at // 4 }}u + i * {{ row // 4 }}u + lane;
{% elif plasticity == "neuron" %}
    let a = vec4<f32>(parameters[at + {{ plasticity_at // 4 }}u + i / 4u][i % 4u]);
{% else %}
    let a = vec4<f32>(parameters[at + {{ plasticity_at // 4 }}u].x);
{% endif %}
{% for q in range(quads) %}
    let a{{ q }} = {% if plasticity == "connection" %}parameters[plasticity_at + {{ q * lanes }}u]{% else %}a{% endif %};
{% endfor %}
    let rate = parameters[at + {{ rate_at // 4 }}u{% if rate_per == "neuron" %} + i / 4u][i % 4u]{% else %}].x{% endif %};
{% endif %}
