use std::io::Read;

use disco_proto::v1::{
    Compare, DeleteRangeRequest, PutRequest, RangeRequest, RequestOp, TxnRequest, command, command_response, compare,
    request_op,
};
use disco_store::{SYSTEM_END, SYSTEM_PREFIX_TEXT};
use serde_json::{Value, json};

use crate::{
    cli::{Format, KvDelArgs, KvGetArgs, KvLsArgs, KvPutArgs, KvWatchArgs},
    client::{Client, Listing},
    context::Context,
    error::{Failure, Outcome},
    exit::ExitStatus,
    printer::{Style, View},
    question::confirm,
    view::{ChangeItem, KeyView, KeysView, would},
};

pub(super) async fn put(args: &KvPutArgs, context: &Context) -> Outcome<ExitStatus> {
    writable(&args.key)?;
    let client = Client::open(context)?;
    let value = if args.value == "-" { standard_input(context).await? } else { args.value.clone().into_bytes() };
    if args.dry_run {
        return would(context, vec![format!("write {} bytes to `{}`", value.len(), args.key)]);
    }
    let put = PutRequest { key: args.key.clone().into(), value: value.into(), ..PutRequest::default() };
    let revision = match args.if_revision {
        None => client.propose(command::Operation::Put(put)).await?.revision,
        Some(expected) => {
            let unchanged = Compare {
                result: compare::Result::Equal.into(),
                key: args.key.clone().into(),
                target: Some(compare::Target::ModRevision(expected)),
                ..Compare::default()
            };
            let success = vec![RequestOp { request: Some(request_op::Request::Put(put)) }];
            let txn = TxnRequest { compare: vec![unchanged], success, failure: Vec::new() };
            let response = client.propose(command::Operation::Txn(txn)).await?;
            match response.result {
                Some(command_response::Result::Txn(txn)) if txn.succeeded => response.revision,
                _ => {
                    let key = &args.key;
                    let message = format!("`{key}` was not written: its revision is not {expected}");
                    return Err(Failure::new(ExitStatus::Guarded, message)
                        .hint(format!("`disco kv get {} -o json` shows its revision", args.key)));
                }
            }
        }
    };
    context.printer.show(&Written { revision, deleted: None })?;
    Ok(ExitStatus::Done)
}

pub(super) async fn get(args: &KvGetArgs, context: &Context) -> Outcome<ExitStatus> {
    let client = Client::open(context)?;
    let found = client.get(args.key.as_bytes(), args.stale, args.revision).await?;
    let kv = found.ok_or_else(|| Failure::new(ExitStatus::NotFound, format!("no key `{}`", args.key)))?;
    if args.raw && matches!(context.printer.format(), Format::Table | Format::Wide) {
        context.printer.write(&kv.value)?;
    } else {
        context.printer.show(&KeyView(kv))?;
    }
    Ok(ExitStatus::Done)
}

pub(super) async fn del(args: &KvDelArgs, context: &Context) -> Outcome<ExitStatus> {
    writable(&args.key)?;
    if args.prefix && SYSTEM_PREFIX_TEXT.starts_with(&args.key) {
        return Err(own_records());
    }
    let client = Client::open(context)?;
    let range_end = if args.prefix { disco_store::prefix_end(args.key.as_bytes()) } else { Vec::new() };
    if args.prefix || args.dry_run {
        let range = RangeRequest {
            key: args.key.clone().into(),
            range_end: range_end.clone().into(),
            count_only: true,
            ..RangeRequest::default()
        };
        let count = client.range(range, false).await?.count;
        if args.dry_run {
            return would(context, vec![format!("delete {count} keys")]);
        }
        if !confirm(context, &format!("Delete the {count} keys that begin with `{}`?", args.key)).await? {
            return Err(Failure::new(ExitStatus::Cancelled, "nothing was deleted"));
        }
    }
    let delete = DeleteRangeRequest { key: args.key.clone().into(), range_end: range_end.into(), prev_kv: false };
    let response = client.propose(command::Operation::DeleteRange(delete)).await?;
    let deleted = match response.result {
        Some(command_response::Result::DeleteRange(answer)) => answer.deleted,
        _ => return Err(Failure::failed("unexpected response: expected the result of a delete")),
    };
    if deleted == 0 {
        return Err(Failure::new(ExitStatus::NotFound, format!("no key `{}`", args.key)));
    }
    context.printer.show(&Written { revision: response.revision, deleted: Some(deleted) })?;
    Ok(ExitStatus::Done)
}

pub(super) async fn ls(args: &KvLsArgs, context: &Context) -> Outcome<ExitStatus> {
    let client = Client::open(context)?;
    let prefix = args.prefix.clone().unwrap_or_default();
    let own = prefix.starts_with(SYSTEM_PREFIX_TEXT);
    let end = disco_store::prefix_end(prefix.as_bytes());
    // Disco's own records lie in the middle of the key space: read the ranges before and after them.
    let parts = if own || !SYSTEM_PREFIX_TEXT.starts_with(&prefix) {
        vec![(prefix.into_bytes(), end)]
    } else {
        let first = if prefix.is_empty() { vec![0] } else { prefix.into_bytes() };
        vec![(first, SYSTEM_PREFIX_TEXT.into()), (SYSTEM_END.into(), end)]
    };
    // Names alone need no values.
    let keys_only = context.printer.format() == Format::Name;
    let mut found = Listing::default();
    for (key, range_end) in parts {
        let limit = args.limit - found.kvs.len() as i64;
        if limit == 0 {
            break;
        }
        // All parts are of the revision of the first.
        let (key, range_end, revision) = (key.into(), range_end.into(), found.revision);
        let range = RangeRequest { key, range_end, limit, keys_only, revision, ..RangeRequest::default() };
        let part = client.list(range, args.stale).await?;
        found.revision = part.revision;
        found.more |= part.more;
        found.torn |= part.torn;
        found.kvs.extend(part.kvs);
    }
    context.printer.show(&KeysView(found.kvs))?;
    if found.more {
        context.printer.warn(&format!("only the first {} keys are listed: `-n` lists more", args.limit));
    }
    if found.torn {
        context.printer.warn("keys changed while they were listed: the list is not of one revision");
    }
    Ok(ExitStatus::Done)
}

pub(super) async fn watch(args: &KvWatchArgs, context: &Context) -> Outcome<ExitStatus> {
    let client = Client::open(context)?;
    let range_end = if args.prefix { disco_store::prefix_end(args.key.as_bytes()) } else { Vec::new() };
    client
        .watch_forever(args.key.as_bytes(), &range_end, args.revision, |answer| {
            answer.events.into_iter().try_for_each(|event| context.printer.item(&ChangeItem(event)))
        })
        .await?;
    Ok(ExitStatus::Done)
}

fn writable(key: &str) -> Outcome<()> {
    if key.is_empty() {
        return Err(Failure::usage("key must not be empty"));
    }
    if key.starts_with(SYSTEM_PREFIX_TEXT) {
        return Err(own_records());
    }
    Ok(())
}

fn own_records() -> Failure {
    Failure::new(ExitStatus::Denied, format!("keys under `{SYSTEM_PREFIX_TEXT}` are reserved"))
        .hint("choose another key")
}

/// The value, typed or piped. A signal or the time limit ends the wait for it.
pub(super) async fn standard_input(context: &Context) -> Outcome<Vec<u8>> {
    context.printer.hide_progress();
    let read = tokio::task::spawn_blocking(|| {
        let mut value = Vec::new();
        std::io::stdin().read_to_end(&mut value).map(|_| value)
    });
    let read = read.await.map_err(std::io::Error::other).flatten();
    context.printer.show_progress();
    read.map_err(|error| Failure::failed("cannot read the value from standard input").because(&error))
}

struct Written {
    revision: i64,
    deleted: Option<i64>,
}

impl View for Written {
    fn json(&self) -> Value {
        match self.deleted {
            None => json!({ "revision": self.revision }),
            Some(deleted) => json!({ "revision": self.revision, "deleted": deleted }),
        }
    }

    fn names(&self) -> Vec<String> {
        vec![self.revision.to_string()]
    }

    fn text(&self, _style: Style) -> String {
        match self.deleted {
            None => format!("revision {}\n", self.revision),
            Some(deleted) => format!("{deleted} deleted, revision {}\n", self.revision),
        }
    }
}
