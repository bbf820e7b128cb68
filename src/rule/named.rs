//! The rules that have a name, as texts.

/// The rules that have a name, and compiled forms.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Named {
    Hebb,
    Oja,
    Additive,
    Retroactive,
}

impl Named {
    pub const ALL: [Self; 4] = [Self::Hebb, Self::Oja, Self::Additive, Self::Retroactive];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Hebb => "hebb",
            Self::Oja => "oja",
            Self::Additive => "additive",
            Self::Retroactive => "retroactive",
        }
    }

    /// What the trace and the eligibility trace become.
    pub fn texts(self) -> (&'static str, Option<&'static str>) {
        match self {
            Self::Hebb => ("(1 - rate) * h + rate * m * y * x", None),
            Self::Oja => ("h + rate * m * y * (x - y * h)", None),
            Self::Additive => ("h + rate * m * y * x", None),
            Self::Retroactive => ("h + m * e", Some("(1 - rate) * e + rate * y * x")),
        }
    }
}
