//! Resolves the modules of a script version, and restricts imports to the project.
//!
//! The engine's name of a module is `disco://<version>/<path>`, so that each version has its own modules.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;
use std::rc::Rc;

use deno_core::error::ModuleLoaderError;
use deno_core::{
    ModuleLoadOptions, ModuleLoadReferrer, ModuleLoadResponse, ModuleLoader, ModuleSource as EngineModule,
    ModuleSourceCode, ModuleSpecifier, ModuleType, RequestedModuleType, ResolutionKind,
};
use deno_error::JsErrorBox;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

use crate::{ScriptError, ScriptErrorKind, ScriptFiles};

/// The scheme of module names.
const SCHEME: &str = "disco://";
/// Characters that are not escaped in module names.
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC.remove(b'/').remove(b'-').remove(b'_').remove(b'.').remove(b'~');
/// The most bytes of one module.
const MAX_MODULE: u64 = 4 << 20;

/// The files of the versions that can still be imported from.
#[derive(Default)]
pub(super) struct Versions {
    files: RefCell<BTreeMap<u32, ScriptFiles>>,
    /// The last failed import, with more details than the engine passes on.
    failure: RefCell<Option<ScriptError>>,
}

impl Versions {
    pub(super) fn add(&self, version: u32, files: ScriptFiles) {
        self.files.borrow_mut().insert(version, files);
    }

    /// Retains the versions for which `wanted` holds; returns the dropped ones.
    pub(super) fn retain(&self, wanted: impl Fn(u32) -> bool) -> Vec<u32> {
        let mut files = self.files.borrow_mut();
        let gone: Vec<u32> = files.keys().copied().filter(|version| !wanted(*version)).collect();
        for version in &gone {
            files.remove(version);
        }
        gone
    }

    pub(super) fn clear(&self) {
        self.files.borrow_mut().clear();
        self.failure.take();
    }

    /// The failure of the last import, if `message` is from it.
    pub(super) fn take_failure(&self, message: &str) -> Option<ScriptError> {
        self.failure.take().filter(|failure| message.contains(&failure.message))
    }

    /// A line of a module, from 1.
    pub(super) fn source_line(&self, version: u32, path: &str, line: u32) -> Option<String> {
        let text = self.read(version, path).ok()?;
        text.lines().nth(line.checked_sub(1)? as usize).map(str::to_owned)
    }

    /// Reads a module. The error is a sentence without the path.
    fn read(&self, version: u32, path: &str) -> Result<String, (ScriptErrorKind, String)> {
        let files = self.files.borrow();
        let bytes = match files.get(&version) {
            None => return Err((ScriptErrorKind::Load, "belongs to a version that is no longer in use".into())),
            Some(ScriptFiles::Memory(map)) => match map.get(path) {
                Some(bytes) => bytes.to_vec(),
                None => return Err((ScriptErrorKind::NotFound, "does not exist".into())),
            },
            Some(ScriptFiles::Directory(root)) => read_below(root, path)?,
        };
        let mut text = String::from_utf8(bytes).map_err(|_| (ScriptErrorKind::Load, "is not UTF-8 text".to_owned()))?;
        if text.starts_with('\u{feff}') {
            text.drain(..'\u{feff}'.len_utf8());
        }
        Ok(text)
    }

    fn fail(&self, error: ScriptError) -> ModuleLoaderError {
        let message = error.message.clone();
        self.failure.replace(Some(error));
        JsErrorBox::type_error(message)
    }

    /// An error about `specifier` in `referrer`, placed where the specifier stands.
    fn import_error(
        &self,
        kind: ScriptErrorKind,
        specifier: &str,
        referrer: Option<(u32, &str)>,
        message: String,
    ) -> ModuleLoaderError {
        let mut error = ScriptError::new(kind, message);
        if let Some((version, path)) = referrer {
            error.file = Some(path.to_owned());
            if let Ok(text) = self.read(version, path) {
                for (index, line) in text.lines().enumerate() {
                    let at = ['"', '\'', '`'].iter().find_map(|quote| line.find(&format!("{quote}{specifier}{quote}")));
                    if let Some(at) = at {
                        error.line = Some(index as u32 + 1);
                        error.column = Some(line[..at].encode_utf16().count() as u32 + 1);
                        error.source_line = Some(line.to_owned());
                        break;
                    }
                }
            }
        }
        self.fail(error)
    }
}

/// Reads a file that must be below `root`, after resolving its path and links.
fn read_below(root: &Path, path: &str) -> Result<Vec<u8>, (ScriptErrorKind, String)> {
    let failed = |error: std::io::Error| match error.kind() {
        std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory => {
            (ScriptErrorKind::NotFound, "does not exist".to_owned())
        }
        _ => (ScriptErrorKind::Load, format!("cannot be read: {error}")),
    };
    let root = root.canonicalize().map_err(failed)?;
    let file = root.join(path).canonicalize().map_err(failed)?;
    if !file.starts_with(&root) {
        return Err((ScriptErrorKind::Load, "leads out of the project".into()));
    }
    let handle = std::fs::File::open(&file).map_err(failed)?;
    let metadata = handle.metadata().map_err(failed)?;
    if !metadata.is_file() {
        return Err((ScriptErrorKind::Load, "is not a file".into()));
    }
    let mut bytes = Vec::with_capacity(metadata.len().min(MAX_MODULE) as usize);
    handle.take(MAX_MODULE + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > MAX_MODULE {
        return Err((ScriptErrorKind::Load, format!("is larger than {} MiB", MAX_MODULE >> 20)));
    }
    Ok(bytes)
}

/// The engine's name of a module.
pub(super) fn module_name(version: u32, path: &str) -> String {
    format!("{SCHEME}{version}/{}", utf8_percent_encode(path, PLAIN))
}

/// The version and path of a module's name.
pub(super) fn parse_module_name(name: &str) -> Option<(u32, String)> {
    let (version, path) = name.strip_prefix(SCHEME)?.split_once('/')?;
    Some((version.parse().ok()?, percent_decode_str(path).decode_utf8().ok()?.into_owned()))
}

/// The path that `specifier` in the file `from` refers to, or why it is invalid.
fn join(from: &str, specifier: &str) -> Result<String, &'static str> {
    let mut parts: Vec<&str> = from.split('/').collect();
    parts.pop();
    for part in specifier.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop().ok_or("leads out of the project")?;
            }
            other => parts.push(other),
        }
    }
    Ok(parts.join("/"))
}

/// The engine's view of [`Versions`].
pub(super) struct Loader(pub(super) Rc<Versions>);

impl Loader {
    fn resolve_import(&self, specifier: &str, version: u32, from: &str) -> Result<ModuleSpecifier, ModuleLoaderError> {
        let fail = |kind, message: String| self.0.import_error(kind, specifier, Some((version, from)), message);
        if !specifier.starts_with("./") && !specifier.starts_with("../") {
            return Err(fail(
                ScriptErrorKind::Load,
                format!("cannot import `{specifier}`: an import names a file of the project and begins with ./ or ../"),
            ));
        }
        let path = join(from, specifier)
            .map_err(|reason| fail(ScriptErrorKind::Load, format!("cannot import `{specifier}`: it {reason}")))?;
        if let Err((kind, reason)) = self.0.read(version, &path) {
            return Err(fail(kind, format!("cannot import `{specifier}`: `{path}` {reason}")));
        }
        parse(&module_name(version, &path))
    }
}

fn parse(name: &str) -> Result<ModuleSpecifier, ModuleLoaderError> {
    ModuleSpecifier::parse(name).map_err(|error| JsErrorBox::type_error(format!("{name}: {error}")))
}

impl ModuleLoader for Loader {
    fn resolve(
        &self,
        specifier: &str,
        referrer: &str,
        _kind: ResolutionKind,
    ) -> Result<ModuleSpecifier, ModuleLoaderError> {
        match parse_module_name(referrer) {
            Some((version, from)) => self.resolve_import(specifier, version, &from),
            // The engine's own files import the entry of a version.
            None => match parse_module_name(specifier) {
                Some((version, path)) => {
                    if let Err((kind, reason)) = self.0.read(version, &path) {
                        return Err(self.0.fail(ScriptError::new(kind, format!("`{path}` {reason}"))));
                    }
                    parse(specifier)
                }
                None => Err(JsErrorBox::type_error(format!("cannot import `{specifier}` here"))),
            },
        }
    }

    fn load(
        &self,
        specifier: &ModuleSpecifier,
        _referrer: Option<&ModuleLoadReferrer>,
        options: ModuleLoadOptions,
    ) -> ModuleLoadResponse {
        let Some((version, path)) = parse_module_name(specifier.as_str()) else {
            return ModuleLoadResponse::Sync(Err(JsErrorBox::type_error(format!("cannot import `{specifier}` here"))));
        };
        let result = self.0.read(version, &path).map_err(|(kind, reason)| {
            let error = ScriptError::new(kind, format!("`{path}` {reason}"));
            self.0.fail(error)
        });
        let is_json = matches!(options.requested_module_type, RequestedModuleType::Json);
        ModuleLoadResponse::Sync(result.map(|text| {
            let kind = if is_json { ModuleType::Json } else { ModuleType::JavaScript };
            EngineModule::new(kind, ModuleSourceCode::String(text.into()), specifier, None)
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn imports_are_joined_inside_the_project() {
        assert_eq!(join("cluster.js", "./lib/a.js"), Ok("lib/a.js".into()));
        assert_eq!(join("lib/a.js", "../b.js"), Ok("b.js".into()));
        assert_eq!(join("lib/a.js", "./.././c//d.js"), Ok("c/d.js".into()));
        assert!(join("cluster.js", "../x.js").is_err());
        assert!(join("lib/a.js", "../../x.js").is_err());
    }

    #[test]
    fn names_of_modules_carry_any_path() {
        for path in ["cluster.js", "lib/ä b?#%.js"] {
            assert_eq!(parse_module_name(&module_name(7, path)), Some((7, path.to_owned())));
        }
        assert_eq!(parse_module_name("file:///etc/passwd"), None);
    }
}
