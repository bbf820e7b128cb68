{% from "struct.wgsl" import declare %}
// What a population in training has beside its parameters; the structs are those of the host.

// Roles of a parameter that is learned.
const WEIGHT = {{ roles.weight }}u;
const PLASTICITY = {{ roles.plasticity }}u;
const BIAS = {{ roles.bias }}u;
const RATE = {{ roles.rate }}u;

// Methods and schedules.
{% for method in methods %}
const {{ method.name | upper }} = {{ loop.index0 }}u;
{% endfor %}
{% for name in schedules %}
const {{ name | upper }} = {{ loop.index0 }}u;
{% endfor %}

// Failures: NONE, the loss, or a tensor's index plus one.
const LOSS = 0u;
const NONE = 0xffffffffu;

const LARGEST = 3.4028234e38;

{% for struct in structs %}
{{ declare(struct) }}
{% endfor %}

// An optimiser of one network.
struct Optimiser {
    settings: Settings,
    // What the learning rate is multiplied by, of each tensor; 0 for those that stay as they are. The first is of parameters
    // that belong to no tensor.
    factors: array<f32, {{ tensors + 1 }}>,
}
