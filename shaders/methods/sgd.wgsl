        // Constants: the momentum.
        first = clamp(fma(vec4<f32>(constants[0]), first, g), -largest, largest);
        step = rate * first;
