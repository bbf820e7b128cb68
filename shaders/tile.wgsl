{# `name` of each of the tile's rows, as `name`0 and on; every lane knows its own row's. #}
{% macro each_row(name, rows) %}
{% if rows > 1 %}
let {{ name }}_of = of_rows({{ name }}, local);{% for r in range(rows) %} let {{ name }}{{ r }} = {{ name }}_of[{{ r }}];{% endfor -%}
{% else %}
let {{ name }}0 = {{ name }};
{%- endif %}
{% endmacro %}
