{# A struct of the host. #}
{% macro declare(struct) %}
struct {{ struct.name }} {
{% for field in struct.fields %}
    {{ field.name }}: {{ field.kind }},
{% endfor %}
}
{% endmacro %}
