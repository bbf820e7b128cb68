// What a task's episodes are, bit for bit as on the host. The kernel has `words`, in which each episode has {{ words }} elements that
// lie `apart` elements apart, from `at` on. The task has:
//
// draw_episode(key, counter, at, apart)    draws an episode: writes its words
// shown_at(at, apart, now) -> Shown        what its words say about step `now`
// input_at(shown, now, j) -> f32           input `j` of that step
// target_at(shown, now, o) -> f32          the target of output `o`
// counts_at(now) -> bool                   whether the step counts

// Bit `j` of a pattern.
fn bit(pattern: vec4<u32>, j: u32) -> f32 {
    return select(-1.0, 1.0, ((pattern[j / 32u] >> (j % 32u)) & 1u) == 1u);
}

{{ rendered(task.template, task.values) }}
