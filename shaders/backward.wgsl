{% from "tile.wgsl" import each_row %}
{# Lanes of a subgroup that have the same row; what a row has beside its synapses. #}
{% set shared = shuffled // rows %}
{% set row_arrays = ["output", "signal"] + (["drive"] if plastic and retention else []) + (["modulation"] if modulated else []) %}
{% set m = "m" if modulated else "1.0" %}
{# The modulator of step `t` and row `i`. #}
{% macro modulator_of(t, i) %}modulators[({{ t }} * episodes + episode) * {{ modulators }}u{% if modulators > 1 %} + {{ i }}{% endif %}]{% endmacro %}
{# What the lane's row has at step `t` in an array whose element that is number `at`. #}
{% macro of_step(name, t, at) %}{% if name == "modulation" %}{{ modulator_of(t, "i") }}{% elif name == "drive" and modulated %}modulators[drive_at + {{ at }}]{% else %}{{ name }}[{{ at }}]{% endif %}{% endmacro %}
{# Four of a row's G_ij(t + 1). #}
{% macro by_trace(r, q, upstream) %}{% if upstream %}fma(vec4<f32>(decay{{ r }}), u{{ r }}_{{ q }}, a{{ r }}_{{ q }} * m{{ r }}_{{ q }}){% else %}a{{ r }}_{{ q }} * m{{ r }}_{{ q }}{% endif %}{% endmacro %}
// The reverse-time sweep of one layer. {{ lanes }} lanes own a tile of {{ rows }} rows of synapses of one block of episodes;
// a lane keeps the adjoint trace M and the gradient sums of {{ 4 * quads }} synapses of each row in registers for all steps
// and episodes. It needs no step's trace: with ∂L/∂H_ij(t) = G_ij(t) = α_ij M_ij(t) + e_i(t) Ḡ_ij the sweep is a Hebbian trace
// that runs backwards.
//
//     r_i     = Σ_j G_ij(t+1) x_j(t)                        q_i = (S_i(t+1) - g_i r_i) / d_i
//     δ_i(t)  = (c_i(t) + r_i ∂g_i/∂y_i + q_i ∂d_i/∂y_i) f'_i(t)
//     dα_ij  += g_i(t) x_j(t) M_ij(t+1)                     dw_ij += δ_i(t) x_j(t)
//     S_i(t)  = S_i(t+1) - g_i r_i + δ_i(t) p_i(t)          M_ij(t) = d_i(t) M_ij(t+1) + δ_i(t) x_j(t)
//
// input [P·B or B, T, row]; output, drive and signal [P·B, T, output row]; partials [P, blocks, …];
// traces [slot, P·B, O, row] with Ḡ, if there is one, in slot 0, then the kept ones; adjoint [slot, P·B, O, row] then
// [slot, P·B, O, 4]; where there are modulators, [T, P·B, 1 or O], the drive follows them, then ∂L/∂m_i = r_i ∂g_i/∂m_i +
// q_i ∂d_i/∂m_i, [T, P·B, O]
{% include "extent.wgsl" %}

{% include "activation.wgsl" %}

{% if plastic %}
{% include "rule.wgsl" %}

{% include "sums.wgsl" %}

{% endif %}
{% if plastic %}
{% include "row_sum.wgsl" %}

{% endif %}
{% include "of_rows.wgsl" %}

@compute @workgroup_size({{ workgroup }})
fn backward(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
{% if shared > 1 %}
    @builtin(subgroup_invocation_id) in_subgroup: u32,
{% endif %}
) {
    let tiles = extent.networks * extent.blocks * {{ tiles }}u;
    let index = (group.y * groups.x + group.x) * {{ workgroup // lanes }}u + local / {{ lanes }}u;
    let lane = local % {{ lanes }}u;
    // No early return: lanes beyond the last tile repeat it and store nothing.
    let block_tile = min(index, tiles - 1u);
    let block = block_tile / {{ tiles }}u;
    let network = block / extent.blocks;
    let i0 = block_tile % {{ tiles }}u * {{ rows }}u;
{% for r in range(1, rows) %}
    let i{{ r }} = i0 + {{ r }}u;
{% endfor %}
    // Every lane does what a row needs beside its synapses for one of the rows; the first lanes store it.
    let i = i0 + lane % {{ rows }}u;
    let stores = index < tiles && lane < {{ rows }}u;
    // Of {{ shared }} steps, which one this lane loads for its row, and the first of the subgroup's lanes that do.
    let own_step = lane % {{ shuffled }}u / {{ rows }}u;
{% if shared > 1 %}
    let holders = in_subgroup - own_step * {{ rows }}u;
{% endif %}
{% if plastic %}
{% include "row_parameters.wgsl" %}
{% if retention %}
    {{ each_row("rate", rows) }}
{% endif %}
{% if steady %}
    // This rule's retention is the same at every step.
    let d = retention(0.0, 1.0, rate);
    {{ each_row("d", rows) }}
{% endif %}
{% if modulated %}
    let episodes = extent.networks * extent.episodes;
    let drive_at = extent.steps * episodes * {{ modulators }}u;
{% if modulator_gradient %}
    let gradient_at = drive_at{% if retention %} + extent.steps * episodes * {{ output_row }}u{% endif %};
{% endif %}
{% endif %}
{% if trace_in or upstream or adjoint or initial_gradient or kept %}
    let trace_rows = extent.networks * extent.episodes * {{ outputs * row // 4 }}u;
{% endif %}
{% endif %}

    let partial_at = block * {{ partial_stride // 4 }}u;
{% for r in range(rows) %}
    let by_weight_at{{ r }} = partial_at + {{ partial_weight_at // 4 }}u + i{{ r }} * {{ row // 4 }}u + lane;
{% if plasticity == "connection" %}
    let by_plasticity_at{{ r }} = partial_at + {{ partial_plasticity_at // 4 }}u + i{{ r }} * {{ row // 4 }}u + lane;
{% endif %}
{% endfor %}
    // The rows' own sums: by bias, by plasticity (where it is not per connection), by rate.
    let by_row_at = partial_at + {{ partial_rows_at // 4 }}u + i;
    // A cut within a block goes on with the block's sums.
    let goes_on = extent.accumulate == 1u;
{% for r in range(rows) %}
{% for q in range(quads) %}
    var dw{{ r }}_{{ q }} = select(vec4<f32>(), partials[by_weight_at{{ r }} + {{ q * lanes }}u], goes_on);
{% if plasticity == "connection" %}
    var da{{ r }}_{{ q }} = select(vec4<f32>(), partials[by_plasticity_at{{ r }} + {{ q * lanes }}u], goes_on);
{% elif plastic %}
    var da{{ r }}_{{ q }} = vec4<f32>();
{% endif %}
{% endfor %}
{% endfor %}
    let earlier = select(vec4<f32>(), partials[by_row_at], goes_on);
    var by_bias = earlier.x;
    var by_rate = earlier.z;
    var turn = 0u;

    for (var e = 0u; e < extent.block_episodes; e++) {
        let within = block % extent.blocks * {{ episode_block }}u + e;
        let live = index < tiles && within < extent.episodes;
        let episode = network * extent.episodes + min(within, extent.episodes - 1u);
{% if plastic %}
{% for r in range(rows) %}
        let trace_at{{ r }} = (episode * {{ outputs }}u + i{{ r }}) * {{ row // 4 }}u + lane;
{% for q in range(quads) %}
{% if adjoint %}
        var m{{ r }}_{{ q }} = select(adjoint[extent.adjoint_slot * trace_rows + trace_at{{ r }} + {{ q * lanes }}u], vec4<f32>(), extent.last_segment == 1u || !live);
{% else %}
        var m{{ r }}_{{ q }} = vec4<f32>();
{% endif %}
{% if upstream %}
        let u{{ r }}_{{ q }} = select(vec4<f32>(), traces[trace_at{{ r }} + {{ q * lanes }}u], live);
{% endif %}
{% endfor %}
{% endfor %}
        // e_i(t + 1) and S_i(t + 1)
        var decay = 1.0;
        var inner = 0.0;
{% if upstream and retention %}
{% for r in range(rows) %}
        var last_sum{{ r }} = vec4<f32>();
{% for q in range(quads) %}
        last_sum{{ r }} = fma(u{{ r }}_{{ q }}, traces[extent.trace_end * trace_rows + trace_at{{ r }} + {{ q * lanes }}u], last_sum{{ r }});
{% endfor %}
{% endfor %}
        inner = row_sum({% for r in range(rows) %}total(last_sum{{ r }}), {% endfor %}{% for r in range(rows) %}0.0, {% endfor %}local, turn).x;
        turn++;
{% endif %}
{% if adjoint %}
        let state_at = {{ adjoint_slots }}u * trace_rows + episode * {{ outputs }}u + i;
        let state_rows = extent.networks * extent.episodes * {{ outputs }}u;
        if (extent.last_segment == 0u) {
            let state = adjoint[state_at + extent.adjoint_slot * state_rows];
            decay = state.x;
            inner = select(0.0, state.y, live);
        }
{% endif %}
{% endif %}

        // The presynaptic activity is loaded a step ahead; output, signal and drive {{ shared }} steps at once, one by each of
        // the lanes that have the row, and so many ahead.
        let first_step = episode * extent.steps;
        let last_step = first_step + extent.done - 1u;
{% include "first_input.wgsl" %}
{% for q in range(quads) %}
        var next_x{{ q }} = input[(first_input + extent.done - 1u) * {{ row // 4 }}u + lane + {{ q * lanes }}u];
{% endfor %}
        let first_at = (last_step - min(own_step, extent.done - 1u)) * {{ output_row }}u + i;
{% for name in row_arrays %}
        var next_{{ name }} = {{ of_step(name, "(extent.done - 1u - min(own_step, extent.done - 1u))", "first_at") }};
        var {{ name }}s = 0.0;
{% endfor %}
        for (var back = 0u; back < extent.done; back++) {
            let t = extent.done - 1u - back;
            let step = first_step + t;
            let here = step * {{ output_row }}u + i;
            if (back % {{ shared }}u == 0u) {
                let next_at = (step - min(own_step + {{ shared }}u, t)) * {{ output_row }}u + i;
{% for name in row_arrays %}
                {{ name }}s = next_{{ name }};
                next_{{ name }} = {{ of_step(name, "(t - min(own_step + " ~ shared ~ "u, t))", "next_at") }};
{% endfor %}
{% if signal_out and lanes > shuffled %}
                // No subgroup of the tile puts gradients in the place of signals that another has yet to load.
                storageBarrier();
{% endif %}
            }
{% if shared > 1 %}
            let holder = holders + back % {{ shared }}u * {{ rows }}u;
            let y = subgroupShuffle(outputs, holder);
            let c = select(0.0, subgroupShuffle(signals, holder), live);
{% if plastic and retention %}
            let driven = subgroupShuffle(drives, holder);
{% endif %}
{% if modulated %}
            let m = subgroupShuffle(modulations, holder);
{% endif %}
{% else %}
            let y = outputs;
            let c = select(0.0, signals, live);
{% if plastic and retention %}
            let driven = drives;
{% endif %}
{% if modulated %}
            let m = modulations;
{% endif %}
{% endif %}
{% for q in range(quads) %}
            let x{{ q }} = next_x{{ q }};
            next_x{{ q }} = input[(first_input + t - min(t, 1u)) * {{ row // 4 }}u + lane + {{ q * lanes }}u];
{% endfor %}
{% if plastic %}
{% if not steady %}
            let d = retention(y, {{ m }}, rate);
            {{ each_row("d", rows) }}
{% endif %}
            let g = gain(y, {{ m }}, rate);
            {{ each_row("g", rows) }}
{% if upstream %}
            {{ each_row("decay", rows) }}
{% endif %}
{% if retention %}
{% if kept %}
            // Rounding errors of S add up. It is made afresh where the trace after the step was kept.
            let now = extent.first_step + t;
            if ((now + 1u) % {{ checkpoint }}u == 0u && (back > 0u || extent.last_segment == 0u)) {
                let kept_at = ({{ first_kept }}u + (now + 1u) / {{ checkpoint }}u - 1u - extent.first_step / {{ checkpoint }}u) * trace_rows;
{% for r in range(rows) %}
                var kept{{ r }} = vec4<f32>();
{% for q in range(quads) %}
                kept{{ r }} = fma({{ by_trace(r, q, upstream) }}, traces[kept_at + trace_at{{ r }} + {{ q * lanes }}u], kept{{ r }});
{% endfor %}
{% endfor %}
                inner = row_sum({% for r in range(rows) %}total(kept{{ r }}), {% endfor %}{% for r in range(rows) %}0.0, {% endfor %}local, turn).x;
                turn++;
            }
{% endif %}
            // Below this retention its gradient is summed from its definition, since the recurrence divides by it.
            let small = abs(d) < {{ small_retention }};
{% for r in range(rows) %}
            var product{{ r }} = select(0.0, 1.0, abs(d{{ r }}) < {{ small_retention }});
            var lookback{{ r }} = 0.0;
{% endfor %}
            if ({% for r in range(rows) %}{{ " || " if r else "" }}product{{ r }} != 0.0{% endfor %}) {
{% if kept %}
                // The last trace that was kept ends the sum.
                let since = now % {{ checkpoint }}u;
                let to_kept = since < t;
                let most = select(t, since, to_kept);
{% else %}
                let most = t;
{% endif %}
                for (var before = 1u; before <= most; before++) {
                    if ({% for r in range(rows) %}{{ " && " if r else "" }}abs(product{{ r }}) < {{ least_product }}{% endfor %}) {
                        break;
                    }
                    let past = step - before;
                    let past_at = (first_input + t - before) * {{ row // 4 }}u + lane;
{% for r in range(rows) %}
                    var part{{ r }} = vec4<f32>();
{% endfor %}
{% for q in range(quads) %}
                    let past_x{{ q }} = input[past_at + {{ q * lanes }}u];
{% for r in range(rows) %}
                    part{{ r }} = fma({{ by_trace(r, q, upstream) }}, past_x{{ q }}, part{{ r }});
{% endfor %}
{% endfor %}
{% for r in range(rows) %}
                    let past_y{{ r }} = output[past * {{ output_row }}u + i{{ r }}];
{% set past_m = "past_m" ~ r if modulated else "1.0" %}
{% if modulated %}
                    let past_m{{ r }} = {{ modulator_of("(t - before)", "i" ~ r) }};
{% endif %}
                    lookback{{ r }} = fma(product{{ r }} * gain(past_y{{ r }}, {{ past_m }}, rate{{ r }}), total(part{{ r }}), lookback{{ r }});
                    product{{ r }} *= retention(past_y{{ r }}, {{ past_m }}, rate{{ r }});
{% endfor %}
                }
{% if trace_in or kept %}
                if ({% if not trace_in %}to_kept && ({% endif %}{% for r in range(rows) %}{{ " || " if r else "" }}abs(product{{ r }}) >= {{ least_product }}{% endfor %}{% if not trace_in %}){% endif %}) {
{% if kept %}
                    let kept_at = {{ first_kept }}u + now / {{ checkpoint }}u - 1u - extent.first_step / {{ checkpoint }}u;
                    let first_at = {% if trace_in %}select(extent.trace_start, kept_at, to_kept){% else %}kept_at{% endif %} * trace_rows;
{% else %}
                    let first_at = extent.trace_start * trace_rows;
{% endif %}
{% for r in range(rows) %}
                    var part{{ r }} = vec4<f32>();
{% for q in range(quads) %}
                    part{{ r }} = fma({{ by_trace(r, q, upstream) }}, traces[first_at + trace_at{{ r }} + {{ q * lanes }}u], part{{ r }});
{% endfor %}
                    lookback{{ r }} = fma(product{{ r }}, total(part{{ r }}), lookback{{ r }});
{% endfor %}
                }
{% endif %}
            }
{% endif %}
{% for r in range(rows) %}
{% for q in range(quads) %}
            let mx{{ r }}_{{ q }} = m{{ r }}_{{ q }} * x{{ q }};
            da{{ r }}_{{ q }} = fma(vec4<f32>(g{{ r }}), mx{{ r }}_{{ q }}, da{{ r }}_{{ q }});
{% for c in parts_of_quad %}
{% if loop.first and q == 0 %}
            var read{{ r }} = a{{ r }}_{{ q }}.{{ c }} * mx{{ r }}_{{ q }}.{{ c }};
{% if upstream %}
            var upstream{{ r }} = u{{ r }}_{{ q }}.{{ c }} * x{{ q }}.{{ c }};
{% endif %}
{% else %}
            read{{ r }} = fma(a{{ r }}_{{ q }}.{{ c }}, mx{{ r }}_{{ q }}.{{ c }}, read{{ r }});
{% if upstream %}
            upstream{{ r }} = fma(u{{ r }}_{{ q }}.{{ c }}, x{{ q }}.{{ c }}, upstream{{ r }});
{% endif %}
{% endif %}
{% endfor %}
{% endfor %}
{% if upstream %}
            read{{ r }} = fma(decay{{ r }}, upstream{{ r }}, read{{ r }});
{% endif %}
{% endfor %}
{% if retention %}
            let sums = row_sum({% for r in range(rows) %}read{{ r }}, {% endfor %}{% for r in range(rows) %}lookback{{ r }}, {% endfor %}local, turn);
            turn++;
            let r = sums.x;
            let lookback = sums.y;
{% else %}
            let r = row_sum({% for r in range(rows) %}read{{ r }}, {% endfor %}local, turn);
            turn++;
{% endif %}
{% endif %}
{% with f = "", p = "", biased = true %}
{% include "reverse_step.wgsl" %}
{% endwith %}
{% if signal_out %}
            if (live && stores) {
                signal[here] = delta;
            }
{% endif %}
{% if modulated and modulator_gradient %}
            if (live && stores) {
                let by_gain = r * gain_by_modulator(y, m, rate);
                modulators[gradient_at + (t * episodes + episode) * {{ outputs }}u + i] = {% if retention %}fma(q, retention_by_modulator(y, m, rate), by_gain){% else %}by_gain{% endif %};
            }
{% endif %}
            {{ each_row("delta", rows) }}
{% for r in range(rows) %}
{% for q in range(quads) %}
{% if plastic %}
            m{{ r }}_{{ q }} = fma(vec4<f32>(delta{{ r }}), x{{ q }}, d{{ r }} * m{{ r }}_{{ q }});
{% endif %}
            dw{{ r }}_{{ q }} = fma(vec4<f32>(delta{{ r }}), x{{ q }}, dw{{ r }}_{{ q }});
{% endfor %}
{% endfor %}
{% if plastic %}
            decay *= d;
{% endif %}
        }
{% if plastic and trace_in %}

        if (extent.first_segment == 1u) {
{% for r in range(rows) %}
{% for q in range(quads) %}
            da{{ r }}_{{ q }} = fma(traces[extent.trace_start * trace_rows + trace_at{{ r }} + {{ q * lanes }}u], m{{ r }}_{{ q }}, da{{ r }}_{{ q }});
{% endfor %}
{% endfor %}
        }
{% endif %}
{% if plastic and (adjoint or initial_gradient) %}

{% if initial_gradient and upstream %}
        {{ each_row("decay", rows) }}
{% endif %}
        let slot_at = (1u - extent.adjoint_slot) * trace_rows;
{% if initial_gradient %}
        if (live && extent.first_segment == 1u) {
{% for r in range(rows) %}
{% for q in range(quads) %}
            adjoint[slot_at + trace_at{{ r }} + {{ q * lanes }}u] = {% if upstream %}fma(vec4<f32>(decay{{ r }}), u{{ r }}_{{ q }}, a{{ r }}_{{ q }} * m{{ r }}_{{ q }}){% else %}a{{ r }}_{{ q }} * m{{ r }}_{{ q }}{% endif %};
{% endfor %}
{% endfor %}
        }
{% endif %}
{% if adjoint %}
        if (live && extent.first_segment == 0u) {
{% for r in range(rows) %}
{% for q in range(quads) %}
            adjoint[slot_at + trace_at{{ r }} + {{ q * lanes }}u] = m{{ r }}_{{ q }};
{% endfor %}
{% endfor %}
            if (stores) {
                adjoint[state_at + (1u - extent.adjoint_slot) * state_rows] = vec4<f32>(decay, inner, 0.0, 0.0);
            }
        }
{% endif %}
{% endif %}
    }

{% if plastic and plasticity != "connection" %}
{% for r in range(rows) %}
    var da{{ r }} = da{{ r }}_0;
{% for q in range(1, quads) %}
    da{{ r }} += da{{ r }}_{{ q }};
{% endfor %}
{% endfor %}
    let by_plasticity = earlier.y + row_sum({% for r in range(rows) %}total(da{{ r }}), {% endfor %}{% if retention %}{% for r in range(rows) %}0.0, {% endfor %}{% endif %}local, turn){% if retention %}.x{% endif %};
{% else %}
    let by_plasticity = 0.0;
{% endif %}
    if (index < tiles) {
{% for r in range(rows) %}
{% for q in range(quads) %}
        partials[by_weight_at{{ r }} + {{ q * lanes }}u] = dw{{ r }}_{{ q }};
{% if plasticity == "connection" %}
        partials[by_plasticity_at{{ r }} + {{ q * lanes }}u] = da{{ r }}_{{ q }};
{% endif %}
{% endfor %}
{% endfor %}
    }
    if (stores) {
        partials[by_row_at] = vec4<f32>(by_bias, by_plasticity, by_rate, 0.0);
    }
}
