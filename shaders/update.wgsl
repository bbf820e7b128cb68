
// Four parameters and the optimiser's memory of them.
struct Updated {
    value: vec4<f32>,
    first: vec4<f32>,
    // Of methods that remember two numbers.
    second: vec4<f32>,
}

// 1 - exp(x) for x <= 0; near zero, where that cancels, Taylor's series.
fn one_minus_exp(x: f32) -> f32 {
    let near = -x * fma(x, fma(x, fma(x, fma(x, 1.0 / 120.0, 1.0 / 24.0), 1.0 / 6.0), 0.5), 1.0);
    return select(1.0 - exp(x), near, x > -0.1);
}

// cos² of 0 to a right angle, from 1 down to 0 as `fraction` goes from 0 to 1: by the series of the sine. A driver's own
// cosine may be off by 5e-4.
fn squared_cosine(fraction: f32) -> f32 {
    let x = 1.57079633 * (1.0 - fraction);
    let square = x * x;
    var series = -1.0 / 39916800.0;
    series = fma(series, square, 1.0 / 362880.0);
    series = fma(series, square, -1.0 / 5040.0);
    series = fma(series, square, 1.0 / 120.0);
    series = fma(series, square, -1.0 / 6.0);
    let sine = fma(series * square, x, x);
    return sine * sine;
}

fn schedule_factor(setting: Settings, update: u32) -> f32 {
{% for schedule in schedules %}
{% if schedule == "constant" %}
    if (setting.schedule == CONSTANT) {
        return 1.0;
    }
{% elif schedule == "cosine" %}
    if (setting.schedule == COSINE) {
        let fraction = min(f32(update) / setting.schedule_length, 1.0);
        return fma(1.0 - setting.schedule_factor, squared_cosine(fraction), setting.schedule_factor);
    }
{% elif schedule == "step" %}
    if (setting.schedule == STEP) {
        return pow(setting.schedule_factor, f32(update / u32(setting.schedule_length)));
    }
{% else %}
{{ unknown("schedule", schedule) }}
{% endif %}
{% endfor %}
    return 1.0;
}

// Whether a method remembers two numbers of each parameter.
fn has_second(method: u32) -> bool {
    return {% for method in methods if method.moments == 2 %}method == {{ method.name | upper }}{{ " || " if not loop.last }}{% else %}false{% endfor %};
}

// One update of four parameters, the `updates`-th of their network, with `scale` times their gradient. Those whose factor is 0
// stay.
fn update(
    old: Updated, roles: vec4<u32>, factors: vec4<f32>, gradient: vec4<f32>, scale: f32, setting: Settings, updates: u32,
) -> Updated {
    let g = gradient * scale;
    let rate = setting.learning_rate * schedule_factor(setting, updates - 1u) * factors;
    let constants = array<f32, {{ device_constants }}>(
{% for index in range(device_constants) %}
        setting.constant{{ index }},
{% endfor %}
    );
    let largest = vec4<f32>(LARGEST);
    // A square or a step beyond the largest float counts as that, so that no parameter ever stops being finite.
    let square = min(g * g, largest);
    var first = old.first;
    var second = old.second;
    var step = vec4<f32>();
{% for method in methods %}
    if (setting.method == {{ method.name | upper }}) {
{% include "methods/" ~ method.name ~ ".wgsl" %}
    }
{% endfor %}
    step = clamp(step, vec4<f32>(-setting.max_step), vec4<f32>(setting.max_step));
    var value = clamp(old.value - step, -largest, largest);
    let is_plasticity = roles == vec4<u32>(PLASTICITY);
    let shrunk = value - fma(vec4<f32>(setting.l2), value, setting.l1 * sign(value));
    value = select(value, shrunk, is_plasticity | (roles == vec4<u32>(WEIGHT)));
    let bounded = clamp(value, vec4<f32>(setting.plasticity_min), vec4<f32>(setting.plasticity_max));
    value = select(value, bounded, is_plasticity);
    let plasticity_rate = clamp(value, vec4<f32>(setting.rate_min), vec4<f32>(setting.rate_max));
    value = select(value, plasticity_rate, roles == vec4<u32>(RATE));
    let fixed = factors == vec4<f32>();
    return Updated(select(value, old.value, fixed), select(first, old.first, fixed), select(second, old.second, fixed));
}
