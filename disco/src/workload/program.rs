//! The files of a process: a program, or a folder with one.

use std::{collections::BTreeSet, path::Path};

use disco_stack::{Problem, Process, Service};
use disco_store::typed::{FileRecord, LARGEST_FILE, ProcessSpec};
use sha2::{Digest, Sha256};

use super::source::below;
use crate::{
    error::{Failure, Outcome},
    project::{ProjectFile, Selection, program_files},
};

/// Permission to execute, of anyone.
const EXECUTE: u32 = 0o111;
/// Where the place of a problem with the program is.
const KEY: &str = "x-disco.process.path";

/// A process and its files.
pub(super) struct Program {
    pub(super) spec: ProcessSpec,
    pub(super) files: Selection,
}

/// Reads the files of a service's process; `base` is the folder from which the stack's paths are seen.
///
/// # Errors
/// What is wrong with the path, for the stack file's place; or a failure to read.
pub(super) fn read(name: &str, service: &Service, process: &Process, base: &Path) -> Outcome<Result<Program, Problem>> {
    let problem = |key: &str, message: String, hint: &str| Problem {
        message,
        place: service.places.get(key).or_else(|| service.places.get("")).copied(),
        hint: Some(hint.to_owned()),
        related: Vec::new(),
    };
    let path = below(base, &process.path);
    let Ok(metadata) = std::fs::metadata(&path) else {
        let message = format!("the program `{}` of the service `{name}` does not exist", process.path);
        return Ok(Err(problem(KEY, message, "build it, or correct the path: it is relative to the first stack file")));
    };
    let files = program_files(&path)?;
    if let Some((path, size)) = files.large.first() {
        let message = format!(
            "`{path}` of the service `{name}` has {:.1} MiB: a file has at most {} MiB",
            *size as f64 / f64::from(1 << 20),
            LARGEST_FILE >> 20
        );
        let hint = "build it for release and without symbols (`strip`), split it, or exclude it by a `.discoignore` in the \
                    program's folder";
        return Ok(Err(problem(KEY, message, hint)));
    }
    let (program, args) = if metadata.is_dir() {
        let Some((first, rest)) = process.args.split_first() else {
            let message =
                format!("`{}` of the service `{name}` is a folder, and no program in it is named", process.path);
            return Ok(Err(problem(KEY, message, "the first of `args` names the program in the folder")));
        };
        (first.strip_prefix("./").unwrap_or(first).to_owned(), rest.to_vec())
    } else {
        let program = path.file_name().map(|file| file.to_string_lossy().into_owned()).unwrap_or_default();
        (program, process.args.clone())
    };
    match files.files.iter().find(|file| file.path == program) {
        None => {
            let message = format!("the folder `{}` of the service `{name}` has no file `{program}`", process.path);
            let key = if service.places.contains_key("x-disco.process.args") { "x-disco.process.args" } else { KEY };
            return Ok(Err(problem(key, message, "the first of `args` names the program in the folder")));
        }
        Some(file) if file.mode & EXECUTE == 0 => {
            let message = format!("`{program}` of the service `{name}` is not executable");
            return Ok(Err(problem(KEY, message, "`chmod +x` makes it so")));
        }
        Some(_) => {}
    }
    let spec = ProcessSpec {
        program,
        files: files.files.iter().map(record).collect(),
        args,
        user: process.user.clone(),
        working_folder: service.working_dir.clone(),
    };
    Ok(Ok(Program { spec, files }))
}

fn record(file: &ProjectFile) -> FileRecord {
    FileRecord { path: file.path.clone(), sha256: file.sha256.clone(), size: file.size, mode: file.mode }
}

/// `sha256:…` over the resolved service and the contents of its files.
pub(super) fn hash(service: &Service, process: &ProcessSpec) -> String {
    let mut digest = Sha256::new();
    digest.update(service.hash.as_bytes());
    let files: BTreeSet<(&str, &str, u32)> =
        process.files.iter().map(|file| (file.path.as_str(), file.sha256.as_str(), file.mode)).collect();
    for (path, sha256, mode) in files {
        digest.update(format!("\n{}\n{path}\n{sha256}\n{mode:o}", path.len()).as_bytes());
    }
    format!("sha256:{}", hex::encode(digest.finalize()))
}

/// All files of several programs, for one upload.
pub(super) fn together(programs: Vec<Selection>) -> Selection {
    let mut all = Selection::default();
    for mut selection in programs {
        all.files.append(&mut selection.files);
        all.keys.append(&mut selection.keys);
        all.backups.append(&mut selection.backups);
        all.large.append(&mut selection.large);
    }
    all
}

/// Warns about files that are not sent.
pub(super) fn refuse_secrets(files: &Selection) -> Outcome<()> {
    match files.keys.first().or_else(|| files.backups.first()) {
        None => Ok(()),
        Some(file) => {
            Err(Failure::usage(format!("`{file}` is a private key or a backup, and every node would have it"))
                .hint("take it out of the program's folder, or add it to a `.discoignore` there"))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, fs, io, os::unix::fs::PermissionsExt};

    use disco_stack::{Files, Options, Runs, load};

    use super::*;

    struct Text(String);

    impl Files for Text {
        fn read(&self, path: &str) -> io::Result<Vec<u8>> {
            if path == "stack.yml" { Ok(self.0.clone().into_bytes()) } else { Err(io::ErrorKind::NotFound.into()) }
        }
    }

    fn service(process: &str) -> Service {
        let options =
            Options { files: vec!["stack.yml".to_owned()], folder_name: "x".to_owned(), ..Options::default() };
        let text = format!("services:\n  web:\n    x-disco:\n      process: {process}\n");
        let loaded = load(&options, &Text(text)).unwrap_or_else(|error| panic!("{error}"));
        let services: BTreeMap<String, Service> = loaded.stack.services;
        services["web"].clone()
    }

    fn reading(folder: &Path, process: &str) -> Result<ProcessSpec, Problem> {
        let service = service(process);
        let Runs::Process(process) = &service.runs else { panic!("a process") };
        read("web", &service, process, folder).unwrap().map(|program| program.spec)
    }

    fn program(folder: &Path, path: &str, mode: u32) {
        let path = folder.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, "#!/bin/sh\n").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn a_program_is_sent_alone_and_a_folder_whole() {
        let folder = tempfile::tempdir().unwrap();
        program(folder.path(), "bin/web", 0o755);
        program(folder.path(), "bin/lib/page.html", 0o644);
        let alone = reading(folder.path(), "{path: bin/web, args: [-v]}").unwrap();
        assert_eq!((alone.program.as_str(), alone.args.as_slice()), ("web", ["-v".to_owned()].as_slice()));
        assert_eq!(alone.files.len(), 1);
        assert_eq!(alone.files[0].mode, 0o755);
        let whole = reading(folder.path(), "{path: ./bin, args: [./web, -v]}").unwrap();
        assert_eq!((whole.program.as_str(), whole.args.as_slice()), ("web", ["-v".to_owned()].as_slice()));
        let paths: Vec<_> = whole.files.iter().map(|file| file.path.as_str()).collect();
        assert_eq!(paths, ["lib/page.html", "web"]);
    }

    #[test]
    fn what_is_wrong_with_a_program_has_its_place() {
        let folder = tempfile::tempdir().unwrap();
        program(folder.path(), "bin/web", 0o644);
        fs::File::create(folder.path().join("large")).unwrap().set_len(LARGEST_FILE + (1 << 20)).unwrap();
        for (process, words) in [
            ("{path: ./gone}", "`./gone` of the service `web` does not exist"),
            ("{path: ./bin}", "is a folder, and no program in it is named"),
            ("{path: ./bin, args: [shop]}", "has no file `shop`"),
            ("{path: ./bin/web}", "is not executable"),
            ("{path: ./large}", "has 1025.0 MiB: a file has at most 1024 MiB"),
        ] {
            let problem = reading(folder.path(), process).expect_err(process);
            assert!(problem.message.contains(words), "{problem:?}");
            assert!(problem.place.is_some_and(|place| place.line == 4) && problem.hint.is_some(), "{problem:?}");
        }
    }

    #[test]
    fn the_hash_covers_the_contents_and_the_modes_of_files() {
        let folder = tempfile::tempdir().unwrap();
        program(folder.path(), "web", 0o755);
        let service = service("{path: ./web}");
        let of = || hash(&service, &reading(folder.path(), "{path: ./web}").unwrap());
        let before = of();
        assert_eq!(before, of());
        assert!(before.starts_with("sha256:") && before != service.hash);
        fs::set_permissions(folder.path().join("web"), fs::Permissions::from_mode(0o700)).unwrap();
        let other_mode = of();
        assert_ne!(before, other_mode);
        fs::write(folder.path().join("web"), "#!/bin/sh\nexit 1\n").unwrap();
        assert_ne!(other_mode, of());
    }
}
