        // Constants: the mean rate, epsilon.
        first = select(fma(vec4<f32>(constants[0]), square - first, first), square, updates == 1u);
        step = rate * g / sqrt(first + constants[1]);
