//! Where the program's file is mapped.

use std::io;

/// Addresses of a mapping: from `start` to before `end`, both at the start of a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Mapping {
    pub(super) start: u64,
    pub(super) end: u64,
}

/// The read-only mappings of this program's file.
///
/// # Errors
/// `/proc` is missing.
pub(super) fn of_this_program() -> io::Result<Vec<Mapping>> {
    let program = std::fs::read_link("/proc/self/exe")?;
    let maps = std::fs::read_to_string("/proc/self/maps")?;
    Ok(read_only(&maps, &program.to_string_lossy()).collect())
}

/// The read-only mappings of a file, as `/proc/self/maps` lists them.
fn read_only<'a>(maps: &'a str, file: &'a str) -> impl Iterator<Item = Mapping> + 'a {
    maps.lines().filter_map(move |line| {
        let mut fields = line.split_whitespace();
        let (range, permissions) = (fields.next()?, fields.next()?);
        let path = fields.nth(3)?;
        let (start, end) = range.split_once('-')?;
        let address = |text| u64::from_str_radix(text, 16).ok();
        let mapping = Mapping { start: address(start)?, end: address(end)? };
        (matches!(permissions, "r-xp" | "r--p") && path == file).then_some(mapping)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAPS: &str = "\
00400000-00500000 r--p 00000000 fe:00 1 /opt/discod
00500000-00900000 r-xp 00100000 fe:00 1 /opt/discod
00900000-00901000 rw-p 00500000 fe:00 1 /opt/discod
7f0000000000-7f0000100000 r-xp 00000000 fe:00 2 /lib/libc.so
7ffc00000000-7ffc00001000 r-xp 00000000 00:00 0 [vdso]
";

    #[test]
    fn only_read_only_mappings_of_the_program_are_found() {
        let found: Vec<_> = read_only(MAPS, "/opt/discod").collect();
        let expected = [Mapping { start: 0x40_0000, end: 0x50_0000 }, Mapping { start: 0x50_0000, end: 0x90_0000 }];
        assert_eq!(found, expected);
    }
}
