use std::sync::Arc;

use disco_runtime_js::{
    EngineOptions, Hosts, LoadOptions, ModuleSource, ScriptEngine,
    console::{Console, ConsoleLevel},
};

use super::Check;
use crate::{
    host::from_script_error,
    project::{CLIENT_SCRIPT, CLUSTER_SCRIPT, Project},
};

/// Evaluates both scripts, without calling their functions.
pub(super) async fn check(project: &Project) -> Vec<Check> {
    let mut checks = Vec::new();
    for name in [CLIENT_SCRIPT, CLUSTER_SCRIPT] {
        if !project.root().join(name).is_file() {
            let check = Check::doubtful(name, "missing");
            checks.push(if name == CLIENT_SCRIPT { check.next("`disco init` writes one") } else { check });
            continue;
        }
        checks.push(match load(project, name).await {
            Ok(exports) => Check::good(name, format!("exports {}", exports.join(", "))),
            Err(error) => Check::failure(name, &from_script_error(error)),
        });
    }
    checks
}

async fn load(project: &Project, name: &str) -> Result<Vec<String>, disco_runtime_js::ScriptError> {
    let engine = ScriptEngine::start(EngineOptions::new(Hosts::new(Arc::new(Silent))))?;
    let source = ModuleSource::directory(name, project.root());
    Ok(engine.load(source, LoadOptions::default()).await?.exports)
}

struct Silent;

impl Console for Silent {
    fn write(&self, _level: ConsoleLevel, _text: &str) {}
}
