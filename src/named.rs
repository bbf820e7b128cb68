//! Enums whose variants have names.

/// Declares an enum whose variants have names, which are those in files, on the command line and in shaders: gives it
/// `ALL`, `name`, `Display`, `FromStr` and serde's traits. `$what` is what one of them is, for errors.
macro_rules! named {
    (
        $(#[$attribute:meta])*
        $visibility:vis enum $Type:ident ($what:literal) {
            $($(#[$of_variant:meta])* $Variant:ident = $name:literal,)+
        }
    ) => {
        $(#[$attribute])*
        #[derive(
            Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize,
        )]
        $visibility enum $Type {
            $($(#[$of_variant])* #[serde(rename = $name)] $Variant,)+
        }

        impl $Type {
            /// Every one of them, in order.
            pub const ALL: [Self; [$($name),+].len()] = [$(Self::$Variant),+];

            /// The name in files, on the command line and in shaders.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$Variant => $name,)+
                }
            }
        }

        impl std::fmt::Display for $Type {
            fn fmt(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                to.pad(self.name())
            }
        }

        impl std::str::FromStr for $Type {
            type Err = crate::error::Error;

            /// Fails unless the text is one of the names, and lists them.
            fn from_str(text: &str) -> crate::error::Result<Self> {
                let known = Self::ALL.into_iter().find(|one| one.name() == text);
                known.ok_or_else(|| crate::named::unknown($what, text, Self::ALL.map(Self::name)))
            }
        }
    };
}

pub(crate) use named;

use crate::error::Error;

/// The error that `text` is not among the `known` names of a `what`.
pub(crate) fn unknown(
    what: &str,
    text: &str,
    known: impl IntoIterator<Item = &'static str>,
) -> Error {
    Error::UnknownName {
        what: what.to_owned(),
        name: text.to_owned(),
        known: listed(known),
    }
}

/// Names as a sentence has them: `"a", "b" or "c"`.
pub(crate) fn listed(names: impl IntoIterator<Item = impl AsRef<str>>) -> String {
    let names = names.into_iter();
    let mut names: Vec<_> = names.map(|name| format!("{:?}", name.as_ref())).collect();
    let last = names.pop().unwrap_or_default();
    match names.is_empty() {
        true => last,
        false => format!("{} or {last}", names.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use crate::error::Error;
    use crate::network::{Activation, Loss, Plasticity, RatePer};
    use crate::parameters::{Role, Sign};
    use std::fmt::{Debug, Display};
    use std::str::FromStr;

    /// Every name is one in Display, FromStr and serde, and no other text is one.
    fn names_agree<T>(all: impl IntoIterator<Item = T>)
    where
        T: Copy + Debug + Display + PartialEq + FromStr<Err = Error>,
        T: serde::Serialize + for<'a> serde::Deserialize<'a>,
    {
        let mut names = Vec::new();
        for one in all {
            let name = one.to_string();
            assert_eq!(name.parse::<T>().unwrap(), one);
            let written = serde_json::to_string(&one).unwrap();
            assert_eq!(written, format!("{name:?}"));
            assert_eq!(serde_json::from_str::<T>(&written).unwrap(), one);
            assert!(!names.contains(&name), "{name} twice");
            names.push(name);
        }
        let error = "no-such-name".parse::<T>().unwrap_err();
        assert!(matches!(error, Error::UnknownName { .. }), "{error:?}");
        let error = error.to_string();
        assert!(
            names
                .iter()
                .all(|name| error.contains(&format!("{name:?}"))),
            "{error}"
        );
    }

    #[test]
    fn names_are_the_same_everywhere() {
        names_agree(Activation::ALL);
        names_agree(Loss::ALL);
        names_agree(Plasticity::ALL);
        names_agree(RatePer::ALL);
        names_agree(Role::ALL);
        names_agree(Sign::ALL);
        names_agree(crate::training::Phase::ALL);
        names_agree(crate::engine::EngineKind::ALL);
    }
}
