        // Constants: one minus beta1 and beta2, epsilon, the logarithms of beta1 and beta2.
        first = clamp(fma(vec4<f32>(constants[0]), fma(gradient, vec4<f32>(scale), -first), first), -largest, largest);
        second = fma(vec4<f32>(constants[1]), square - second, second);
        let mean = clamp(first / one_minus_exp(f32(updates) * constants[3]), -largest, largest);
        let mean_square = min(second / one_minus_exp(f32(updates) * constants[4]), largest);
        step = rate * mean / (sqrt(mean_square) + constants[2]);
