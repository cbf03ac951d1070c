//! How the crate sees files.

use std::io;

use crate::{
    place::{Place, Sources},
    problem::Problem,
};

/// Reads files for the loader, which does no I/O itself.
pub trait Files {
    /// The content of a file. The path is absolute, or begins with `~/`, or is seen from where the user named the stack files.
    ///
    /// # Errors
    /// As the operating system reports it; [`io::ErrorKind::NotFound`] counts as "does not exist" where a file is optional.
    fn read(&self, path: &str) -> io::Result<Vec<u8>>;
}

/// What a file holds.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Content {
    Stack,
    /// Their values are not shown in errors.
    Variables,
}

/// Reads a text, and records it as a source.
pub(crate) fn read_text(
    files: &dyn Files,
    path: &str,
    content: Content,
    asked_at: Option<Place>,
    sources: &mut Sources,
) -> Result<(String, Place), NoFile> {
    let problem = |message: String| Problem { place: asked_at, ..Problem::new(message) };
    let bytes = match files.read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(NoFile { missing: true, problem: problem(format!("the file `{path}` does not exist")) });
        }
        Err(error) => {
            return Err(NoFile { missing: false, problem: problem(format!("cannot read the file `{path}`: {error}")) });
        }
    };
    match String::from_utf8(bytes) {
        Ok(text) => {
            let start = match content {
                Content::Stack => sources.add(path, &text),
                Content::Variables => sources.add_private(path, &text),
            };
            Ok((text, start))
        }
        Err(error) => {
            let valid = &error.as_bytes()[..error.utf8_error().valid_up_to()];
            let line = valid.iter().filter(|byte| **byte == b'\n').count() + 1;
            let message = format!("the file `{path}` is not UTF-8 from line {line} on");
            Err(NoFile { missing: false, problem: problem(message) })
        }
    }
}

/// Why a file could not be read.
pub(crate) struct NoFile {
    pub(crate) missing: bool,
    pub(crate) problem: Problem,
}
