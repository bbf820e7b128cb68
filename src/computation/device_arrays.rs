//! Arrays on a GPU, for programs with kernels of their own.

use std::ops::Range;

/// A session's arrays on the device, for some of its networks. They are there as long as the session is.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct DeviceArrays {
    /// Which networks of the population.
    pub networks: Range<usize>,
    /// The outputs, `[networks, B, T, row]`, `f32`: there after the forward half.
    pub output: wgpu::Buffer,
    /// The gradient on them, of the same shape, to be written before the reverse half, each time: it is worked on in place.
    /// Elements from the network's outputs to the end of a row have to be zero.
    pub output_gradient: wgpu::Buffer,
    /// Elements from one step to the next: the network's outputs `O`, and some more.
    pub row: usize,
}
