// The reverse-time sweep of one layer. {{ lanes }} lanes own one row of synapses of one block of episodes; a lane keeps
// {{ 4 * quads }} synapses' adjoint trace M and gradient sums in registers for all steps and episodes. No trace is stored:
// with ∂L/∂H_ij(t) = G_ij(t) = α_ij M_ij(t) + e_i(t) Ḡ_ij the sweep is a Hebbian trace that runs backwards.
//
//     r_i     = Σ_j G_ij(t+1) x_j(t)                        q_i = (S_i(t+1) - g_i r_i) / d_i
//     δ_i(t)  = (c_i(t) + r_i ∂g_i/∂y_i + q_i ∂d_i/∂y_i) f'_i(t)
//     dα_ij  += g_i(t) x_j(t) M_ij(t+1)                     dw_ij += δ_i(t) x_j(t)
//     S_i(t)  = S_i(t+1) - g_i r_i + δ_i(t) p_i(t)          M_ij(t) = d_i(t) M_ij(t+1) + δ_i(t) x_j(t)
//
// input [P·B, T, row]; output, drive and signal [P·B, T, output row]; partials [P, blocks, …];
// traces [slot, P·B, O, row] with Ḡ, if there is one, in slot 0; adjoint [slot, P·B, O, row] then [slot, P·B, O, 4]
{% include "extent.wgsl" %}

{% include "activation.wgsl" %}

{% if plastic %}
{% include "rule.wgsl" %}

{% endif %}
{% if plastic %}
{% include "row_sum.wgsl" %}

{% endif %}
@compute @workgroup_size({{ workgroup }})
fn backward(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let rows = extent.networks * extent.blocks * {{ outputs }}u;
    let index = (group.y * groups.x + group.x) * {{ workgroup // lanes }}u + local / {{ lanes }}u;
    let lane = local % {{ lanes }}u;
    // No early return: lanes beyond the last row repeat it and store nothing.
    let block_row = min(index, rows - 1u);
    let i = block_row % {{ outputs }}u;
    let block = block_row / {{ outputs }}u;
    let network = block / extent.blocks;
{% if plastic %}
{% include "row_parameters.wgsl" %}
{% if trace_in or upstream or adjoint or initial_gradient %}
    let trace_rows = extent.networks * extent.episodes * {{ outputs * row // 4 }}u;
{% endif %}
{% endif %}

    let partial_at = block * {{ partial_stride // 4 }}u;
    let by_weight_at = partial_at + {{ partial_weight_at // 4 }}u + i * {{ row // 4 }}u + lane;
{% if plasticity == "connection" %}
    let by_plasticity_at = partial_at + {{ partial_plasticity_at // 4 }}u + i * {{ row // 4 }}u + lane;
{% endif %}
    // The rows' own sums: by bias, by plasticity (where it is not per connection), by rate.
    let by_row_at = partial_at + {{ partial_rows_at // 4 }}u + i;
    // A cut within a block goes on with the block's sums.
    let goes_on = extent.accumulate == 1u;
{% for q in range(quads) %}
    var dw{{ q }} = select(vec4<f32>(), partials[by_weight_at + {{ q * lanes }}u], goes_on);
{% if plasticity == "connection" %}
    var da{{ q }} = select(vec4<f32>(), partials[by_plasticity_at + {{ q * lanes }}u], goes_on);
{% elif plastic %}
    var da{{ q }} = vec4<f32>();
{% endif %}
{% endfor %}
    let earlier = select(vec4<f32>(), partials[by_row_at], goes_on);
    var by_bias = earlier.x;
    var by_rate = earlier.z;
    var turn = 0u;

    for (var e = 0u; e < extent.block_episodes; e++) {
        let within = block % extent.blocks * {{ episode_block }}u + e;
        let live = index < rows && within < extent.episodes;
        let episode = network * extent.episodes + min(within, extent.episodes - 1u);
{% if plastic %}
        let trace_at = (episode * {{ outputs }}u + i) * {{ row // 4 }}u + lane;
{% for q in range(quads) %}
{% if adjoint %}
        var m{{ q }} = select(adjoint[extent.adjoint_slot * trace_rows + trace_at + {{ q * lanes }}u], vec4<f32>(), extent.last_segment == 1u || !live);
{% else %}
        var m{{ q }} = vec4<f32>();
{% endif %}
{% if upstream %}
        let u{{ q }} = select(vec4<f32>(), traces[trace_at + {{ q * lanes }}u], live);
{% endif %}
{% endfor %}
        // e_i(t + 1) and S_i(t + 1)
        var decay = 1.0;
        var inner = 0.0;
{% if upstream and retention %}
        var last_sum = vec4<f32>();
{% for q in range(quads) %}
        last_sum = fma(u{{ q }}, traces[extent.trace_end * trace_rows + trace_at + {{ q * lanes }}u], last_sum);
{% endfor %}
        inner = row_sum({{ open }}total(last_sum){{ close }}, local, turn){{ first }};
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

        for (var back = 0u; back < extent.steps; back++) {
            let t = extent.steps - 1u - back;
            let step = episode * extent.steps + t;
            let input_at = step * {{ row // 4 }}u + lane;
            let here = step * {{ output_row }}u + i;
            let y = output[here];
            let c = select(0.0, signal[here], live);
{% for q in range(quads) %}
            let x{{ q }} = input[input_at + {{ q * lanes }}u];
{% endfor %}
{% if plastic %}
            let d = retention(y, rate);
            let g = gain(y, rate);
            var read = a0 * m0 * x0;
{% for q in range(1, quads) %}
            read = fma(a{{ q }} * m{{ q }}, x{{ q }}, read);
{% endfor %}
{% if upstream %}
            var read_upstream = u0 * x0;
{% for q in range(1, quads) %}
            read_upstream = fma(u{{ q }}, x{{ q }}, read_upstream);
{% endfor %}
            read = fma(vec4<f32>(decay), read_upstream, read);
{% endif %}
{% if retention %}
            // Below this retention its gradient is summed from its definition, since the recurrence divides by it.
            let small = abs(d) < {{ small_retention }};
            var lookback = 0.0;
            if (small) {
{% for q in range(quads) %}
                let towards{{ q }} = a{{ q }} * m{{ q }}{% if upstream %} + decay * u{{ q }}{% endif %};
{% endfor %}
                var product = 1.0;
                for (var before = 1u; before <= t; before++) {
                    let past = step - before;
                    let y_past = output[past * {{ output_row }}u + i];
                    let past_at = past * {{ row // 4 }}u + lane;
                    var part = towards0 * input[past_at];
{% for q in range(1, quads) %}
                    part = fma(towards{{ q }}, input[past_at + {{ q * lanes }}u], part);
{% endfor %}
                    lookback = fma(product * gain(y_past, rate), total(part), lookback);
                    product *= retention(y_past, rate);
                    if (abs(product) < 1e-14) {
                        break;
                    }
                }
{% if trace_in %}
                if (abs(product) >= 1e-14) {
                    var part = towards0 * traces[extent.trace_start * trace_rows + trace_at];
{% for q in range(1, quads) %}
                    part = fma(towards{{ q }}, traces[extent.trace_start * trace_rows + trace_at + {{ q * lanes }}u], part);
{% endfor %}
                    lookback = fma(product, total(part), lookback);
                }
{% endif %}
            }
            let sums = row_sum(vec2<f32>(total(read), lookback), local, turn);
            turn++;
            let r = sums.x;
            let retained = select(inner - g * r, d * sums.y, small);
            let q = select(retained / select(d, 1.0, small), sums.y, small);
{% else %}
            let r = row_sum(total(read), local, turn);
            turn++;
{% endif %}
            let by_output = c + r * gain_by_output(y, rate){% if retention %} + q * retention_by_output(y, rate){% endif %};
            let delta = by_output * derivative(y);
{% if retention %}
            by_rate += r * gain_by_rate(y, rate) + q * retention_by_rate(y, rate);
            inner = fma(delta, drive[here], retained);
{% endif %}
{% else %}
            let delta = c * derivative(y);
{% endif %}
            by_bias += delta;
{% if signal_out %}
            if (live && lane == 0u) {
                signal[here] = delta;
            }
{% endif %}
{% for q in range(quads) %}
{% if plastic %}
            da{{ q }} = fma(g * x{{ q }}, m{{ q }}, da{{ q }});
            m{{ q }} = fma(vec4<f32>(delta), x{{ q }}, d * m{{ q }});
{% endif %}
            dw{{ q }} = fma(vec4<f32>(delta), x{{ q }}, dw{{ q }});
{% endfor %}
{% if plastic %}
            decay *= d;
{% endif %}
        }
{% if plastic and trace_in %}

        if (extent.first_segment == 1u) {
{% for q in range(quads) %}
            da{{ q }} = fma(traces[extent.trace_start * trace_rows + trace_at + {{ q * lanes }}u], m{{ q }}, da{{ q }});
{% endfor %}
        }
{% endif %}
{% if plastic and (adjoint or initial_gradient) %}

        if (live) {
            let slot_at = (1u - extent.adjoint_slot) * trace_rows + trace_at;
{% if initial_gradient %}
            if (extent.first_segment == 1u) {
{% for q in range(quads) %}
                adjoint[slot_at + {{ q * lanes }}u] = a{{ q }} * m{{ q }}{% if upstream %} + decay * u{{ q }}{% endif %};
{% endfor %}
            }
{% endif %}
{% if adjoint %}
            if (extent.first_segment == 0u) {
{% for q in range(quads) %}
                adjoint[slot_at + {{ q * lanes }}u] = m{{ q }};
{% endfor %}
                if (lane == 0u) {
                    adjoint[state_at + (1u - extent.adjoint_slot) * state_rows] = vec4<f32>(decay, inner, 0.0, 0.0);
                }
            }
{% endif %}
        }
{% endif %}
    }

{% if plastic and plasticity != "connection" %}
    var da = da0;
{% for q in range(1, quads) %}
    da += da{{ q }};
{% endfor %}
    let by_plasticity = earlier.y + row_sum({{ open }}total(da){{ close }}, local, turn){{ first }};
{% else %}
    let by_plasticity = 0.0;
{% endif %}
    if (index < rows) {
{% for q in range(quads) %}
        partials[by_weight_at + {{ q * lanes }}u] = dw{{ q }};
{% if plasticity == "connection" %}
        partials[by_plasticity_at + {{ q * lanes }}u] = da{{ q }};
{% endif %}
{% endfor %}
        if (lane == 0u) {
            partials[by_row_at] = vec4<f32>(by_bias, by_plasticity, by_rate, 0.0);
        }
    }
}
