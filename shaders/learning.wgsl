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

struct Control {
    first_meta_step: u32,
    learn: u32,
    // Of one dispatch, where one does whole meta-steps.
    meta_steps: u32,
}

struct Progress {
    meta_steps: u32,
    loss: f32,
}

struct State {
    updates: u32,
    failed: u32,
    failed_at: u32,
    scale: f32,
}

// Of some of a network's parameters: the largest gradient's size, the sum of squares, each divided by the power of two of
// that size, and the first tensor with a gradient that is not finite.
struct Part {
    peak: f32,
    square: f32,
    failed: u32,
}

const LARGEST = 3.4028234e38;

struct Settings {
    method: u32,
    schedule: u32,
    learning_rate: f32,
    schedule_length: f32,
    schedule_factor: f32,
    max_step: f32,
    max_gradient_norm: f32,
    l1: f32,
    l2: f32,
    rate_min: f32,
    rate_max: f32,
    plasticity_min: f32,
    plasticity_max: f32,
    // The method's own: its text says what they are.
    constants: array<f32, {{ device_constants }}>,
}

// An optimiser of one network.
struct Optimiser {
    settings: Settings,
    // What the learning rate is multiplied by, of each tensor; 0 for those that stay as they are. The first is of parameters
    // that belong to no tensor.
    factors: array<f32, {{ tensors + 1 }}>,
}
