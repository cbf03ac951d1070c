//! What `url.js` calls.

use deno_core::op2;
use deno_core::url::{Url, form_urlencoded, quirks};

use crate::Json;

/// The parts as JSON, or empty for an invalid URL.
#[op2]
#[string]
pub(crate) fn op_url_parse(#[string] url: &str, #[string] base: &str) -> String {
    let parsed = if base.is_empty() { Url::parse(url) } else { Url::parse(base).and_then(|base| base.join(url)) };
    parsed.map(|url| parts(&url)).unwrap_or_default()
}

/// The parts after one was set; an invalid value is ignored, as in the standard.
#[op2]
#[string]
pub(crate) fn op_url_set(#[string] href: &str, #[string] part: &str, #[string] value: &str) -> String {
    let Ok(mut url) = Url::parse(href) else { return String::new() };
    let _unchanged = match part {
        "href" => quirks::set_href(&mut url, value).map_err(drop),
        "protocol" => quirks::set_protocol(&mut url, value),
        "username" => quirks::set_username(&mut url, value),
        "password" => quirks::set_password(&mut url, value),
        "host" => quirks::set_host(&mut url, value),
        "hostname" => quirks::set_hostname(&mut url, value),
        "port" => quirks::set_port(&mut url, value),
        "pathname" => {
            quirks::set_pathname(&mut url, value);
            Ok(())
        }
        "search" => {
            quirks::set_search(&mut url, value);
            Ok(())
        }
        _ => {
            quirks::set_hash(&mut url, value);
            Ok(())
        }
    };
    parts(&url)
}

fn parts(url: &Url) -> String {
    serde_json::json!({
        "href": quirks::href(url),
        "origin": quirks::origin(url),
        "protocol": quirks::protocol(url),
        "username": quirks::username(url),
        "password": quirks::password(url),
        "host": quirks::host(url),
        "hostname": quirks::hostname(url),
        "port": quirks::port(url),
        "pathname": quirks::pathname(url),
        "search": quirks::search(url),
        "hash": quirks::hash(url),
    })
    .to_string()
}

/// `a=1&b=2` as a JSON list of pairs.
#[op2]
#[string]
pub(crate) fn op_form_parse(#[string] text: &str) -> String {
    let pairs = form_urlencoded::parse(text.as_bytes()).map(|(name, value)| Json::from(vec![name, value]));
    Json::Array(pairs.collect()).to_string()
}

/// A JSON list of pairs as `a=1&b=2`.
#[op2]
#[string]
pub(crate) fn op_form_serialize(#[string] pairs: &str) -> String {
    let pairs: Vec<(String, String)> = serde_json::from_str(pairs).unwrap_or_default();
    form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish()
}
