//! What the variables of a rule stand for.

/// What a synapse has at a step.
///
/// One number each, or one in each lane of a vector.
#[derive(Clone, Copy, Debug)]
pub struct Synapse<'a, N> {
    /// The trace `h`.
    pub trace: N,
    /// The eligibility trace `e`; of no effect in a rule that has none.
    pub eligibility: N,
    /// The activity `x` of the presynaptic neuron.
    pub presynaptic: N,
    /// The activity `y` of the postsynaptic neuron.
    pub postsynaptic: N,
    /// The modulator `m`, which is 1 where there is none.
    pub modulator: N,
    /// The plasticity rate `η`.
    pub rate: N,
    /// The rule's own coefficients, in the order of [`Rule::coefficients`](super::Rule::coefficients).
    pub coefficients: &'a [N],
}

impl<N: Copy> Synapse<'_, N> {
    /// `h`, `e`, `x`, `y`, `m` and the rate.
    #[inline(always)]
    pub(super) fn variables(self) -> [N; 6] {
        [
            self.trace,
            self.eligibility,
            self.presynaptic,
            self.postsynaptic,
            self.modulator,
            self.rate,
        ]
    }
}

/// What the variables stand for.
#[derive(Clone, Copy)]
pub(super) struct Values<'a, N> {
    pub synapse: Synapse<'a, N>,
    /// The gradients on the new trace and on the new eligibility trace.
    pub adjoint: [N; 2],
}
