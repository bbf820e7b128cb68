{# How the arrays of workgroup memory are indexed. `t`, `i` and `j` are WGSL expressions. #}
{# Four presynaptic neurons, the `q`-th four, and one. #}
{% macro quad(layer, q, t, packed) %}{% if layer.index == 0 %}input[({{ t }} * {{ layer.quads }}u + {{ q }}u) * {{ packed }}u + slot]{% else %}vec4<f32>({% for j in range(4 * q, 4 * q + 4) %}{{ one(layer, j ~ "u", t, packed) if j < layer.inputs else "0.0" }}{{ ", " if not loop.last }}{% endfor %}){% endif %}{% endmacro %}
{% macro one(layer, j, t, packed) %}{% if layer.index == 0 %}input[({{ t }} * {{ layer.quads }}u + {{ j }} / 4u) * {{ packed }}u + slot][{{ j }} % 4u]{% else %}output{{ layer.index - 1 }}[({{ t }} * {{ layer.inputs }}u + {{ j }}) * {{ packed }}u + slot]{% endif %}{% endmacro %}
{# What the array `name` of a layer has of its neuron `i`. #}
{% macro row(name, layer, i, t, packed) %}{{ name }}{{ layer.index }}[({{ t }} * {{ layer.outputs }}u + {{ i }}) * {{ packed }}u + slot]{% endmacro %}
{# Four of the trace of neuron `i` that was kept after `done` steps. #}
{% macro kept(layer, q, done, checkpoint, packed) %}kept{{ layer.index }}[((({{ done }}) / {{ checkpoint }}u - 1u) * {{ layer.outputs * layer.quads }}u + i * {{ layer.quads }}u + {{ q }}u) * {{ packed }}u + slot]{% endmacro %}
{# Four elements of the parameters' or their gradients', the `q`-th four from `at`. #}
{% macro four(name, at, q, packed) %}vec4<f32>({% for c in range(4) %}{{ name }}[{{ at }} + {{ (4 * q + c) * packed }}u]{{ ", " if not loop.last }}{% endfor %}){% endmacro %}
