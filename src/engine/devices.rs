//! Names of several devices in one text.

/// Stands between the names of devices that compute together.
pub(super) const DEVICES: &str = " + ";

/// The devices that a text asks for, if it asks for several: by indices, `0,1`, or by names, `A + B`. Equal names are as many
/// adapters, as far as there are so many.
#[cfg(feature = "gpu")]
pub(super) fn devices(text: &str) -> Option<Vec<String>> {
    let is_list = |byte: u8| byte.is_ascii_digit() || byte == b',' || byte == b' ';
    if text.contains(',') && text.bytes().all(is_list) {
        return Some(text.split(',').map(str::to_owned).collect());
    }
    if !text.contains(DEVICES) {
        return None;
    }
    let adapters = crate::gpu::adapters();
    let adapters: Vec<_> = adapters.iter().map(|it| it.name.to_lowercase()).collect();
    Some(each_its_own(&adapters, text))
}

/// For each of the names in a text, the index of an adapter with that name that no other has, or the name, if there is none.
#[cfg(feature = "gpu")]
fn each_its_own(adapters: &[String], text: &str) -> Vec<String> {
    let mut taken = vec![false; adapters.len()];
    let names = text.split(DEVICES).map(str::trim);
    let found = names.map(|name| {
        let part = name.to_lowercase();
        let free = |index: &usize| !taken[*index] && adapters[*index].contains(&part);
        match (0..adapters.len()).find(free) {
            Some(index) => {
                taken[index] = true;
                index.to_string()
            }
            None => name.to_owned(),
        }
    });
    found.collect()
}

#[cfg(all(test, feature = "gpu"))]
mod tests {
    use super::*;

    #[test]
    fn indices_or_names_are_several_devices() {
        let list = |text| devices(text).map(|list| list.join("|"));
        assert_eq!(list("0,1").as_deref(), Some("0|1"));
        assert_eq!(list("2, 0").as_deref(), Some("2| 0"));
        for one in ["0", "llvmpipe (LLVM 15.0.6, 256 bits)", "H100", ""] {
            assert_eq!(list(one), None, "{one:?}");
        }
        let adapters = ["a h100", "b h200", "a h100"].map(str::to_owned);
        let found = |text| each_its_own(&adapters, text).join("|");
        assert_eq!(found("A H100 + A H100 + B H200"), "0|2|1");
        assert_eq!(found("h200 + h200"), "1|h200");
        assert_eq!(found("nothing + a"), "nothing|0");
    }
}
