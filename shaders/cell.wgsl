{# What the kernels of a cell have in common. Of `P·B` episodes, a state is `[P·B, O, J]`, a plane. #}
{% from "cell_parts.wgsl" import parameter %}
// What a synapse is made of: network `network`, episode `episode` of all networks, step `t` of a segment, from neuron `j` to neuron `i`.

fn states_of_plane() -> u32 {
    return extent.networks * extent.episodes * {{ outputs * presynaptic }}u;
}
{% if recurrent and (needs.presynaptic or needs.activity) %}

// The activity of a recurrent layer's neuron `j` after the step before.
fn activity_in_memory(episode: u32, t: u32, j: u32) -> f32 {
    if (t == 0u) {
        return {% if goes_on %}before[episode * {{ outputs }}u + j]{% else %}0.0{% endif %};
    }
    return output[(episode * extent.steps + t - 1u) * {{ output_row }}u + j];
}
{% endif %}
{% if needs.presynaptic %}

fn presynaptic(episode: u32, t: u32, j: u32) -> f32 {
{% if plastic_bias %}
    if (j == {{ presynaptic - 1 }}u) {
        return 1.0;
    }
{% endif %}
    return {% if recurrent %}activity_in_memory{% else %}input_of{% endif %}(episode, t, j);
}
{% endif %}
{% if needs.input %}

fn input_of(episode: u32, t: u32, k: u32) -> f32 {
    let first_step = episode * extent.steps;
{% include "first_input.wgsl" %}
    return input[(first_input + t) * {{ row }}u + k];
}
{% endif %}
{% if plastic and needs.plasticity %}

fn plasticity(network: u32, i: u32, j: u32) -> f32 {
    return {{ parameter(stride, plasticity_at, plasticity, presynaptic) }};
}
{% endif %}
{% if plastic and needs.rule %}

{% include "rule.wgsl" %}

{# What all synapses of a row have: its activity, and that from which its modulator is made. #}
fn synapse_of_row(network: u32, i: u32, y: f32, modulator: f32) -> Synapse {
    var s: Synapse;
    s.y = y;
    s.rate = {{ parameter(stride, rate_at, rate_per, presynaptic) }};
{% if modulation.source == "network" and modulation.per == "neuron" %}
    s.m = fma(parameters[network * {{ stride }}u + {{ modulation.fan_out_weight_at }}u + i], modulator, parameters[network * {{ stride }}u + {{ modulation.fan_out_bias_at }}u + i]);
{% else %}
    s.m = modulator;
{% endif %}
    return s;
}
{% if needs.row %}

fn row_in_memory(network: u32, episode: u32, t: u32, i: u32) -> Synapse {
    let y = output[(episode * extent.steps + t) * {{ output_row }}u + i];
    return synapse_of_row(network, i, y, modulator_in_memory(episode, t, i));
}
{% endif %}

// What a modulator is made of: 1 where there is none.
fn modulator_in_memory(episode: u32, t: u32, i: u32) -> f32 {
{% if modulation.source == "" %}
    return 1.0;
{% else %}
    let at = t * extent.networks * extent.episodes + episode;
{% if modulation.source == "episodes" and modulation.per == "neuron" %}
    return modulators[at * {{ outputs }}u + i];
{% elif modulation.per == "neuron" or modulation.per == "layer" %}
    return modulators[at];
{% else %}
{{ unknown("modulation", modulation.per) }}
{% endif %}
{% endif %}
}

fn synapse(of_row: Synapse, network: u32, i: u32, j: u32, x: f32, h: f32, e: f32) -> Synapse {
    var s = of_row;
    s.x = x;
    s.h = h;
    s.e = e;
{% for it in coefficients %}
    s.k{{ loop.index0 }} = {{ parameter(stride, it.at, it.per, presynaptic) }};
{% endfor %}
    return s;
}

// The trace, held to its bound, and the eligibility trace after the step; a NaN stays one.
fn updated(s: Synapse) -> vec2<f32> {
{% if bound is none %}
    return new_traces(s);
{% else %}
    var next = new_traces(s);
    next.x = select(next.x, -{{ bound }}, next.x < -{{ bound }});
    next.x = select(next.x, {{ bound }}, {{ bound }} < next.x);
    return next;
{% endif %}
}
{% endif %}
