//! Structs that the host and the shaders have in common: each is declared once, here in Rust, and rendered for the shaders.

/// A field of a shared struct.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Field {
    pub name: &'static str,
    /// Its type in WGSL.
    pub kind: &'static str,
    /// Bytes before it.
    pub offset: usize,
}

/// A struct that shaders read or write as it lies in memory.
pub(super) trait Shared: bytemuck::Pod {
    /// The name in WGSL.
    const NAME: &'static str;
    /// The fields, in order.
    const FIELDS: &'static [Field];
}

/// A type that a field may have.
pub(super) trait FieldType {
    /// The name in WGSL.
    const WGSL: &'static str;
}

impl FieldType for u32 {
    const WGSL: &'static str = "u32";
}

impl FieldType for f32 {
    const WGSL: &'static str = "f32";
}

/// Declares a struct and describes its fields.
macro_rules! shared {
    ($(#[$about:meta])* pub struct $name:ident {
        $($(#[$about_field:meta])* pub $field:ident: $kind:ty,)*
    }) => {
        $(#[$about])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, bytemuck::Pod, bytemuck::Zeroable)]
        #[repr(C)]
        pub(in crate::gpu) struct $name {
            $($(#[$about_field])* pub $field: $kind,)*
        }

        impl crate::gpu::shared::Shared for $name {
            const NAME: &'static str = stringify!($name);
            const FIELDS: &'static [crate::gpu::shared::Field] = &[
                $(crate::gpu::shared::Field {
                    name: stringify!($field),
                    kind: <$kind as crate::gpu::shared::FieldType>::WGSL,
                    offset: std::mem::offset_of!($name, $field),
                },)*
            ];
        }
    };
}
pub(super) use shared;
