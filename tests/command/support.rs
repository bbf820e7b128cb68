//! What the tests of the command share.

use half::{bf16, f16};
use safetensors::{Dtype, SafeTensors, tensor::TensorView};
use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

/// The command's file.
pub fn binary() -> PathBuf {
    assert_cmd::cargo::cargo_bin!("metaplastic").into()
}

/// The command, in an empty environment variable's stead: no adapter is asked for.
pub fn command() -> Command {
    let mut command = Command::new(binary());
    command.env_remove("METAPLASTIC_DEVICE");
    command
}

/// A process in progress; a test that fails leaves none behind.
pub struct Running(Option<Child>);

impl Running {
    pub fn start(command: &mut Command) -> Self {
        let command = command.stdout(Stdio::piped()).stderr(Stdio::piped());
        Self(Some(command.spawn().unwrap()))
    }

    fn child(&mut self) -> &mut Child {
        self.0.as_mut().unwrap()
    }

    pub fn id(&mut self) -> String {
        self.child().id().to_string()
    }

    pub fn has_ended(&mut self) -> bool {
        self.child().try_wait().unwrap().is_some()
    }

    pub fn kill(mut self) {
        // It may have ended.
        let _ = self.child().kill();
        self.output();
    }

    pub fn output(mut self) -> Output {
        self.0.take().unwrap().wait_with_output().unwrap()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(mut child) = self.0.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Runs the command with `arguments`.
pub fn metaplastic(arguments: &[&str]) -> Output {
    command().args(arguments).output().unwrap()
}

pub fn error_text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[track_caller]
pub fn assert_status(output: &Output, status: i32) {
    let code = output.status.code();
    assert_eq!(code, Some(status), "{}", error_text(output));
}

/// Names of everything in a folder.
pub fn names(folder: &Path) -> Vec<String> {
    let entries = folder.read_dir().unwrap();
    let mut names: Vec<_> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// The `run.toml` of a run, without what two equal runs may differ in.
pub fn settings(run: &Path) -> toml::Table {
    let text = std::fs::read_to_string(run.join("run.toml")).unwrap();
    let mut settings: toml::Table = text.parse().unwrap();
    assert!(settings.remove("date").is_some());
    settings
}

/// A tensor of a file.
#[derive(Clone, Debug, PartialEq)]
pub struct Tensor {
    pub dtype: Dtype,
    pub shape: Vec<usize>,
    pub values: Vec<f64>,
}

pub type Tensors = BTreeMap<String, Tensor>;

/// Smooth values that differ from each other.
pub fn tensor(dtype: Dtype, shape: &[usize], phase: f64) -> Tensor {
    let count: usize = shape.iter().product();
    let value = |k: usize| (0.7 * (1.3 * k as f64 + phase).sin()) as f32;
    Tensor {
        dtype,
        shape: shape.to_vec(),
        // Exact in both precisions.
        values: (0..count).map(|k| f64::from(value(k))).collect(),
    }
}

pub fn bytes(tensors: &Tensors) -> Vec<u8> {
    bytes_with(tensors, None)
}

/// Changes the tensors of a file, and leaves its metadata.
pub fn change(path: &Path, change: impl FnOnce(&mut Tensors)) {
    let mut tensors = read(path);
    change(&mut tensors);
    let metadata = metadata(path);
    std::fs::write(path, bytes_with(&tensors, metadata)).unwrap();
}

/// The metadata of a file.
pub fn metadata(path: &Path) -> Option<HashMap<String, String>> {
    let bytes = std::fs::read(path).unwrap();
    let (_, header) = SafeTensors::read_metadata(&bytes).unwrap();
    header.metadata().clone()
}

fn bytes_with(tensors: &Tensors, metadata: Option<HashMap<String, String>>) -> Vec<u8> {
    let data: Vec<(&String, &Tensor, Vec<u8>)> = tensors
        .iter()
        .map(|(name, tensor)| {
            let values = tensor.values.iter();
            let data = match tensor.dtype {
                Dtype::F64 => values.flat_map(|v| v.to_le_bytes()).collect(),
                Dtype::F32 => values.flat_map(|v| (*v as f32).to_le_bytes()).collect(),
                Dtype::F16 => values
                    .flat_map(|v| f16::from_f64(*v).to_le_bytes())
                    .collect(),
                Dtype::BF16 => values
                    .flat_map(|v| bf16::from_f64(*v).to_le_bytes())
                    .collect(),
                Dtype::BOOL | Dtype::U8 => values.map(|v| *v as u8).collect(),
                Dtype::I8 => values.flat_map(|v| (*v as i8).to_le_bytes()).collect(),
                Dtype::U16 => values.flat_map(|v| (*v as u16).to_le_bytes()).collect(),
                Dtype::I16 => values.flat_map(|v| (*v as i16).to_le_bytes()).collect(),
                Dtype::U32 => values.flat_map(|v| (*v as u32).to_le_bytes()).collect(),
                Dtype::I32 => values.flat_map(|v| (*v as i32).to_le_bytes()).collect(),
                Dtype::U64 => values.flat_map(|v| (*v as u64).to_le_bytes()).collect(),
                Dtype::I64 => values.flat_map(|v| (*v as i64).to_le_bytes()).collect(),
                other => unimplemented!("{other:?}"),
            };
            (name, tensor, data)
        })
        .collect();
    let views = data.iter().map(|(name, tensor, data)| {
        let view = TensorView::new(tensor.dtype, tensor.shape.clone(), data).unwrap();
        (name.as_str(), view)
    });
    safetensors::serialize(views, metadata).unwrap()
}

pub fn read(path: &Path) -> Tensors {
    let bytes = std::fs::read(path).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    file.iter()
        .map(|(name, view)| {
            let values = match view.dtype() {
                Dtype::F64 => view
                    .data()
                    .chunks(8)
                    .map(|b| f64::from_le_bytes(b.try_into().unwrap()))
                    .collect(),
                Dtype::F32 => view
                    .data()
                    .chunks(4)
                    .map(|b| f64::from(f32::from_le_bytes(b.try_into().unwrap())))
                    .collect(),
                Dtype::I64 => view
                    .data()
                    .chunks(8)
                    .map(|b| i64::from_le_bytes(b.try_into().unwrap()) as f64)
                    .collect(),
                other => panic!("{name} is {other:?}"),
            };
            let tensor = Tensor {
                dtype: view.dtype(),
                shape: view.shape().to_vec(),
                values,
            };
            (name.to_owned(), tensor)
        })
        .collect()
}

/// `‖a − b‖ / ‖b‖`; a NaN anywhere makes it NaN, so assert that it is *below* something.
#[track_caller]
pub fn distance(a: &Tensor, b: &Tensor) -> f64 {
    assert_eq!(a.shape, b.shape);
    let sum = |values: &mut dyn Iterator<Item = f64>| values.map(|v| v * v).sum::<f64>();
    let pairs = a.values.iter().zip(&b.values);
    (sum(&mut pairs.map(|(a, b)| a - b)) / sum(&mut b.values.iter().copied())).sqrt()
}

/// A folder with the inputs of `metaplastic gradient`.
pub struct Inputs {
    pub folder: tempfile::TempDir,
    pub network: String,
    pub parameters: Tensors,
    pub episodes: Tensors,
}

/// 3 networks, 2 episodes, 5 steps; 4 → 3 plastic → 2 dense → 2 bias.
pub const NETWORK: &str = r#"
[loss]
kind = "softmax-cross-entropy"

[[layer]]
kind = "plastic"
inputs = 4
outputs = 3
activation = "tanh"
rule = "oja"
plasticity = "neuron"
rate = { value = 0.1, per = "neuron", learned = true }

[[layer]]
kind = "dense"
inputs = 3
outputs = 2
activation = "linear"
bias = false

[[layer]]
kind = "bias"
inputs = 2
outputs = 2
"#;

impl Inputs {
    pub fn new() -> Self {
        Self::of_type(Dtype::F32)
    }

    pub fn of_type(dtype: Dtype) -> Self {
        let named = |(index, (name, shape)): (usize, &(&str, &[usize]))| {
            (name.to_string(), tensor(dtype, shape, index as f64))
        };
        let parameters: [(&str, &[usize]); 6] = [
            ("layer0.weight", &[3, 3, 4]),
            ("layer0.plasticity", &[3, 3]),
            ("layer0.bias", &[3, 3]),
            ("layer0.rate", &[3, 3]),
            ("layer1.weight", &[3, 2, 3]),
            ("layer2.bias", &[3, 2]),
        ];
        let episodes: [(&str, &[usize]); 2] = [("input", &[3, 2, 5, 4]), ("target", &[3, 2, 5, 2])];
        let mut parameters: Tensors = parameters.iter().enumerate().map(named).collect();
        for rate in &mut parameters.get_mut("layer0.rate").unwrap().values {
            *rate = f64::from((0.1 + 0.2 * rate.abs()) as f32);
        }
        Self {
            folder: tempfile::tempdir().unwrap(),
            network: NETWORK.to_owned(),
            parameters,
            episodes: episodes.iter().enumerate().map(named).collect(),
        }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn output(&self) -> PathBuf {
        self.path("out.safetensors")
    }

    pub fn write(&self) {
        std::fs::write(self.path("net.toml"), &self.network).unwrap();
        std::fs::write(self.path("p.safetensors"), bytes(&self.parameters)).unwrap();
        std::fs::write(self.path("e.safetensors"), bytes(&self.episodes)).unwrap();
    }

    /// The command on the files as they are.
    pub fn command(&self) -> Command {
        self.command_with(self.path("e.safetensors"), self.output())
    }

    /// The command on the network and the parameters as they are.
    pub fn command_with(
        &self,
        episodes: impl Into<PathBuf>,
        output: impl Into<PathBuf>,
    ) -> Command {
        let mut command = command();
        command.arg("gradient");
        for (option, file) in [
            ("--network", self.path("net.toml")),
            ("--parameters", self.path("p.safetensors")),
            ("--episodes", episodes.into()),
            ("--output", output.into()),
        ] {
            command.arg(option).arg(file);
        }
        command
    }

    /// Writes the files and runs the command, which must succeed.
    #[track_caller]
    pub fn gradient(&self, arguments: &[&str]) -> Tensors {
        self.write();
        let output = self.command().args(arguments).output().unwrap();
        assert_status(&output, 0);
        read(&self.output())
    }

    /// Runs the command on the files as they are, which must be refused by a message with all `parts`, with nothing
    /// written.
    #[track_caller]
    pub fn refused(&self, arguments: &[&str], parts: &[&str]) {
        let before = names(self.folder.path());
        let output = self.command().args(arguments).output().unwrap();
        assert_status(&output, 2);
        let message = error_text(&output);
        for part in parts {
            assert!(message.contains(part), "{part:?} in {message}");
        }
        assert_eq!(names(self.folder.path()), before, "{message}");
        assert!(output.stdout.is_empty());
    }
}
