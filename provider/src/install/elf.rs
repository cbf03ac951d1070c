//! Reads from an executable for which machine it is built.

use std::fmt;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};

/// A processor architecture, named as by `uname -m` and in Rust's targets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Architecture {
    /// 64 bits, Intel and AMD.
    X86_64,
    /// 64 bits, ARM.
    Aarch64,
}

impl Architecture {
    /// The architecture of this program.
    pub fn own() -> Self {
        if cfg!(target_arch = "aarch64") { Self::Aarch64 } else { Self::X86_64 }
    }

    /// Parses the output of `uname -m`.
    pub(super) fn from_uname(machine: &str) -> Option<Self> {
        match machine {
            "x86_64" | "amd64" => Some(Self::X86_64),
            "aarch64" | "arm64" => Some(Self::Aarch64),
            _ => None,
        }
    }
}

impl fmt::Display for Architecture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::X86_64 => "x86_64",
            Self::Aarch64 => "aarch64",
        })
    }
}

/// The requirements of a program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Elf {
    pub(super) architecture: Architecture,
    /// The dynamic loader; `None` for a static program.
    pub(super) interpreter: Option<String>,
}

// From the specification of the format (`man 5 elf`): offsets in the header of a 64-bit file, and values.
const HEADER: usize = 64;
const TYPE: usize = 16;
const MACHINE: usize = 18;
const PROGRAM_HEADERS: usize = 32;
const PROGRAM_HEADER_SIZE: usize = 54;
const PROGRAM_HEADER_COUNT: usize = 56;
const CLASS_64: u8 = 2;
const LITTLE_ENDIAN: u8 = 1;
const EXECUTABLE: u16 = 2;
const SHARED: u16 = 3;
const X86_64: u16 = 62;
const AARCH64: u16 = 183;
const INTERPRETER: u32 = 3;
/// The longest path of a loader.
const LONGEST_PATH: u64 = 4096;

/// Reads the requirements of a program. The inner error explains why the file is not a program.
pub(super) fn read(file: &mut File) -> io::Result<Result<Elf, String>> {
    let mut header = [0; HEADER];
    match file.read_exact(&mut header) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(Err("it is too short".to_owned())),
        other => other?,
    }
    if !header.starts_with(b"\x7fELF") {
        let script = header.starts_with(b"#!");
        return Ok(Err(if script { "it is a script" } else { "it is not an ELF file" }.to_owned()));
    }
    if header[4] != CLASS_64 || header[5] != LITTLE_ENDIAN {
        return Ok(Err("it is not for a 64-bit little-endian processor".to_owned()));
    }
    if !matches!(number16(&header, TYPE), EXECUTABLE | SHARED) {
        return Ok(Err("it is not executable".to_owned()));
    }
    let architecture = match number16(&header, MACHINE) {
        X86_64 => Architecture::X86_64,
        AARCH64 => Architecture::Aarch64,
        other => return Ok(Err(format!("it is for a processor that Disco does not support (ELF machine {other})"))),
    };
    Ok(interpreter(file, &header)?.map(|interpreter| Elf { architecture, interpreter }))
}

fn interpreter(file: &mut File, header: &[u8]) -> io::Result<Result<Option<String>, String>> {
    let broken = || Ok(Err("its headers are broken".to_owned()));
    let start = number64(header, PROGRAM_HEADERS);
    let size = u64::from(number16(header, PROGRAM_HEADER_SIZE));
    for index in 0..u64::from(number16(header, PROGRAM_HEADER_COUNT)) {
        let mut entry = [0; 56];
        let Some(offset) = start.checked_add(index * size) else { return broken() };
        // The system refuses an offset that no file has.
        if file.seek(SeekFrom::Start(offset)).is_err() || file.read_exact(&mut entry).is_err() {
            return broken();
        }
        if number32(&entry, 0) != INTERPRETER {
            continue;
        }
        let (offset, length) = (number64(&entry, 8), number64(&entry, 32));
        if length > LONGEST_PATH {
            return broken();
        }
        let mut path = Vec::new();
        if file.seek(SeekFrom::Start(offset)).is_err() {
            return broken();
        }
        file.take(length).read_to_end(&mut path)?;
        return Ok(Ok(Some(String::from_utf8_lossy(&path).trim_end_matches('\0').to_owned())));
    }
    Ok(Ok(None))
}

fn number16(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

fn number32(bytes: &[u8], at: usize) -> u32 {
    u32::from(number16(bytes, at)) | u32::from(number16(bytes, at + 2)) << 16
}

fn number64(bytes: &[u8], at: usize) -> u64 {
    u64::from(number32(bytes, at)) | u64::from(number32(bytes, at + 4)) << 32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(content: &[u8]) -> Result<Elf, String> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        std::fs::write(&path, content).unwrap();
        read(&mut File::open(path).unwrap()).unwrap()
    }

    /// This test itself is a program.
    fn own() -> Vec<u8> {
        std::fs::read(std::env::current_exe().unwrap()).unwrap()
    }

    #[test]
    fn this_program_is_for_this_machine() {
        let elf = parse(&own()).unwrap();
        assert_eq!(elf.architecture.to_string(), std::env::consts::ARCH);
    }

    #[test]
    fn another_machine_is_recognised() {
        let mut program = own();
        program[MACHINE..MACHINE + 2].copy_from_slice(&AARCH64.to_le_bytes());
        assert_eq!(parse(&program).unwrap().architecture, Architecture::Aarch64);
        program[MACHINE..MACHINE + 2].copy_from_slice(&243_u16.to_le_bytes());
        assert!(parse(&program).unwrap_err().contains("machine 243"));
    }

    #[test]
    fn other_files_are_no_programs() {
        for (content, reason) in
            [(&b""[..], "too short"), (&[b'x'; 100], "not an ELF"), (&[b'#', b'!'].repeat(50), "script")]
        {
            assert!(parse(content).unwrap_err().contains(reason), "{reason}");
        }
        let mut cut = own();
        cut.truncate(HEADER);
        assert!(parse(&cut).unwrap_err().contains("broken"));
        let mut wide = own();
        wide[4] = 1;
        assert!(parse(&wide).unwrap_err().contains("64-bit"));
    }

    /// The start of a program of this machine, with one program header, for the path of its loader.
    fn small() -> Vec<u8> {
        // Made for each case of a property: no more is read than is wanted of the 40 MB.
        let mut program = vec![0; HEADER];
        File::open(std::env::current_exe().unwrap()).unwrap().read_exact(&mut program).unwrap();
        program[PROGRAM_HEADERS..PROGRAM_HEADERS + 8].copy_from_slice(&64_u64.to_le_bytes());
        program[PROGRAM_HEADER_SIZE..PROGRAM_HEADER_SIZE + 2].copy_from_slice(&56_u16.to_le_bytes());
        program[PROGRAM_HEADER_COUNT..PROGRAM_HEADER_COUNT + 2].copy_from_slice(&1_u16.to_le_bytes());
        let mut entry = [0; 56];
        entry[..4].copy_from_slice(&INTERPRETER.to_le_bytes());
        entry[8..16].copy_from_slice(&120_u64.to_le_bytes());
        entry[32..40].copy_from_slice(&8_u64.to_le_bytes());
        program.extend(entry);
        program.extend(b"/lib/ld\0");
        program
    }

    proptest::proptest! {
        /// Whatever a file holds, "not a program" is a property of the file, not an I/O error.
        #[test]
        fn any_file_is_a_program_or_none(content in proptest::collection::vec(proptest::num::u8::ANY, 0..300)) {
            proptest::prop_assert!(parse(&content).is_err());
        }

        #[test]
        fn a_damaged_program_is_read_or_refused(
            changes in proptest::collection::vec((0..120_usize, proptest::num::u8::ANY), 1..10),
        ) {
            assert_eq!(parse(&small()).unwrap().interpreter.as_deref(), Some("/lib/ld"));
            let mut program = small();
            for (at, byte) in changes {
                program[at] = byte;
            }
            if let Ok(elf) = parse(&program) {
                proptest::prop_assert!(elf.interpreter.is_none_or(|path| path.len() as u64 <= 3 * LONGEST_PATH));
            }
        }
    }

    /// An offset that is no place in any file.
    #[test]
    fn an_offset_past_all_files_is_broken() {
        let mut program = small();
        program[PROGRAM_HEADERS..PROGRAM_HEADERS + 8].copy_from_slice(&u64::MAX.to_le_bytes()[..8]);
        assert!(parse(&program).unwrap_err().contains("broken"));
        let mut program = small();
        program[64 + 8..64 + 16].copy_from_slice(&(u64::MAX - 1).to_le_bytes());
        assert!(parse(&program).unwrap_err().contains("broken"));
    }
}
