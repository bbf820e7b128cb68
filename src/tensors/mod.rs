//! Parameters, episodes and results as [safetensors](https://huggingface.co/docs/safetensors) files: how other
//! languages talk to this crate.
//!
//! Inputs may be F64, F32, F16 or BF16, mixed; `input`, `target` and `mask` also integers, and booleans as 0 and 1. All
//! are taken exactly: a value that the precision computed in does not hold is refused, where no float is only rounded.
//! A tensor without axes is one number, `[1]`. Results have the precision that was computed in. `N` is the index of a
//! layer.
//!
//! | file | tensor | shape |
//! |---|---|---|
//! | parameters | `layerN.weight` | `[P, O, I]` |
//! | | `layerN.plasticity` | `[P, O, I]`, `[P, O]` or `[P]` |
//! | | `layerN.bias` | `[P, O]` |
//! | | `layerN.rate` (the description's value where absent) | `[P]` or `[P, O]` |
//! | episodes | `input` | `[P, B, T, I]` |
//! | | `target`, or `output_gradient` | `[P, B, T, O]` |
//! | | `target` of a softmax, as classes 0 to O − 1 (integers) | `[P, B, T]` |
//! | | `mask` (with a target; all ones where absent) | `[T]` or `[P, B, T]` |
//! | | `layerN.trace` (at the first step; zero where absent) | `[P, B, O, I]` |
//! | | `layerN.trace_gradient` (after the last step; zero where absent) | `[P, B, O, I]` |
//! | results | `loss` (with a target) | `[P]` |
//! | | `output` (before the softmax) | `[P, B, T, O]` |
//! | | `layerN.trace` (after the last step) | `[P, B, O, I]` |
//! | | `gradient.NAME` of every learned parameter | as the parameter |
//! | | `gradient.input` | `[P, B, T, I]` |
//! | | `gradient.layerN.trace` of every trace given | `[P, B, O, I]` |

mod elements;
mod read;
mod write;

pub use read::{read_episodes, read_parameters, read_parameters_with};
pub use write::{
    require_room_for_gradients, write_gradients, write_parameters, write_parameters_with,
};
