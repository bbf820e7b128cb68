//! Parameters and episodes as safetensors files.

use crate::fuzz;
use crate::mutation::{Input, Mutation, mutated, mutations};
use half::{bf16, f16};
use metaplastic::episodes::Objective;
use metaplastic::number::Real;
use metaplastic::parameters::Layout;
use metaplastic::tensors::{read_episodes, read_parameters, write_parameters};
use metaplastic::{Engine, Episodes, Mask, Network, Parameters, Want};
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::TestCaseError;
use safetensors::{Dtype, tensor::TensorView};
use std::path::Path;

const POPULATION: usize = 2;

/// 2 plastic layers; episodes of 3 steps.
fn network() -> Network {
    let text = "loss = { kind = \"softmax-cross-entropy\" }\n[[layer]]\nkind = \"plastic\"\ninputs = 3\noutputs = 2\n\
                plasticity = \"layer\"\n[[layer]]\nkind = \"plastic\"\ninputs = 2\noutputs = 2\nrule = \"oja\"\n\
                rate = { value = 0.1, per = \"neuron\", learned = true }\n";
    Network::from_toml(text, "the test").unwrap()
}

/// A file of tensors with small values, each exact in every type.
fn file(tensors: &[(&str, Dtype, &[usize])]) -> Vec<u8> {
    let tensors: Vec<_> = tensors
        .iter()
        .map(|&(name, dtype, shape)| {
            let value = |k: usize| [0.25, 1.0, -0.5, 0.0][k % 4];
            let values = (0..shape.iter().product()).map(value);
            let bytes: Vec<u8> = match dtype {
                Dtype::F16 => values
                    .flat_map(|v| f16::from_f64(v).to_le_bytes())
                    .collect(),
                Dtype::BF16 => values
                    .flat_map(|v| bf16::from_f64(v).to_le_bytes())
                    .collect(),
                Dtype::F32 => values.flat_map(|v| (v as f32).to_le_bytes()).collect(),
                Dtype::F64 => values.flat_map(f64::to_le_bytes).collect(),
                Dtype::BOOL => values.map(|v| u8::from(v > 0.0)).collect(),
                Dtype::I64 => values
                    .flat_map(|v| i64::from(v > 0.0).to_le_bytes())
                    .collect(),
                other => unimplemented!("{other:?}"),
            };
            (name, dtype, shape.to_vec(), bytes)
        })
        .collect();
    let views = tensors.iter().map(|(name, dtype, shape, bytes)| {
        (
            *name,
            TensorView::new(*dtype, shape.clone(), bytes).unwrap(),
        )
    });
    safetensors::serialize(views, None).unwrap()
}

fn parameter_files() -> Vec<Vec<u8>> {
    use Dtype::{BF16, F16, F32, F64};
    [[F32; 4], [F64, F16, BF16, F32]]
        .map(|[a, b, c, d]| {
            file(&[
                ("layer0.weight", a, &[2, 2, 3]),
                ("layer0.plasticity", b, &[2]),
                ("layer0.bias", c, &[2, 2]),
                ("layer1.weight", d, &[2, 2, 2]),
                ("layer1.plasticity", a, &[2, 2, 2]),
                ("layer1.bias", b, &[2, 2]),
                ("layer1.rate", c, &[2, 2]),
            ])
        })
        .into()
}

fn episode_files() -> Vec<Vec<u8>> {
    use Dtype::{BF16, BOOL, F16, F32, F64, I64};
    vec![
        file(&[
            ("input", F32, &[2, 1, 3, 3]),
            ("target", F64, &[2, 1, 3, 2]),
            ("mask", BOOL, &[3]),
        ]),
        file(&[
            ("input", F16, &[2, 1, 3, 3]),
            ("target", I64, &[2, 1, 3]),
            ("mask", I64, &[2, 1, 3]),
            ("layer0.trace", BF16, &[2, 1, 2, 3]),
        ]),
        file(&[
            ("input", I64, &[2, 1, 3, 3]),
            ("output_gradient", F32, &[2, 1, 3, 2]),
            ("layer1.trace", F32, &[2, 1, 2, 2]),
            ("layer1.trace_gradient", F64, &[2, 1, 2, 2]),
        ]),
    ]
}

/// Files with changes anywhere, or with such to their header that the lengths around it stay right.
fn files(seeds: Vec<Vec<u8>>) -> impl Strategy<Value = Input> {
    let headers = (select(seeds.clone()), mutations()).prop_map(|(file, changes)| {
        let (length, rest) = file.split_at(8);
        let length = u64::from_le_bytes(length.try_into().unwrap()) as usize;
        Input(with_header(
            rest[..length].to_vec(),
            &changes,
            &rest[length..],
        ))
    });
    prop_oneof![1 => mutated(seeds), 3 => headers]
}

fn with_header(mut header: Vec<u8>, changes: &[Mutation], data: &[u8]) -> Vec<u8> {
    for change in changes {
        change.apply(&mut header);
    }
    let length = (header.len() as u64).to_le_bytes();
    [&length[..], &header, data].concat()
}

#[test]
fn mutated_files_of_parameters_are_read_or_refused() {
    let folder = tempfile::tempdir().unwrap();
    for seed in parameter_files() {
        assert!(check_parameters::<f32>(folder.path(), &seed).unwrap());
    }
    fuzz(1_500, files(parameter_files()), |Input(bytes)| {
        check_parameters::<f32>(folder.path(), &bytes)?;
        check_parameters::<f64>(folder.path(), &bytes)?;
        Ok(())
    });
}

/// Whether the file is accepted.
fn check_parameters<R: Real>(folder: &Path, bytes: &[u8]) -> Result<bool, TestCaseError> {
    let (path, network) = (folder.join("p.safetensors"), network());
    std::fs::write(&path, bytes).unwrap();
    let parameters: Parameters<R> = match read_parameters(&path, &network) {
        Ok(parameters) => parameters,
        Err(error) => return names_its_file(&path, &error).map(|()| false),
    };
    prop_assert!(parameters.values().iter().all(|value| value.is_finite()));
    let size = Layout::new(&network).unwrap().size();
    prop_assert_eq!(parameters.values().len(), parameters.population() * size);
    let again = folder.join("again.safetensors");
    write_parameters(&again, &parameters).unwrap();
    prop_assert_eq!(
        &read_parameters::<R>(&again, &network).unwrap(),
        &parameters
    );
    Ok(true)
}

fn names_its_file(path: &Path, error: &metaplastic::Error) -> Result<(), TestCaseError> {
    let text = error.to_string();
    prop_assert!(text.starts_with(path.to_str().unwrap()), "{text}");
    Ok(())
}

#[test]
fn mutated_files_of_episodes_are_read_or_refused() {
    let folder = tempfile::tempdir().unwrap();
    for seed in episode_files() {
        assert!(check_episodes::<f32>(folder.path(), &seed).unwrap());
    }
    fuzz(1_500, files(episode_files()), |Input(bytes)| {
        check_episodes::<f32>(folder.path(), &bytes)?;
        check_episodes::<f64>(folder.path(), &bytes)?;
        Ok(())
    });
}

/// Whether the file is accepted.
fn check_episodes<R: Real>(folder: &Path, bytes: &[u8]) -> Result<bool, TestCaseError> {
    let (path, network) = (folder.join("e.safetensors"), network());
    std::fs::write(&path, bytes).unwrap();
    let episodes: Episodes<'_, R> = match read_episodes(&path, &network, POPULATION) {
        Ok(episodes) => episodes,
        Err(error) => return names_its_file(&path, &error).map(|()| false),
    };
    let arrays = arrays(&episodes);
    prop_assert!(
        arrays
            .iter()
            .all(|(_, _, values)| values.iter().all(|v| v.is_finite()))
    );
    // The same values as plain F64 are the same episodes.
    let stored: Vec<_> = arrays
        .iter()
        .map(|(name, shape, values)| {
            let bytes: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
            (name, shape, bytes)
        })
        .collect();
    let views = stored.iter().map(|(name, shape, bytes)| {
        (
            name,
            TensorView::new(Dtype::F64, shape.to_vec(), bytes).unwrap(),
        )
    });
    std::fs::write(&path, safetensors::serialize(views, None).unwrap()).unwrap();
    let again = read_episodes::<R>(&path, &network, POPULATION).unwrap();
    prop_assert_eq!(&again, &episodes);

    let parameters = Parameters::<R>::new(&network, POPULATION).unwrap();
    Engine::cpu()
        .gradient(&network, &parameters, &episodes, Want::ALL)
        .unwrap();
    Ok(true)
}

/// Every array of the episodes: its name in files, shape and values.
fn arrays<R: Real>(episodes: &Episodes<R>) -> Vec<(String, Vec<usize>, Vec<f64>)> {
    let mut arrays = Vec::new();
    let mut push = |name: String, shape: &[usize], values: &mut dyn Iterator<Item = &R>| {
        let values = values.map(|value| value.as_f64()).collect();
        arrays.push((name, shape.to_vec(), values));
    };
    push(
        "input".into(),
        episodes.input.shape(),
        &mut episodes.input.iter(),
    );
    match &episodes.objective {
        Objective::Target { target, mask } => {
            push("target".into(), target.shape(), &mut target.iter());
            match mask {
                Mask::Steps(mask) => push("mask".into(), mask.shape(), &mut mask.iter()),
                Mask::Episodes(mask) => push("mask".into(), mask.shape(), &mut mask.iter()),
                _ => {}
            }
        }
        Objective::OutputGradient(gradient) => push(
            "output_gradient".into(),
            gradient.shape(),
            &mut gradient.iter(),
        ),
        _ => {}
    }
    for (dynamics, suffix) in [
        (&episodes.given, ""),
        (&episodes.final_gradients, "_gradient"),
    ] {
        for (layer, dynamic, array) in dynamics.iter() {
            let name = format!("layer{layer}.{dynamic}{suffix}");
            push(name, array.shape(), &mut array.iter());
        }
    }
    arrays
}
