        for (var o = 0u; o < {{ outputs }}u; o++) {
            let difference = {{ y }} - {{ wanted_y }};
            step_loss = fma(difference, difference, step_loss);
            {{ c }} = scale * (difference + difference);
        }
