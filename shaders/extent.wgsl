// How much of the work one dispatch does; the fields are those of `Extent` on the host.
struct Extent {
{% for field in extent %}
    {{ field }}: u32,
{% endfor %}
}

@group(0) @binding(0) var<uniform> extent: Extent;
{% for binding in bindings %}
@group(0) @binding({{ loop.index }}) var<storage, {{ binding.access }}> {{ binding.name }}: array<{{ binding.element }}>;
{% endfor %}
