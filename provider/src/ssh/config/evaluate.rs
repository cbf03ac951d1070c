//! The values that apply to one machine: the first one of each keyword counts.

use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::line::{self, Line};
use super::pattern::matches_list;
use super::{ConfigError, SshConfig};

/// How deep files may include each other, as in OpenSSH.
const DEEPEST: usize = 16;

/// The values for one machine, as they are written.
#[derive(Debug, Default)]
pub(super) struct Values {
    pub(super) host_name: Option<String>,
    pub(super) user: Option<String>,
    pub(super) port: Option<u16>,
    /// Of all blocks that apply.
    pub(super) identities: Vec<String>,
    pub(super) identities_only: Option<bool>,
    pub(super) agent: Option<String>,
    /// `ProxyJump` or `ProxyCommand`, whichever comes first.
    pub(super) proxy: Option<Proxy>,
    pub(super) key_alias: Option<String>,
    pub(super) known_hosts: Option<Vec<String>>,
    /// Blocks that were not evaluated, in words.
    pub(super) notes: Vec<String>,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Proxy {
    None,
    Jump(String),
    Command(String),
}

/// The keywords that change a value.
const SETTINGS: [&str; 10] = [
    "hostname",
    "user",
    "port",
    "hostkeyalias",
    "identityagent",
    "identityfile",
    "identitiesonly",
    "userknownhostsfile",
    "proxyjump",
    "proxycommand",
];

/// Whether the conditions of a `Match` hold.
#[derive(Debug, PartialEq, Eq)]
enum Matched {
    Yes,
    No,
    /// All others hold, and this one cannot be evaluated.
    Unknown(String),
}

/// One evaluation.
pub(super) struct Evaluation<'a> {
    pub(super) config: &'a SshConfig,
    /// The name that the user gave.
    pub(super) name: &'a str,
    pub(super) values: Values,
}

impl Evaluation<'_> {
    /// Reads all files.
    pub(super) fn run(&mut self) -> Result<(), ConfigError> {
        for path in &self.config.files {
            let own = path.starts_with(&self.config.home);
            let text = match read(path, own) {
                Ok(text) => text,
                Err(ConfigError::Read { source, .. }) if source.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(error),
            };
            self.file(path, &text, true, own, 0)?;
        }
        Ok(())
    }

    /// Applies one file. `applies`: the block that includes it applies; `own`: it is the user's, not the system's.
    fn file(&mut self, path: &Path, text: &str, applies: bool, own: bool, depth: usize) -> Result<(), ConfigError> {
        let mut active = applies;
        // The condition of a block that would apply, if it held.
        let mut left_out: Option<String> = None;
        for (at, text) in text.lines().enumerate() {
            let fail = |reason: String| ConfigError::Line { path: path.to_path_buf(), line: at + 1, reason };
            let Some(Line { keyword, arguments }) = line::parse(text).map_err(|why| fail(why.to_owned()))? else {
                continue;
            };
            match keyword.as_str() {
                "host" => {
                    active = applies && matches_list(arguments.iter().map(String::as_str), self.name);
                    left_out = None;
                }
                "match" => {
                    let matched = self.matches(&arguments).map_err(fail)?;
                    active = applies && matched == Matched::Yes;
                    left_out = match matched {
                        Matched::Unknown(condition) if applies => Some(condition),
                        _ => None,
                    };
                }
                "include" if active => {
                    for pattern in &arguments {
                        self.include(path, pattern, own, depth)?;
                    }
                }
                _ if active => self.set(&keyword, &arguments).map_err(fail)?,
                keyword if SETTINGS.contains(&keyword) => {
                    let note = left_out.take().map(|condition| {
                        let place = format!("`{}`, line {}", path.display(), at + 1);
                        format!("{place}: `{keyword}` does not apply, as Disco does not evaluate `Match {condition}`")
                    });
                    self.values.notes.extend(note);
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn include(&mut self, from: &Path, pattern: &str, own: bool, depth: usize) -> Result<(), ConfigError> {
        let failed = |reason: &str| ConfigError::Line { path: from.to_path_buf(), line: 0, reason: reason.to_owned() };
        if depth >= DEEPEST {
            return Err(failed("files include each other too deeply"));
        }
        let path = self.config.at_home(pattern);
        let folder = if own { self.config.home.join(".ssh") } else { PathBuf::from("/etc/ssh") };
        let pattern = folder.join(path);
        let found = glob::glob(&pattern.to_string_lossy())
            .map_err(|error| failed(&format!("`Include {}`: {error}", pattern.display())))?;
        for path in found {
            let path =
                path.map_err(|error| ConfigError::Read { path: error.path().to_path_buf(), source: error.into() })?;
            if path.is_file() {
                let text = read(&path, own)?;
                self.file(&path, &text, true, own, depth + 1)?;
            }
        }
        Ok(())
    }

    /// Whether all conditions of a `Match` hold.
    fn matches(&self, arguments: &[String]) -> Result<Matched, String> {
        if arguments.is_empty() {
            return Err("`Match` has no condition".to_owned());
        }
        let (mut all, mut unknown) = (true, None);
        let mut words = arguments.iter();
        while let Some(word) = words.next() {
            let (negated, word) = word.strip_prefix('!').map_or((false, word.as_str()), |word| (true, word));
            let (condition, given) =
                word.split_once('=').map_or((word, None), |(word, value)| (word, Some(value.to_owned())));
            let condition = condition.to_ascii_lowercase();
            if matches!(condition.as_str(), "all" | "canonical" | "final") {
                match condition.as_str() {
                    "all" => {}
                    // Names are not made canonical.
                    "canonical" => all &= negated,
                    // OpenSSH reads the files a second time for it.
                    _ => unknown = Some(condition),
                }
                continue;
            }
            let value =
                given.or_else(|| words.next().cloned()).ok_or_else(|| format!("`Match {condition}` has no value"))?;
            let text = match condition.as_str() {
                "host" => self.host_name(),
                "originalhost" => self.name.to_owned(),
                "user" => self.values.user.clone().unwrap_or_else(|| self.config.user.clone()),
                "localuser" => self.config.user.clone(),
                _ => {
                    unknown = Some(condition);
                    continue;
                }
            };
            let value = if condition.ends_with("host") { value.to_lowercase() } else { value };
            all &= matches_list(value.split(','), &text) != negated;
        }
        Ok(match unknown {
            _ if !all => Matched::No,
            Some(condition) => Matched::Unknown(condition),
            None => Matched::Yes,
        })
    }

    /// The machine's name, as far as it is known by now.
    pub(super) fn host_name(&self) -> String {
        match &self.values.host_name {
            Some(name) => name.replace("%%", "\0").replace("%h", self.name).replace('\0', "%"),
            None => self.name.to_owned(),
        }
    }

    fn set(&mut self, keyword: &str, arguments: &[String]) -> Result<(), String> {
        let values = &mut self.values;
        let one = || arguments.first().cloned().ok_or_else(|| format!("`{keyword}` has no value"));
        match keyword {
            "hostname" => keep(&mut values.host_name, one()?),
            "user" => keep(&mut values.user, one()?),
            "hostkeyalias" => keep(&mut values.key_alias, one()?),
            "identityagent" => keep(&mut values.agent, one()?),
            "identityfile" => {
                let file = one()?;
                if !values.identities.contains(&file) {
                    values.identities.push(file);
                }
            }
            "identitiesonly" => keep(&mut values.identities_only, yes(&one()?)?),
            "userknownhostsfile" => keep(&mut values.known_hosts, arguments.to_vec()),
            "port" => {
                let port = one()?;
                let number = port.parse().ok().filter(|port| *port > 0);
                keep(&mut values.port, number.ok_or_else(|| format!("invalid port `{port}`: expected 1 to 65535"))?);
            }
            "proxyjump" => {
                let jump = one()?;
                let jump = if jump.eq_ignore_ascii_case("none") { Proxy::None } else { Proxy::Jump(jump) };
                keep(&mut values.proxy, jump);
            }
            "proxycommand" => {
                let command = arguments.join(" ");
                let command = if command.eq_ignore_ascii_case("none") { Proxy::None } else { Proxy::Command(command) };
                keep(&mut values.proxy, command);
            }
            _ => {}
        }
        Ok(())
    }
}

/// The first value counts.
fn keep<T>(place: &mut Option<T>, value: T) {
    place.get_or_insert(value);
}

fn yes(text: &str) -> Result<bool, String> {
    match text.to_ascii_lowercase().as_str() {
        "yes" | "true" => Ok(true),
        "no" | "false" => Ok(false),
        _ => Err(format!("invalid value `{text}`: expected yes or no")),
    }
}

/// Reads a file. As in OpenSSH, nobody else may be able to write to the user's: it decides where connections go.
fn read(path: &Path, own: bool) -> Result<String, ConfigError> {
    let failed = |source| ConfigError::Read { path: path.to_path_buf(), source };
    let mode = std::fs::metadata(path).map_err(failed)?.permissions().mode() & 0o7777;
    if own && mode & 0o022 != 0 {
        return Err(ConfigError::Permissions { path: path.to_path_buf(), mode });
    }
    let bytes = std::fs::read(path).map_err(failed)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
