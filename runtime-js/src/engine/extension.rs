//! The operations and the JavaScript of the globals.

use std::rc::Rc;

use deno_core::ExtensionFileSource;

use super::ops::{op_abort, op_abort_forget, op_abort_key, op_call_done, op_call_failed, op_install_host, op_uncaught};
use super::shared::Shared;
use crate::ask::ops::op_ask;
use crate::cluster::ops::{op_cluster_call, op_cluster_default, op_cluster_define, op_provider_init};
use crate::console::ops::op_console;
use crate::crypto::ops::op_random_uuid;
use crate::env::ops::op_env;
use crate::intl::ops::{op_local_zone, op_zone};
use crate::kv::ops::{op_kv, op_kv_watch, op_kv_watch_close, op_kv_watch_next};
use crate::net::ops::{op_fetch, op_tcp_connect};
use crate::plan::ops::op_would_run;
use crate::process::ops::op_process_run;
use crate::text::ops::{op_decode_utf8, op_from_hex, op_to_hex, op_utf8_into, op_utf8_length};
use crate::url::ops::{op_form_parse, op_form_serialize, op_url_parse, op_url_set};

deno_core::extension!(
    disco,
    ops = [
        op_abort,
        op_abort_forget,
        op_abort_key,
        op_ask,
        op_call_done,
        op_call_failed,
        op_cluster_call,
        op_cluster_default,
        op_cluster_define,
        op_console,
        op_decode_utf8,
        op_env,
        op_fetch,
        op_form_parse,
        op_form_serialize,
        op_from_hex,
        op_install_host,
        op_kv,
        op_kv_watch,
        op_kv_watch_close,
        op_kv_watch_next,
        op_local_zone,
        op_process_run,
        op_provider_init,
        op_random_uuid,
        op_tcp_connect,
        op_to_hex,
        op_utf8_into,
        op_utf8_length,
        op_uncaught,
        op_url_parse,
        op_url_set,
        op_would_run,
        op_zone,
    ],
    options = { shared: Rc<Shared> },
    state = |state, options| state.put(options.shared),
);

/// Embeds the JavaScript of a capability in the binary. (The extension macro would read it from the source tree, for snapshots.)
macro_rules! source {
    ($path:literal) => {
        ExtensionFileSource::new(concat!("ext:disco/", $path), deno_core::ascii_str_include!(concat!("../", $path)))
    };
}

/// In the order in which they run.
const SOURCES: [ExtensionFileSource; 17] = [
    source!("engine/context.js"),
    source!("engine/failure.js"),
    source!("engine/guards.js"),
    source!("abort/abort.js"),
    source!("timers/timers.js"),
    source!("console/console.js"),
    source!("text/text.js"),
    source!("intl/intl.js"),
    source!("url/url.js"),
    source!("crypto/crypto.js"),
    source!("env/env.js"),
    source!("ask/ask.js"),
    source!("net/net.js"),
    source!("process/process.js"),
    source!("kv/kv.js"),
    source!("cluster/cluster.js"),
    source!("engine/invoke.js"),
];

/// The one extension.
pub(super) fn extension(shared: Rc<Shared>) -> deno_core::Extension {
    let mut extension = disco::init(shared);
    extension.js_files = SOURCES.to_vec().into();
    #[cfg(feature = "quickjs")]
    {
        extension.global_template_middleware = Some(super::temporal::skip_polyfill);
    }
    extension
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An installed binary has no source tree.
    #[test]
    fn all_sources_are_in_the_binary() {
        assert!(SOURCES.iter().all(ExtensionFileSource::is_runtime_loadable));
    }
}
