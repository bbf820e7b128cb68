// One optimiser update; a lane does one parameter of one network.
//
// gradients and parameters [P, parameters], moments [2, P, parameters], elements [parameters] (…, tensor, role),
// settings [P], states [P]
{% include "extent.wgsl" %}
{% include "learning.wgsl" %}

const LARGEST = 3.4028234e38;

// 1 - exp(x) for x <= 0, exact near zero.
fn one_minus_exp(x: f32) -> f32 {
    let near = -x * fma(x, fma(x, fma(x, fma(x, 1.0 / 120.0, 1.0 / 24.0), 1.0 / 6.0), 0.5), 1.0);
    return select(1.0 - exp(x), near, x > -0.1);
}

fn schedule_factor(setting: Settings, update: u32) -> f32 {
    if (setting.schedule == COSINE) {
        let fraction = min(f32(update) / setting.schedule_length, 1.0);
        return setting.schedule_factor
            + (1.0 - setting.schedule_factor) * 0.5 * (1.0 + cos(3.14159265358979 * fraction));
    }
    if (setting.schedule == STEP) {
        return pow(setting.schedule_factor, f32(update / u32(setting.schedule_length)));
    }
    return 1.0;
}

@compute @workgroup_size({{ workgroup }})
fn optimiser(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let index = (group.y * groups.x + group.x) * {{ workgroup }}u + local;
    let size = extent.networks * {{ stride }}u;
    if (index >= size) {
        return;
    }
    let network = index / {{ stride }}u;
    let role = elements[index % {{ stride }}u].w;
    let state = states[network];
    if (role == FIXED || state.failed != NONE) {
        return;
    }
    let setting = settings[network];
    let learning_rate = setting.learning_rate * schedule_factor(setting, state.updates - 1u);
    let g = gradients[index] * state.scale;
    // A square or a step beyond the largest float counts as that, so that no parameter ever stops being finite.
    let square = min(g * g, LARGEST);
    var first = moments[index];
    var step = 0.0;
    if (setting.method == RMSPROP) {
        first = select(first + setting.first * (square - first), square, state.updates == 1u);
        step = learning_rate * g / sqrt(first + setting.epsilon);
    } else if (setting.method == SGD) {
        first = clamp(setting.first * first + g, -LARGEST, LARGEST);
        step = learning_rate * first;
    } else {
        var second = moments[size + index];
        first += setting.first * (g - first);
        second += setting.second * (square - second);
        moments[size + index] = second;
        let updates = f32(state.updates);
        let mean = first / one_minus_exp(updates * setting.first_log);
        let mean_square = min(second / one_minus_exp(updates * setting.second_log), LARGEST);
        step = learning_rate * mean / (sqrt(mean_square) + setting.epsilon);
    }
    moments[index] = first;
    step = clamp(step, -setting.max_step, setting.max_step);
    var value = clamp(parameters[index] - step, -LARGEST, LARGEST);
    if (role == WEIGHT || role == PLASTICITY) {
        value -= setting.l1 * sign(value) + setting.l2 * value;
    }
    if (role == PLASTICITY) {
        value = clamp(value, setting.plasticity_min, setting.plasticity_max);
    }
    if (role == RATE) {
        value = clamp(value, setting.rate_min, setting.rate_max);
    }
    parameters[index] = value;
}
