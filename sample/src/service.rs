//! What the sample answers.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

use crate::{
    http::{Answer, Request},
    say, variable,
};

/// Keys that a store holds.
const MOST_KEYS: usize = 10_000;

/// One copy of the service.
pub(crate) struct Service {
    role: String,
    version: String,
    /// Microseconds since 1970.
    started: u128,
    /// Who it is, as it answers.
    name: String,
    unhealthy: Option<String>,
    keys: Mutex<BTreeMap<String, Vec<u8>>>,
}

impl Service {
    pub(crate) fn new(role: &str, started: u128) -> Self {
        let unknown = |name: &str| variable(name, "?");
        Self {
            role: role.to_owned(),
            version: variable("VERSION", "v1"),
            started,
            name: format!(
                "task {} (copy {}) on node {}",
                unknown("DISCO_TASK"),
                unknown("DISCO_INDEX"),
                unknown("DISCO_NODE")
            ),
            unhealthy: std::env::var("SAMPLE_UNHEALTHY").ok(),
            keys: Mutex::default(),
        }
    }

    pub(crate) fn version(&self) -> &str {
        &self.version
    }

    pub(crate) fn answer(&self, request: &Request) -> Answer {
        let path = request.path.split('?').next().unwrap_or_default();
        match (request.method.as_str(), path) {
            ("GET", "/healthy") => match &self.unhealthy {
                Some(why) => Answer::new(503, format!("{why}\n")),
                None => Answer::new(200, "ok\n"),
            },
            ("GET", "/") => Answer::new(200, format!("{} {}, {}\n", self.role, self.version, self.name)),
            ("GET", "/started") => Answer::new(200, format!("{}\n", self.started)),
            ("POST", "/log") => {
                say(&String::from_utf8_lossy(&request.body));
                Answer::new(204, "")
            }
            (method, path) => match path.strip_prefix("/keys/") {
                Some(key) if self.role == "store" => self.key(method, key, &request.body),
                _ => Answer::new(404, "not found\n"),
            },
        }
    }

    fn key(&self, method: &str, key: &str, body: &[u8]) -> Answer {
        let mut keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        match method {
            "GET" => match keys.get(key) {
                Some(value) => Answer::new(200, value.clone()),
                None => Answer::new(404, "not found\n"),
            },
            "PUT" if keys.len() >= MOST_KEYS && !keys.contains_key(key) => Answer::new(503, "full\n"),
            "PUT" => {
                keys.insert(key.to_owned(), body.to_vec());
                Answer::new(204, "")
            }
            _ => Answer::new(405, "expected `GET` or `PUT`\n"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(method: &str, path: &str, body: &str) -> Request {
        Request { method: method.to_owned(), path: path.to_owned(), body: body.into(), ..Request::default() }
    }

    #[test]
    fn a_store_gives_back_what_it_got() {
        let store = Service::new("store", 0);
        assert_eq!(store.answer(&request("GET", "/keys/a", "")).status, 404);
        assert_eq!(store.answer(&request("PUT", "/keys/a", "1")).status, 204);
        assert_eq!(store.answer(&request("GET", "/keys/a", "")).body, b"1");
        assert_eq!(store.answer(&request("DELETE", "/keys/a", "")).status, 405);
        assert_eq!(Service::new("web", 7).answer(&request("GET", "/keys/a", "")).status, 404);
    }

    #[test]
    fn a_web_server_says_who_it_is() {
        let answer = Service::new("web", 7).answer(&request("GET", "/", ""));
        assert!(answer.status == 200 && answer.body.starts_with(b"web v1, task "), "{answer:?}");
        assert_eq!(Service::new("web", 7).answer(&request("GET", "/healthy?x", "")).status, 200);
        assert_eq!(Service::new("web", 7).answer(&request("GET", "/started", "")).body, b"7\n");
    }
}
