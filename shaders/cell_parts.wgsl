{# A parameter of synapse `j` of row `i` of network `network`, of which there is one for each connection, neuron or layer. #}
{% macro parameter(stride, at, per, presynaptic) -%}
parameters[network * {{ stride }}u + {{ at }}u{% if per == "connection" %} + i * {{ presynaptic }}u + j{% elif per == "neuron" %} + i{% elif per == "layer" %}{% else %}{{ unknown("extents", per) }}{% endif %}]
{%- endmacro %}
{# What an array of initial values has at the first step. #}
{% macro initial_value(plane, at) -%}
{% if plane is none %}0.0{% else %}initial[{{ plane }}u * plane + {{ at }}]{% endif %}
{%- endmacro %}
{# Adds `group` lanes' parts up, for each group of lanes by itself; the sum is then in its first lane's place. #}
{% macro add_up(group) %}
{% for power in range(1, 9) %}
{% set width = group // 2 ** power %}
{% if width > 0 %}
    workgroupBarrier();
    if (local % {{ group }}u < {{ width }}u) {
        parts[local] += parts[local + {{ width }}u];
    }
{% endif %}
{% endfor %}
{% endmacro %}
