// Whole meta-steps of small networks, one after the other: episodes, forward, loss, {% if learn %}gradient, check, optimiser{% else %}check{% endif %}. {{ lanes }} lanes
// own one network and keep it in workgroup memory; a workgroup does {{ packed }} networks, which share nothing.
//
// parameters [P, …]{% if learn %}, moments [2, P, …], kinds [parameters] (tensor, role), settings [P]{% endif %}, states [P], progress [P],
{% if task %}
// keys [P]
{% else %}
// episodes: input [P·B or B, T, row], then target [P·B or B, T, output row], then mask [T], [P·B, T] or [B, T]
{% endif %}
//
// In workgroup memory the workgroup's networks are the last axis: `slot`.
{% include "extent.wgsl" %}
{% include "learning.wgsl" %}
{% include "finite.wgsl" %}
{% if learn %}
{% include "update.wgsl" %}
{% endif %}
{% if task %}
{% include "threefry.wgsl" %}
{% include "task.wgsl" %}
{% else %}
{% include "given.wgsl" %}
{% endif %}
{% for activation in activations %}
{% with of = "_" ~ activation %}
{% include "activation.wgsl" %}
{% endwith %}
{% endfor %}
{% for rule in rules %}
{% include "rule.wgsl" %}
{% endfor %}
{% set last = layers[-1] %}

// Of the networks: their parameters{% if learn %}, and the gradients{% endif %}.
var<workgroup> held: array<vec4<f32>, {{ packed * stride // 4 }}>;
{% if learn %}
var<workgroup> gradients: array<f32, {{ packed * stride }}>;
var<workgroup> peaks: array<f32, {{ packed * lanes }}>;
var<workgroup> squares: array<f32, {{ packed * lanes }}>;
var<workgroup> failures: array<u32, {{ packed * lanes }}>;
{% for layer in layers if layer.shares %}
// Each row's part of the gradients of the plasticity and of the rate that all its rows have together.
var<workgroup> parts{{ layer.index }}: array<vec2<f32>, {{ packed * layer.outputs }}>;
{% endfor %}
{% endif %}
// Of one episode each.
{% if task %}
var<workgroup> words: array<vec4<u32>, {{ packed * words }}>;
{% endif %}
var<workgroup> input: array<vec4<f32>, {{ packed * steps * layers[0].quads }}>;
var<workgroup> losses: array<f32, {{ packed * steps }}>;
{% for layer in layers %}
var<workgroup> output{{ layer.index }}: array<f32, {{ packed * steps * layer.outputs }}>;
{% if layer.drive %}
var<workgroup> drive{{ layer.index }}: array<f32, {{ packed * steps * layer.outputs }}>;
{% endif %}
{% if layer.kept %}
var<workgroup> kept{{ layer.index }}: array<vec4<f32>, {{ packed * layer.kept * layer.outputs * layer.quads }}>;
{% endif %}
{% if learn or loop.last %}
var<workgroup> signal{{ layer.index }}: array<f32, {{ packed * steps * layer.outputs }}>;
{% endif %}
{% endfor %}

{% include "sums.wgsl" %}

// Four parameters, and one.
fn held_quad(quad: u32, slot: u32) -> vec4<f32> {
    return held[quad * {{ packed }}u + slot];
}
fn held_one(at: u32, slot: u32) -> f32 {
    return held[at / 4u * {{ packed }}u + slot][at % 4u];
}

{% include "meta_episode.wgsl" %}
{% for layer in layers %}
{% include "meta_forward.wgsl" %}
{% if learn %}
{% include "meta_backward.wgsl" %}
{% if layer.index > 0 and not layer.is_bias %}
{% include "meta_input_gradient.wgsl" %}
{% endif %}
{% endif %}
{% endfor %}
{% if learn %}

// The gradient of four parameters.
fn gradients_of(quad: u32, slot: u32) -> vec4<f32> {
    let at = 4u * quad * {{ packed }}u + slot;
    return vec4<f32>(
        gradients[at], gradients[at + {{ packed }}u], gradients[at + {{ 2 * packed }}u], gradients[at + {{ 3 * packed }}u],
    );
}
{% endif %}

@compute @workgroup_size({{ packed * lanes }})
fn meta_step(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let slot = local % {{ packed }}u;
    let lane = local / {{ packed }}u;
    let index = (group.y * groups.x + group.x) * {{ packed }}u + slot;
    // No early return: slots beyond the last network repeat it and store nothing.
    let network = min(index, extent.networks - 1u);
    let stores = index < extent.networks;
    for (var quad = lane; quad < {{ stride // 4 }}u; quad += {{ lanes }}u) {
        held[quad * {{ packed }}u + slot] = parameters[network * {{ stride // 4 }}u + quad];
    }
{% if learn %}
    // {{ stride // 4 }}, but no constant, so that compilers do not write out the loops.
    let quads = arrayLength(&kinds) / 4u;
{% endif %}
    // Every lane of a network has the same of these.
    var state = states[network];
    var done = progress[network];

    for (var m = 0u; m < control[0].meta_steps; m++) {
        var loss = 0.0;
        for (var e = 0u; e < extent.batch; e++) {
            // Nobody needs the last episode's arrays any more.
            workgroupBarrier();
{% if task %}
            let counter = vec4<u32>(control[0].first_meta_step + done.meta_steps, e, 0u, 0u);
            make_episode(keys[network], counter, lane, slot);
{% else %}
            take_episode(network, e, lane, slot);
{% endif %}
            workgroupBarrier();
{% for layer in layers %}
            forward{{ layer.index }}(lane, slot);
            workgroupBarrier();
{% endfor %}
            loss_of_steps({{ "network, e, " if not task }}lane, slot);
            workgroupBarrier();
            var sum = 0.0;
            for (var t = 0u; t < extent.steps; t++) {
                sum += losses[t * {{ packed }}u + slot];
            }
            loss += sum / f32(extent.batch);
{% if learn %}
{% for layer in layers | reverse %}
            backward{{ layer.index }}(e, lane, slot);
{% if layer.index > 0 and not layer.is_bias %}
            workgroupBarrier();
            input_gradient{{ layer.index }}(lane, slot);
{% endif %}
            workgroupBarrier();
{% endfor %}
{% endif %}
        }

        // As in `check.wgsl`.
        var failed = NONE;
{% if learn %}
{% for layer in layers if layer.shares %}
        add_parts{{ layer.index }}(lane, slot);
{% if loop.last %}
        workgroupBarrier();
{% endif %}
{% endfor %}
        var found = Found(0.0, NONE);
        for (var quad = lane; quad < quads; quad += {{ lanes }}u) {
            let g = gradients_of(quad, slot);
            let learned = factors_of(network, quad) != vec4<f32>();
{% for c in "xyzw" %}
            found = look(found, g.{{ c }}, kinds[4u * quad + {{ loop.index0 }}u].x, learned.{{ c }});
{% endfor %}
        }
        var peak = found.peak;
        failed = found.failed;
        peaks[lane * {{ packed }}u + slot] = peak;
        failures[lane * {{ packed }}u + slot] = failed;
        workgroupBarrier();
        for (var other = 0u; other < {{ lanes }}u; other++) {
            peak = max(peak, peaks[other * {{ packed }}u + slot]);
            failed = min(failed, failures[other * {{ packed }}u + slot]);
        }
        // The norm, where it has a limit.
        let most = settings[network].settings.max_gradient_norm;
        let limited = is_limited(most, peak);
        let exponent = exponent_of(peak);
        var square = 0.0;
        if (limited) {
            for (var quad = lane; quad < quads; quad += {{ lanes }}u) {
                let learned = factors_of(network, quad) != vec4<f32>();
                let g = select(vec4<f32>(), gradients_of(quad, slot) * inverse_power_of_two(exponent), learned);
                square = add_products(g, g, square);
            }
        }
        squares[lane * {{ packed }}u + slot] = square;
        workgroupBarrier();
        var scale = 1.0;
        if (limited) {
            var sum = 0.0;
            for (var other = 0u; other < {{ lanes }}u; other++) {
                sum += squares[other * {{ packed }}u + slot];
            }
            scale = scale_to_norm(most, sum, exponent);
        }
{% endif %}
        failed = select(LOSS, failed, is_finite(loss));
        state = after(state, failed, control[0].first_meta_step + done.meta_steps, {{ "true" if learn else "false" }});
        done = Progress(done.meta_steps + 1u, done.loss + loss);
{% if learn %}
        if (state.failed == NONE) {
            let setting = settings[network].settings;
            for (var quad = lane; quad < quads; quad += {{ lanes }}u) {
                let at = network * quads + quad;
                let second_at = extent.networks * quads + at;
                let old = remembered(held_quad(quad, slot), at, second_at, setting);
                let factors = factors_of(network, quad);
                let g = gradients_of(quad, slot);
                let now = update(old, roles_of(quad), factors, g, scale, setting, state.updates);
                held[quad * {{ packed }}u + slot] = now.value;
                if (stores) {
                    remember(now, at, second_at, setting);
                }
            }
        }
{% endif %}
    }

    if (stores) {
{% if learn %}
        for (var quad = lane; quad < {{ stride // 4 }}u; quad += {{ lanes }}u) {
            parameters[network * {{ stride // 4 }}u + quad] = held[quad * {{ packed }}u + slot];
        }
{% endif %}
        if (lane == 0u) {
            states[network] = state;
            progress[network] = done;
        }
    }
}
