//! Secrets and configs of this node's tasks: files in memory, and variables.

mod files;
mod place;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;

use disco_shim::User;
use parking_lot::Mutex;
use zeroize::Zeroizing;

use self::files::{Content, Files};
use crate::agent::tasks::driver::{NotStarted, Order};
use crate::cluster::secrets::Value;
use crate::records::{ValueKind, ValuePlace};

pub(super) use self::place::forget;

/// Gets the values that a task with this version of its service uses, in the order of its uses.
pub(in crate::agent::tasks) type Fetch = Arc<dyn Fn(u64, u64) -> Fetching + Send + Sync>;
/// Values that are on their way.
pub(in crate::agent::tasks) type Fetching = Pin<Box<dyn Future<Output = Result<Vec<Value>, String>> + Send>>;

/// The folders of a task's files, by the variables that name them.
const FOLDERS: [(&str, ValueKind); 2] = [("DISCO_SECRETS", ValueKind::Secret), ("DISCO_CONFIGS", ValueKind::Config)];

/// Variables with secrets.
type Variables = Vec<(String, Zeroizing<String>)>;

/// The secrets and configs of this node's tasks.
pub(super) struct Values {
    fetch: Fetch,
    files: Files,
    variables: Mutex<BTreeMap<u64, Variables>>,
}

// === impl Values ===

impl Values {
    pub(super) fn new(data: &Path, node: &str, fetch: Fetch) -> Self {
        Self { fetch, files: Files::new(data, node), variables: Mutex::default() }
    }

    /// The values that a task needs for a start; none if what it has is enough.
    ///
    /// # Errors
    /// They cannot be had now.
    pub(super) async fn get(&self, order: &Order) -> Result<Option<Vec<Value>>, NotStarted> {
        let (uses, task, group) = (&order.group.spec.values, order.task.id, order.group.id);
        if uses.is_empty() {
            return Ok(None);
        }
        match (self.fetch)(task, group).await {
            Ok(values) if values.len() == uses.len() => Ok(Some(values)),
            Ok(_) => Err(NotStarted::Later("its secrets are of another version".to_owned())),
            // The cluster may be out of reach, and what was given before is as good.
            Err(_) if !uses.iter().any(|used| used.is_variable()) && self.files.has(task, group) => Ok(None),
            Err(why) => Err(NotStarted::Later(why)),
        }
    }

    /// Puts the values where the task finds them. Blocks.
    ///
    /// # Errors
    /// They cannot be put there.
    pub(super) fn put(&self, order: &Order, values: &[Value], user: Option<&User>) -> Result<(), NotStarted> {
        let task = order.task.id;
        let mut variables = Variables::new();
        let mut contents = Vec::new();
        for (used, value) in order.group.spec.values.iter().zip(values) {
            match &used.place {
                ValuePlace::Variable(name) => {
                    let text = text(value).map_err(|why| {
                        NotStarted::Failed(format!(
                            "the {} `{}` cannot be the variable `{name}`: {why}",
                            used.kind, used.name
                        ))
                    })?;
                    variables.push((name.clone(), text));
                }
                ValuePlace::File { target, uid, gid, mode } => {
                    contents.push(Content { kind: used.kind, target, uid: *uid, gid: *gid, mode: *mode, value });
                }
            }
        }
        self.files.write(task, order.group.id, &contents, user)?;
        self.variables.lock().insert(task, variables);
        Ok(())
    }

    /// Gets the variables of a task that an earlier daemon started.
    ///
    /// # Errors
    /// They cannot be had now.
    pub(super) async fn know_variables(&self, order: &Order) -> Result<(), String> {
        let uses = &order.group.spec.values;
        if !uses.iter().any(|used| used.is_variable()) || self.variables.lock().contains_key(&order.task.id) {
            return Ok(());
        }
        let values = (self.fetch)(order.task.id, order.group.id).await?;
        let mut variables = Variables::new();
        for (used, value) in uses.iter().zip(&values) {
            if let ValuePlace::Variable(name) = &used.place {
                variables.push((name.clone(), text(value)?));
            }
        }
        self.variables.lock().insert(order.task.id, variables);
        Ok(())
    }

    /// Further variables of a task.
    pub(super) fn environment(&self, order: &Order) -> Vec<(String, String)> {
        let task = order.task.id;
        let uses = &order.group.spec.values;
        let mut all = Vec::new();
        if !uses.is_empty()
            && let Some(folder) = self.files.folder(task)
        {
            for (name, kind) in FOLDERS {
                if uses.iter().any(|used| used.kind == kind && !used.is_variable()) {
                    all.push((name.to_owned(), folder.join(files::name(kind)).to_string_lossy().into_owned()));
                }
            }
        }
        for (name, value) in self.variables.lock().get(&task).into_iter().flatten() {
            all.push((name.clone(), value.to_string()));
        }
        all
    }

    /// Removes what other tasks than these had. Blocks.
    pub(super) fn keep(&self, tasks: &BTreeSet<u64>) -> std::io::Result<()> {
        self.variables.lock().retain(|task, _| tasks.contains(task));
        self.files.keep(tasks)
    }
}

/// A value as a variable: a line end at its end is of the file that it came from.
fn text(value: &Value) -> Result<Zeroizing<String>, String> {
    let text = std::str::from_utf8(value.bytes()).map_err(|_| "it is not UTF-8".to_owned())?;
    let text = text.strip_suffix('\n').map_or(text, |line| line.strip_suffix('\r').unwrap_or(line));
    if text.contains('\0') {
        return Err("it has a NUL".to_owned());
    }
    Ok(Zeroizing::new(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variable_is_text_without_the_line_end_of_its_file() {
        let of = |bytes: &[u8]| text(&Value::new(bytes.to_vec())).map(|text| text.to_string());
        assert_eq!(of(b"hunter2\n"), Ok("hunter2".to_owned()));
        assert_eq!(of(b"a\r\n"), Ok("a".to_owned()));
        assert_eq!(of(b"a\n\n"), Ok("a\n".to_owned()));
        assert!(of(b"a\0b").is_err() && of(b"\xff").is_err());
    }
}
