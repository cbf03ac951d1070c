//! Which operations and which JavaScript make up the globals.

use std::rc::Rc;

use super::ops::{op_abort, op_abort_forget, op_abort_key, op_call_done, op_call_failed, op_install_host, op_uncaught};
use super::shared::Shared;
use crate::ask::ops::op_ask;
use crate::cluster::ops::{op_cluster_call, op_cluster_default, op_cluster_define, op_provider_init};
use crate::console::ops::op_console;
use crate::crypto::ops::op_random_uuid;
use crate::env::ops::op_env;
use crate::kv::ops::{op_kv, op_kv_watch, op_kv_watch_close, op_kv_watch_next};
use crate::net::ops::{op_fetch, op_tcp_connect};
use crate::process::ops::op_process_run;
use crate::text::ops::op_decode_utf8;
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
        op_install_host,
        op_kv,
        op_kv_watch,
        op_kv_watch_close,
        op_kv_watch_next,
        op_process_run,
        op_provider_init,
        op_random_uuid,
        op_tcp_connect,
        op_uncaught,
        op_url_parse,
        op_url_set,
    ],
    js = [
        dir "src",
        "engine/context.js",
        "abort/abort.js",
        "timers/timers.js",
        "console/console.js",
        "text/text.js",
        "url/url.js",
        "crypto/crypto.js",
        "env/env.js",
        "ask/ask.js",
        "net/net.js",
        "process/process.js",
        "kv/kv.js",
        "cluster/cluster.js",
        "engine/invoke.js",
    ],
    options = { shared: Rc<Shared> },
    state = |state, options| state.put(options.shared),
);

/// The one extension.
pub(super) fn extension(shared: Rc<Shared>) -> deno_core::Extension {
    #[cfg_attr(feature = "v8", expect(unused_mut, reason = "changed for the other engine"))]
    let mut extension = disco::init(shared);
    #[cfg(feature = "quickjs")]
    {
        extension.global_template_middleware = Some(super::temporal::skip_polyfill);
    }
    extension
}
