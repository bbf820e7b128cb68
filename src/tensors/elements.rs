//! The elements of a file's tensors, as numbers: exactly, or not at all.

use crate::error::{Error, Result};
use crate::memory;
use crate::number::Real;
use half::{bf16, f16};
use ndarray::{Array, Array4, Dimension, IxDyn};
use safetensors::{Dtype, tensor::TensorView};

/// The types of element that mean something in a tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Accepted {
    /// Floating-point numbers alone: integers there would be quantised, by a scale that the file does not tell.
    Floats,
    /// Floating-point numbers, integers, and booleans as 0 and 1.
    Numbers,
}

impl Accepted {
    fn names(self) -> &'static str {
        match self {
            Self::Floats => "F64, F32, F16 or BF16",
            Self::Numbers => "F64, F32, F16, BF16, an integer type or BOOL",
        }
    }
}

/// A tensor of a file.
pub(super) struct Stored<'a> {
    name: &'a str,
    tensor: &'a TensorView<'a>,
}

impl<'a> Stored<'a> {
    pub fn new(name: &'a str, tensor: &'a TensorView<'a>) -> Self {
        Self { name, tensor }
    }

    /// Its shape; a tensor without axes is one number, `[1]`.
    pub fn shape(&self) -> &'a [usize] {
        match self.tensor.shape() {
            [] => &[1],
            shape => shape,
        }
    }

    /// Its values, all finite in precision `R`; `axes` says in errors how many axes it should have.
    pub fn array<R: Real, D: Dimension>(
        &self,
        axes: &str,
        accepted: Accepted,
    ) -> Result<Array<R, D>> {
        let shape = self.shape();
        if D::NDIM.is_some_and(|axes| axes != shape.len()) {
            return Err(crate::check::shape_error(self.name, axes, shape));
        }
        self.require(size_of::<R>(), shape)?;
        let data = self.tensor.data();
        let values = match self.tensor.dtype() {
            Dtype::F16 => self.floats(words(data, |word| f16::from_le_bytes(word).to_f64())),
            Dtype::BF16 => self.floats(words(data, |word| bf16::from_le_bytes(word).to_f64())),
            Dtype::F32 => self.floats(words(data, |word| f64::from(f32::from_le_bytes(word)))),
            Dtype::F64 => self.floats(words(data, f64::from_le_bytes)),
            other => match integer(other).filter(|_| accepted == Accepted::Numbers) {
                Some(read) => self.integers(read),
                None => return Err(self.element_type(accepted.names())),
            },
        }?;
        Ok(Array::from_shape_vec(IxDyn(shape), values)
            .expect("the format's reader checks sizes against shapes")
            .into_dimensionality()
            .expect("the number of axes was checked"))
    }

    /// 1 at the class that each element is, among `classes` of them, else 0; the tensor has three axes.
    pub fn one_hot<R: Real>(&self, classes: usize) -> Result<Array4<R>> {
        let dtype = self.tensor.dtype();
        let Some(read) = integer(dtype).filter(|_| dtype != Dtype::BOOL) else {
            return Err(self.element_type(
                "an integer type, which says the class of every step, or values [P, B, T, O]",
            ));
        };
        let &[networks, batch, steps] = self.shape() else {
            return Err(crate::check::shape_error(
                self.name,
                "[P, B, T]",
                self.shape(),
            ));
        };
        let shape = [networks, batch, steps, classes];
        self.require(size_of::<R>(), &shape)?;
        let mut one_hot = Array4::zeros(shape);
        let rows = one_hot.as_slice_mut().expect("fresh arrays are contiguous");
        for (at, (element, row)) in self.each().zip(rows.chunks_exact_mut(classes)).enumerate() {
            let class = read(element);
            match usize::try_from(class)
                .ok()
                .and_then(|class| row.get_mut(class))
            {
                Some(place) => *place = R::one(),
                None => {
                    return Err(self.element(
                        at,
                        format!("{class}, expected a class from 0 to {}", classes - 1),
                    ));
                }
            }
        }
        Ok(one_hot)
    }

    fn floats<R: Real>(&self, values: impl Iterator<Item = f64> + Clone) -> Result<Vec<R>> {
        let converted: Vec<R> = values.clone().map(R::from_f64).collect();
        if crate::check::all_finite(&converted) {
            return Ok(converted);
        }
        let not_finite = |values: &mut dyn Iterator<Item = f64>| {
            let mut all = values.enumerate().filter(|(_, value)| !value.is_finite());
            all.next().map(|first| (first, 1 + all.count()))
        };
        if let Some(((at, value), count)) = not_finite(&mut values.clone()) {
            return Err(Error::NotFinite {
                name: self.name.to_owned(),
                index: self.index(at),
                value,
                count,
                total: converted.len(),
            });
        }
        let beyond = converted.iter().position(|value| !value.is_finite());
        let at = beyond.expect("some value is not finite in this precision");
        let value = values
            .clone()
            .nth(at)
            .expect("one value for each converted");
        Err(self.element(at, crate::number::beyond_range::<R>(value)))
    }

    fn integers<R: Real>(&self, read: fn(&[u8]) -> i128) -> Result<Vec<R>> {
        let is_boolean = self.tensor.dtype() == Dtype::BOOL;
        let convert = |(at, element)| {
            let value = read(element);
            let converted = R::from_f64(value as f64);
            if is_boolean && value > 1 {
                return Err(self.element(at, format!("{value}, expected 0 or 1 in a BOOL")));
            }
            if converted.as_f64() as i128 != value {
                let reason = format!("{value}, which {} does not hold exactly", R::NAME);
                return Err(self.element(at, reason));
            }
            Ok(converted)
        };
        self.each().enumerate().map(convert).collect()
    }

    /// The bytes of each element.
    fn each(&self) -> std::slice::ChunksExact<'a, u8> {
        let bytes = self.tensor.dtype().bitsize() / 8;
        self.tensor.data().chunks_exact(bytes.max(1))
    }

    fn require(&self, bytes: usize, shape: &[usize]) -> Result<()> {
        let count = memory::elements(self.name, shape)?;
        memory::require(self.name, count as u128 * bytes as u128)
    }

    fn element_type(&self, expected: &str) -> Error {
        Error::ElementType {
            name: self.name.to_owned(),
            expected: expected.to_owned(),
            actual: format!("{:?}", self.tensor.dtype()),
        }
    }

    /// An error about one element, the `at`-th.
    fn element(&self, at: usize, reason: String) -> Error {
        Error::setting(
            self.name,
            format!("element {:?} is {reason}", self.index(at)),
        )
    }

    /// The index of the `at`-th element along each axis.
    fn index(&self, mut at: usize) -> Vec<usize> {
        let mut index = self.shape().to_vec();
        for place in index.iter_mut().rev() {
            let size = *place;
            *place = at % size;
            at /= size;
        }
        index
    }
}

fn words<const SIZE: usize>(
    data: &[u8],
    value: impl Fn([u8; SIZE]) -> f64 + Clone,
) -> impl Iterator<Item = f64> + Clone {
    data.as_chunks().0.iter().map(move |&word| value(word))
}

/// How an element of an integer type is read, or a boolean as 0 or 1; `None` for the other types.
fn integer(dtype: Dtype) -> Option<fn(&[u8]) -> i128> {
    macro_rules! read {
        ($integer:ty) => {
            |bytes| <$integer>::from_le_bytes(bytes.try_into().expect("an element's bytes")).into()
        };
    }
    Some(match dtype {
        Dtype::BOOL | Dtype::U8 => read!(u8),
        Dtype::I8 => read!(i8),
        Dtype::U16 => read!(u16),
        Dtype::I16 => read!(i16),
        Dtype::U32 => read!(u32),
        Dtype::I32 => read!(i32),
        Dtype::U64 => read!(u64),
        Dtype::I64 => read!(i64),
        _ => return None,
    })
}
