//! Parameters, episodes and results as [safetensors](https://huggingface.co/docs/safetensors) files: how other
//! languages talk to this crate.
//!
//! Inputs may be F64, F32, F16 or BF16, mixed; `input`, `target` and `mask` also integers, and booleans as 0 and 1. All
//! are taken exactly: a value that the precision computed in does not hold is refused, where no float is only rounded.
//! A tensor without axes is one number, `[1]`. Results have the precision that was computed in. `N` is the index of a
//! layer. What all networks have in common may be given once: in episodes, an axis `P` of length 1 stands for any number of
//! networks.
//!
//! | file | tensor | shape |
//! |---|---|---|
//! | parameters | `layerN.weight`, `J` presynaptic neurons: `I`, or `O` where recurrent; one more with a plastic bias | `[P, O, J]` |
//! | | `layerN.input_weight` (of a recurrent layer whose input is a matrix) | `[P, O, I]` |
//! | | `layerN.plasticity` | `[P, O, J]`, `[P, O]` or `[P]` |
//! | | `layerN.bias` | `[P, O]` |
//! | | `layerN.rate` (the description's value where absent) | `[P]` or `[P, O]` |
//! | | `layerN.coefficient.NAME` (the description's value where absent) | `[P, O, J]`, `[P, O]` or `[P]` |
//! | | `layerN.modulator_weight`, `layerN.modulator_bias` (of a modulator from the network) | `[P, O]`, `[P]` |
//! | | `layerN.fan_out_weight`, `layerN.fan_out_bias` (of one per neuron; 1 and 0 where absent) | `[P, O]` |
//! | episodes | `input` | `[P, B, T, I]` |
//! | | `target`, or `output_gradient` | `[P, B, T, O]` |
//! | | `target` of a softmax, as classes 0 to O − 1 (integers) | `[P, B, T]` |
//! | | `mask` (with a target; all ones where absent) | `[T]` or `[P, B, T]` |
//! | | `layerN.trace`, `layerN.eligibility` (at the first step; zero where absent) | `[P, B, O, J]` |
//! | | `layerN.activity` of a recurrent layer (before the first step; zero where absent) | `[P, B, O]` |
//! | | `layerN.modulator` (of a modulator from the episodes) | `[P, B, T]` or `[P, B, T, O]` |
//! | | `layerN.trace_gradient`, `layerN.eligibility_gradient` (after the last step; zero where absent) | `[P, B, O, J]` |
//! | | `layerN.activity_gradient` (on the last output; zero where absent) | `[P, B, O]` |
//! | results | `loss` (with a target) | `[P]` |
//! | | `output` (before the softmax) | `[P, B, T, O]` |
//! | | `layerN.trace`, `layerN.eligibility` (after the last step) | `[P, B, O, J]` |
//! | | `layerN.activity` (at the last step) | `[P, B, O]` |
//! | | `layerN.modulator` (of a modulator from the network) | `[P, B, T]` |
//! | | `gradient.NAME` of every learned parameter | as the parameter |
//! | | `gradient.input` | `[P, B, T, I]` |
//! | | `gradient.layerN.trace`, `.eligibility`, `.activity`, `.modulator` of what was given | as it was given |

mod elements;
mod read;
mod write;

pub use read::{
    episodes_from_bytes, parameters_from_bytes, read_episodes, read_parameters,
    read_parameters_with,
};
pub(crate) use read::{episodes_of, read as read_bytes};
pub use write::{
    episodes_to_bytes, gradients_to_bytes, parameters_to_bytes, require_room_for_gradients,
    write_episodes, write_gradients, write_parameters, write_parameters_with, write_recorded,
};

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;
    use crate::network::{Bias, Layer, Loss, Network};
    use crate::parameters::Parameters;

    #[test]
    fn bytes_are_what_files_hold() {
        let network = Network::new(Loss::None, [Layer::from(Bias::new(2))]).unwrap();
        let mut parameters = Parameters::<f32>::new(&network, 2).unwrap();
        parameters
            .values_mut()
            .copy_from_slice(&[1.0, -2.0, 0.5, 4.0]);
        let metadata = [("made by".to_owned(), "a test".to_owned())];
        let bytes = parameters_to_bytes(&parameters, metadata.clone()).unwrap();
        let (read, found) = parameters_from_bytes::<f32>(&bytes, &network).unwrap();
        assert_eq!((read, found), (parameters.clone(), metadata.clone().into()));

        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("parameters.safetensors");
        write_parameters_with(&path, &parameters, metadata).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), bytes);
        assert_eq!(read_parameters::<f32>(path, &network).unwrap(), parameters);

        let error = parameters_from_bytes::<f32>(&bytes[..20], &network).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::File);
        assert!(error.to_string().contains("the bytes given"), "{error}");
        let error = episodes_from_bytes::<f32>(&bytes, &network, 1).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Input);
        assert!(error.to_string().contains("layer0.bias"), "{error}");
    }
}
