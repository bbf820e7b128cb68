{# The loss of one step, `step_loss`, and `scale` times its gradient on the output. Of neuron `o`, `y` is the output,
   `wanted_y` the target and `c` where its gradient belongs. #}
        var step_loss = 0.0;
{% if loss == "squared-error" %}
        for (var o = 0u; o < {{ outputs }}u; o++) {
            let difference = {{ y }} - {{ wanted_y }};
            step_loss = fma(difference, difference, step_loss);
            {{ c }} = scale * (difference + difference);
        }
{% elif loss == "softmax-cross-entropy" %}
        var largest = -3.4028234e38;
        for (var o = 0u; o < {{ outputs }}u; o++) {
            largest = max(largest, {{ y }});
        }
        var exponentials = 0.0;
        var targets = 0.0;
        for (var o = 0u; o < {{ outputs }}u; o++) {
            let exponential = exp({{ y }} - largest);
            {{ c }} = exponential;
            exponentials += exponential;
            targets += {{ wanted_y }};
        }
        let log_sum = log(exponentials);
        for (var o = 0u; o < {{ outputs }}u; o++) {
            let wanted = {{ wanted_y }};
            step_loss = fma(wanted, log_sum - ({{ y }} - largest), step_loss);
            {{ c }} = scale * fma(targets, {{ c }} / exponentials, -wanted);
        }
{% else %}
{{ unknown("loss", loss) }}
{% endif %}
