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
