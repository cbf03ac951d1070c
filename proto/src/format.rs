//! The format of everything that is written: log, snapshots, records, and messages between nodes.
//!
//! It is one number, defined only here. A change raises it if the previous program could not read what the new one
//! writes; most changes only add, and do not raise it. A program reads all formats up to its own, and writes the
//! cluster's: the leader raises that ([`keys::FORMAT`](../../disco_store/typed/keys/constant.FORMAT.html)) when all
//! members run programs that support the new one and no upgrade is in progress, so that an upgrade can be rolled back
//! until it has ended.
//!
//! | format | since | what is new |
//! |---|---|---|
//! | 1 | 0.1.0 | |

/// Marker in every `discod`, for [`of_program`]: a file for another kind of machine cannot be run.
const MARK: &str = "disco-format:1;";
const PREFIX: &str = "disco-format:";
/// Maximum number of digits of a format.
const DIGITS: usize = 9;

/// The newest format that this program reads and writes.
#[must_use]
pub fn own() -> u32 {
    // Read at run time, so that the marker is in the program, and its value is the one that applies.
    digits(std::hint::black_box(MARK).as_bytes()).unwrap_or_default()
}

/// A reported format: programs older than format numbers report none.
#[must_use]
pub fn told(format: u32) -> u32 {
    format.max(1)
}

/// The format of a program's file; `None` if it is not a `discod`, or one older than format numbers.
#[must_use]
pub fn of_program(file: &[u8]) -> Option<u32> {
    let mut marks = memchr::memmem::find_iter(file, PREFIX);
    marks.find_map(|at| digits(&file[at..]))
}

fn digits(mark: &[u8]) -> Option<u32> {
    let rest = mark.strip_prefix(PREFIX.as_bytes())?;
    let end = rest.iter().take(DIGITS + 1).position(|byte| *byte == b';')?;
    std::str::from_utf8(&rest[..end]).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_identified_by_its_mark() {
        assert_eq!(own(), 1);
        let own_file = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        assert_eq!(of_program(&own_file), Some(own()));
        assert_eq!(of_program(b"..disco-format:..disco-format:x;disco-format:12;disco-format:3;"), Some(12));
        assert_eq!(of_program(b"disco-format:12"), None);
        assert_eq!(of_program(b"disco-format:1234567890;"), None);
        assert_eq!(of_program(b"disco-format:;"), None);
        assert_eq!(of_program(b""), None);
        assert_eq!((told(0), told(1), told(2)), (1, 1, 2));
    }
}
