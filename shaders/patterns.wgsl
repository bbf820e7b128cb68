{# Draws an episode's patterns into `patterns`, `apart` elements apart: needs `patterns_at`, `key`, `counter`. #}
    for (var k = 0u; k < {{ patterns }}u; k++) {
        // Drawn again until it differs from every earlier one.
        for (var attempt = 0u; attempt < 0xffffffffu; attempt++) {
            let words = draw(key, counter, k, attempt);
            var is_new = true;
            for (var earlier = 0u; earlier < k; earlier++) {
                is_new = is_new && any(words != patterns[patterns_at + earlier * {{ apart }}u]);
            }
            if (is_new) {
                patterns[patterns_at + k * {{ apart }}u] = words;
                break;
            }
        }
    }
