{% from "struct.wgsl" import declare %}
// How much of the work one dispatch does.
{{ declare(extent) }}

@group(0) @binding(0) var<uniform> extent: Extent;
{% for binding in bindings %}
@group(0) @binding({{ loop.index }}) var<storage, {{ binding.access }}> {{ binding.name }}: array<{{ binding.element }}>;
{% endfor %}
