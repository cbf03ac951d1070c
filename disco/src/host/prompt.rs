use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use async_trait::async_trait;
use disco_runtime_js::{HostError, Json, ask::Prompt};

use super::failures::Failures;
use crate::{context::Context, question};

/// `ask`: on the terminal, or answered by `-y`.
pub(super) struct TerminalPrompt {
    pub(super) context: Context,
    pub(super) failures: Failures,
    /// Nothing is done, so nobody is asked: every answer is the one that goes on.
    pub(super) planning: bool,
    /// Some yes-or-no question was answered with no.
    pub(super) declined: Arc<AtomicBool>,
}

#[async_trait]
impl Prompt for TerminalPrompt {
    async fn ask(&self, text: &str, default: Option<Json>) -> Result<Json, HostError> {
        let answer = if self.context.settings.yes || self.planning {
            agreed(default)
        } else {
            let asked = format!("{text} {} ", suffix(default.as_ref()));
            loop {
                let line = question::line(&self.context, &asked).await;
                let line = line.map_err(|failure| self.failures.tell(failure))?;
                if let Some(answer) = understood(&line, default.as_ref()) {
                    break answer;
                }
            }
        };
        if answer == Json::Bool(false) {
            self.declined.store(true, Ordering::Relaxed);
        }
        Ok(answer)
    }
}

/// What `-y` answers: yes, or the value that the script suggests.
fn agreed(default: Option<Json>) -> Json {
    match default {
        Some(value @ (Json::String(_) | Json::Number(_))) => value,
        _ => Json::Bool(true),
    }
}

fn suffix(default: Option<&Json>) -> String {
    match default {
        None | Some(Json::Bool(false)) => "[y/N]".to_owned(),
        Some(Json::Bool(true)) => "[Y/n]".to_owned(),
        Some(Json::String(text)) => format!("[{text}]"),
        Some(other) => format!("[{other}]"),
    }
}

/// `None`: to be asked again.
fn understood(line: &str, default: Option<&Json>) -> Option<Json> {
    match default {
        Some(value) if line.is_empty() => Some(value.clone()),
        Some(Json::Number(_)) => serde_json::from_str::<serde_json::Number>(line).ok().map(Json::Number),
        Some(Json::String(_)) => Some(Json::String(line.to_owned())),
        _ => match line.to_ascii_lowercase().as_str() {
            "y" | "yes" => Some(Json::Bool(true)),
            "n" | "no" | "" => Some(Json::Bool(false)),
            _ => None,
        },
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn answers_have_the_type_of_the_default() {
        assert_eq!(understood("y", None), Some(json!(true)));
        assert_eq!(understood("", None), Some(json!(false)));
        assert_eq!(understood("", Some(&json!(true))), Some(json!(true)));
        assert_eq!(understood("maybe", Some(&json!(true))), None);
        assert_eq!(understood("5", Some(&json!(3))), Some(json!(5)));
        assert_eq!(understood("five", Some(&json!(3))), None);
        assert_eq!(understood("eu", Some(&json!("us"))), Some(json!("eu")));
        assert_eq!(agreed(None), json!(true));
        assert_eq!(agreed(Some(json!(false))), json!(true));
        assert_eq!(agreed(Some(json!("us"))), json!("us"));
    }
}
