//! Refuses, before any allocation, what no memory of this machine holds.

use crate::error::{Error, Result};
use crate::limits;

/// The product of `sizes`, or a typed error that names `what`.
pub(crate) fn elements(what: &str, sizes: &[usize]) -> Result<usize> {
    let product = sizes
        .iter()
        .try_fold(1u128, |product, &size| product.checked_mul(size as u128));
    match product {
        Some(count) if count <= isize::MAX as u128 / 8 => Ok(count as usize),
        _ => Err(Error::Memory {
            what: format!("{what} of shape {sizes:?}"),
            requested: product.unwrap_or(u128::MAX).saturating_mul(4),
            available: u128::from(available()),
        }),
    }
}

/// Fails unless `bytes` fit in the memory that is available now.
pub(crate) fn require(what: &str, bytes: u128) -> Result<()> {
    // Asking the system costs some ten microseconds; small requests always fit, unless the address space is limited.
    if bytes < 64 << 20 && limits::address_space().is_none() {
        return Ok(());
    }
    let available = u128::from(available());
    if bytes > available {
        return Err(Error::Memory {
            what: what.to_owned(),
            requested: bytes,
            available,
        });
    }
    Ok(())
}

/// Bytes of memory available to this process, limits counted.
pub(crate) fn available() -> u64 {
    // Where the system does not say, only its own refusal can stop an allocation.
    let machine = sysinfo::System::new().ok().map(|mut system| {
        system.refresh_memory();
        system.available_memory()
    });
    let all = [machine, limits::control_groups(), limits::address_space()];
    all.into_iter().flatten().min().unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn absurd_sizes_are_refused_with_numbers() {
        assert_eq!(elements("input", &[2, 3, 4]).unwrap(), 24);
        let error = elements("input", &[usize::MAX, usize::MAX, 2]).unwrap_err();
        assert!(error.to_string().contains("input of shape"), "{error}");
        assert!(matches!(
            require("everything", u128::MAX),
            Err(Error::Memory {
                requested: u128::MAX,
                ..
            })
        ));
        require("nothing", 0).unwrap();
    }
}
