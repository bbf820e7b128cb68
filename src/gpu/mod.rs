//! The GPU engine: WGSL compute shaders through wgpu.

mod adapter;

pub use adapter::{AdapterReport, adapters};

use crate::engine::{Failure, Gradients, Outcome, Want};
use crate::task::EpisodeSource;
use crate::{Episodes, Network, Optimiser, Parameters, Result};
use std::ops::Range;

/// The GPU engine.
#[derive(Clone, Debug)]
pub struct Gpu {
    name: String,
}

impl Gpu {
    pub(crate) fn new(device: Option<&str>) -> Result<Self> {
        let adapters = adapter::enumerate();
        let index = adapter::pick(&adapters, device)?;
        Ok(Self {
            name: adapters[index].get_info().name,
        })
    }

    pub(crate) fn device(&self) -> &str {
        &self.name
    }

    pub(crate) fn forward(
        &self,
        _: &Network,
        _: &Parameters<f32>,
        _: &Episodes<f32>,
    ) -> Result<Outcome<f32>> {
        Err(crate::Error::NoGpuSupport)
    }

    pub(crate) fn gradient(
        &self,
        _: &Network,
        _: &Parameters<f32>,
        _: &Episodes<f32>,
        _: Want,
    ) -> Result<Gradients<f32>> {
        Err(crate::Error::NoGpuSupport)
    }
}

/// A population in training on the GPU.
#[derive(Debug)]
pub struct GpuLearner {}

impl GpuLearner {
    pub(crate) fn new(
        _: &Gpu,
        _: &Network,
        _: &Parameters<f32>,
        _: Vec<Optimiser>,
    ) -> Result<Self> {
        Err(crate::Error::NoGpuSupport)
    }

    pub(crate) fn step(&mut self, _: &Episodes<f32>) -> Result<Vec<f32>> {
        Err(crate::Error::NoGpuSupport)
    }

    pub(crate) fn apply(&mut self, _: &Parameters<f32>) -> Result<()> {
        Err(crate::Error::NoGpuSupport)
    }

    pub(crate) fn run(&mut self, _: &EpisodeSource, _: Range<u32>, _: bool) -> Result<Vec<f64>> {
        Err(crate::Error::NoGpuSupport)
    }

    pub(crate) fn parameters(&self) -> Result<Parameters<f32>> {
        Err(crate::Error::NoGpuSupport)
    }

    pub(crate) fn failures(&self) -> Result<Vec<Failure>> {
        Err(crate::Error::NoGpuSupport)
    }
}
