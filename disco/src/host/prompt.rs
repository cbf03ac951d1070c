use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use async_trait::async_trait;
use disco_runtime_js::{HostError, Json, ask::Prompt};

use super::failures::Failures;
use crate::{context::Context, question};

/// Answers `ask`: on the terminal, or by `-y`.
pub(super) struct TerminalPrompt {
    pub(super) context: Context,
    pub(super) failures: Failures,
    /// Whether the operator is asked. Otherwise every answer is the affirmative one, as with `-y`.
    pub(super) asks: bool,
    /// A yes-or-no question was answered with no.
    pub(super) declined: Arc<AtomicBool>,
}

#[async_trait]
impl Prompt for TerminalPrompt {
    async fn ask(&self, text: &str, default: Option<Json>) -> Result<Json, HostError> {
        let answer = if !self.asks {
            affirmative(default)
        } else {
            let asked = format!("{text} {} ", suffix(default.as_ref()));
            loop {
                let line = question::line(&self.context, &asked).await;
                let line = line.map_err(|failure| self.failures.for_script(failure))?;
                if let Some(answer) = parsed(&line, default.as_ref()) {
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

/// The answer of `-y`: yes, or the script's default value.
fn affirmative(default: Option<Json>) -> Json {
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

/// Parses an answer; `None` repeats the question.
fn parsed(line: &str, default: Option<&Json>) -> Option<Json> {
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
        assert_eq!(parsed("y", None), Some(json!(true)));
        assert_eq!(parsed("", None), Some(json!(false)));
        assert_eq!(parsed("", Some(&json!(true))), Some(json!(true)));
        assert_eq!(parsed("maybe", Some(&json!(true))), None);
        assert_eq!(parsed("5", Some(&json!(3))), Some(json!(5)));
        assert_eq!(parsed("five", Some(&json!(3))), None);
        assert_eq!(parsed("eu", Some(&json!("us"))), Some(json!("eu")));
        assert_eq!(affirmative(None), json!(true));
        assert_eq!(affirmative(Some(json!(false))), json!(true));
        assert_eq!(affirmative(Some(json!("us"))), json!("us"));
    }
}
