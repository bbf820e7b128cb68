{# Adds elements `first` up to `count` of an array to `sum`, in order. `before` and `after` are what stands around an element's number. #}
{% macro add_in_order(sum, i, first, count, before, after, unrolled) %}
    var {{ i }} = {{ first }};
    // Loads do not wait for each other.
    for (; {{ i }} + {{ unrolled }}u <= {{ count }}; {{ i }} += {{ unrolled }}u) {
{% for next in range(unrolled) %}
        let next{{ next }} = {{ before }}({{ i }} + {{ next }}u){{ after }};
{% endfor %}
{% for next in range(unrolled) %}
        {{ sum }} += next{{ next }};
{% endfor %}
    }
    for (; {{ i }} < {{ count }}; {{ i }}++) {
        {{ sum }} += {{ before }}{{ i }}{{ after }};
    }
{% endmacro %}
