{# The scalars of a row in one step of the reverse sweep, from `y`, `c` and `by_bias`; where there is a trace also from `g`, `d`
   and `r`, where its retention is differentiated from `inner`, `lookback`, `small`, `driven` and `by_rate`. `f` ends the names of
   the activation's functions, `p` those of the rule's; `m` is the modulator. #}
{% if retention %}
            let retained = select(fma(-g, r, inner), d * lookback, small);
            let q = select(retained / select(d, 1.0, small), lookback, small);
{% endif %}
{% if not plastic %}
            let by_output = c;
{% elif retention and not steady %}
            let by_output = fma(q, retention_by_output{{ p }}(y, {{ m }}, rate), fma(r, gain_by_output{{ p }}(y, {{ m }}, rate), c));
{% else %}
            let by_output = fma(r, gain_by_output{{ p }}(y, {{ m }}, rate), c);
{% endif %}
            let by_input = derivative{{ f }}(y);
            let delta = by_output * by_input;
{% if biased %}
            by_bias = fma(by_output, by_input, by_bias);
{% endif %}
{% if retention %}
            by_rate = fma(q, retention_by_rate{{ p }}(y, {{ m }}, rate), fma(r, gain_by_rate{{ p }}(y, {{ m }}, rate), by_rate));
            inner = fma(delta, driven, retained);
{% endif %}
