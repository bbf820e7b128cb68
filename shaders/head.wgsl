{# The beginning of a kernel named `name`: its workgroups lie along two axes. #}
{% macro head(name, workgroup) %}
@compute @workgroup_size({{ workgroup }})
fn {{ name }}(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
{% endmacro %}
{# The same where each lane does one of `count` elements, `index`. #}
{% macro each(name, workgroup, index, count) %}
{{ head(name, workgroup) }}
    let {{ index }} = (group.y * groups.x + group.x) * {{ workgroup }}u + local;
    if ({{ index }} >= {{ count }}) {
        return;
    }
{% endmacro %}
