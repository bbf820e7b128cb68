{# What is done for lane `local`, with what lane `local + width` has, over a workgroup: by halves, then quarters, and so on. #}
{% macro tree(workgroup) %}
    workgroupBarrier();
    for (var width = {{ workgroup // 2 }}u; width > 0u; width /= 2u) {
        if (local < width) {
{{ caller() }}
        }
        workgroupBarrier();
    }
{% endmacro %}
