//! `disco backup`: saves the cluster's store to a file and restores it. [`disco_proto::backup`] defines the file format; the
//! checksum is verified after a download and before a restore.

use std::{
    io::{BufReader, ErrorKind, Read, Write},
    path::Path,
    time::Duration,
};

use disco_proto::{
    backup,
    v1::{BackupHead, BackupPart, Empty, FetchBackupRequest, ListBackupsRequest, NodeStatus, backup_part::Part},
};
use futures_util::future::join_all;
use serde_json::json;
use sha2::{Digest, Sha256};

use crate::{
    cli::{BackupRestoreArgs, BackupSaveArgs},
    client::{Client, from_status},
    context::Context,
    error::{Failure, Outcome},
    exit::ExitStatus,
    question::confirm,
    view::{BackupView, BackupsView, Done, NodeBackup, would},
};

/// Bytes in one message.
const PART: usize = 64 << 10;
/// Time for a node to list its backups.
const LISTED_WITHIN: Duration = Duration::from_secs(5);
/// Time for the node to restart with the restored data.
const PATIENCE: Duration = Duration::from_secs(60);

pub(super) async fn save(args: &BackupSaveArgs, context: &Context) -> Outcome<ExitStatus> {
    let client = Client::open(context)?;
    let (_, mut control) = client.connection().await?;
    let parts = match &args.from {
        None => control.backup(Empty {}).await,
        Some(from) => {
            let (node, name) = from.split_once('/').unwrap_or((from, ""));
            let node_id = client.node(node).await?.id;
            control.fetch_backup(FetchBackupRequest { node_id, name: name.to_owned() }).await
        }
    };
    let mut parts = parts.map_err(|status| from_status(&status))?.into_inner();
    let first = parts.message().await.map_err(|status| from_status(&status))?.and_then(|part| part.part);
    let Some(Part::Head(head)) = first else {
        return Err(Failure::failed("invalid backup stream: the first message is not the head"));
    };
    let folder = args.file.parent().filter(|folder| *folder != Path::new("")).unwrap_or(Path::new("."));
    let io = |error: &std::io::Error| Failure::io("write", &args.file, error);
    let mut file =
        tempfile::NamedTempFile::new_in(folder).map_err(|error| Failure::io("create a file in", folder, &error))?;
    let task = context.printer.task(&args.file.display().to_string());
    file.write_all(&backup::beginning(&head)).map_err(|error| io(&error))?;
    let (mut hash, mut size) = (Sha256::new(), 0);
    while let Some(part) = parts.message().await.map_err(|status| from_status(&status))? {
        let Some(Part::Data(data)) = part.part else {
            return Err(Failure::failed("invalid backup stream: second head"));
        };
        hash.update(&data);
        size += data.len() as u64;
        file.write_all(&data).map_err(|error| io(&error))?;
        task.bytes("saving", size, head.size);
    }
    if size != head.size || hex::encode(hash.finalize()) != head.sha256 {
        return Err(
            Failure::failed("the received backup does not match its size or checksum").hint("run the command again")
        );
    }
    file.as_file().sync_all().map_err(|error| io(&error))?;
    file.persist(&args.file).map_err(|error| io(&error.error))?;
    task.done("saved");
    warn_of_place(context, &args.file);
    context.printer.show(&BackupView::from(head))?;
    Ok(ExitStatus::Done)
}

/// Project folders are copied and committed to repositories, and a backup holds all keys of the cluster.
fn warn_of_place(context: &Context, file: &Path) {
    let (Ok(project), Ok(place)) = (context.project(), fs_err::canonicalize(file)) else { return };
    if place.starts_with(project.root()) {
        context.printer.warn(&format!(
            "`{}` is in the project folder and holds all keys of the cluster: `disco deploy` does not send it, but every copy and \
             repository of the folder contains it",
            file.display()
        ));
    }
}

/// Lists the automatic backups. Needs no leader: each node lists its own.
pub(super) async fn ls(context: &Context) -> Outcome<ExitStatus> {
    let client = Client::open(context)?;
    let nodes = client.status(false).await?.nodes;
    let listed = join_all(nodes.iter().map(|node| list(&client, node))).await;
    let mut rows = Vec::new();
    let (mut answered, mut last) = (false, None);
    for (node, listed) in nodes.iter().zip(listed) {
        match listed {
            Ok(backups) => {
                answered = true;
                rows.extend(backups.into_iter().map(|backup| NodeBackup::new(node, backup)));
            }
            Err(failure) => {
                let why = failure.causes().first().map_or_else(|| failure.to_string(), Clone::clone);
                context.printer.warn(&format!("cannot list the backups of `{}`: {why}", node.name));
                last = Some(failure);
            }
        }
    }
    if let Some(failure) = last.filter(|_| !answered) {
        return Err(failure);
    }
    if rows.is_empty() {
        context.printer.note("no backups yet: each voter makes one every hour if something has changed");
    }
    context.printer.show(&BackupsView(rows))?;
    Ok(ExitStatus::Done)
}

async fn list(client: &Client, node: &NodeStatus) -> Outcome<Vec<disco_proto::v1::BackupFile>> {
    let request = ListBackupsRequest { node_id: node.id };
    let (_, mut control) = client.connection().await?;
    let listed = tokio::time::timeout(LISTED_WITHIN, control.list_backups(request)).await;
    match listed {
        Ok(listed) => listed.map(|listed| listed.into_inner().backups).map_err(|status| from_status(&status)),
        Err(_) => Err(Failure::new(ExitStatus::Unreachable, format!("no answer within {LISTED_WITHIN:?}"))),
    }
}

pub(super) async fn restore(args: &BackupRestoreArgs, context: &Context) -> Outcome<ExitStatus> {
    let (head, store) = read(&args.file)?;
    let what = format!("the backup of `{}` from {}, revision {}", head.cluster, head.created_at, head.revision);
    let client = Client::open(context)?;
    if args.dry_run {
        return would(context, vec![format!("restore {what}")]);
    }
    if !confirm(context, &format!("Replace all keys of this cluster with {what}?")).await? {
        return Err(Failure::new(ExitStatus::Cancelled, "nothing was restored"));
    }
    let task = context.printer.task(&args.file.display().to_string());
    task.state("sending");
    let (_, mut control) = client.connection().await?;
    let mut parts = vec![BackupPart { part: Some(Part::Head(head.clone())) }];
    let store = bytes::Bytes::from(store);
    let starts = (0..store.len()).step_by(PART);
    parts.extend(starts.map(|at| BackupPart { part: Some(Part::Data(store.slice(at..store.len().min(at + PART)))) }));
    let before = client.settled().await?.nodes.first().map_or(0, |node| node.pid);
    control.restore(futures_util::stream::iter(parts)).await.map_err(|status| from_status(&status))?;
    task.state("restarting");
    wait_until_restored(&client.with_patience(PATIENCE), before).await?;
    task.done("restored");
    let restored =
        json!({ "restored": true, "cluster": head.cluster, "created_at": head.created_at, "revision": head.revision });
    Done::new(restored).show(context)
}

/// The node exits a moment after it has answered, so the next answer may still come from the previous process.
async fn wait_until_restored(client: &Client, before: u32) -> Outcome<()> {
    let deadline = std::time::Instant::now() + PATIENCE;
    loop {
        client.drop_connection();
        let now = client.settled().await?.nodes.first().map_or(0, |node| node.pid);
        if now != 0 && now != before {
            return Ok(());
        }
        if std::time::Instant::now() >= deadline {
            return Err(Failure::failed(format!("the node did not restart with the backup within {PATIENCE:?}"))
                .hint("`disco logs NODE` shows why"));
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Reads head and store of a backup file, and verifies the checksum.
fn read(path: &Path) -> Outcome<(BackupHead, Vec<u8>)> {
    let damaged = |what: &str| Failure::usage(format!("`{}` is not a backup, or is damaged: {what}", path.display()));
    let io = |error: std::io::Error| match error.kind() {
        ErrorKind::InvalidData => damaged(&error.to_string()),
        _ => Failure::io("read", path, &error),
    };
    let mut file = BufReader::new(std::fs::File::open(path).map_err(io)?);
    let head = backup::read_beginning(&mut file).map_err(io)?;
    let mut store = Vec::new();
    file.read_to_end(&mut store).map_err(io)?;
    if store.len() as u64 != head.size || hex::encode(Sha256::digest(&store)) != head.sha256 {
        return Err(damaged("wrong checksum"));
    }
    Ok((head, store))
}
