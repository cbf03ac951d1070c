//! `disco backup`: the cluster's store in a file, and back.
//!
//! The file begins with a line that says what it is, then the head as a length-delimited message, then the store as a
//! snapshot. The head names its SHA-256, which is compared when it is written and before it is restored.

use std::{
    io::{BufReader, Read, Write},
    path::Path,
    time::Duration,
};

use disco_proto::v1::{BackupHead, BackupPart, Empty, backup_part::Part};
use prost::Message;
use sha2::{Digest, Sha256};

use crate::{
    app::Context,
    cli::{BackupRestoreArgs, BackupSaveArgs},
    client::{Client, from_status},
    error::{Failure, Outcome},
    exit::ExitStatus,
    question::confirm,
    view::BackupView,
};

const MAGIC: &[u8] = b"discobackup-1\n";
/// Longer heads are damage.
const HEAD_BYTES: usize = 64 << 10;
/// Bytes in one message.
const PART: usize = 64 << 10;
/// Time for the node to start again with what it was given.
const PATIENCE: Duration = Duration::from_secs(60);

pub(super) async fn save(args: &BackupSaveArgs, context: &Context) -> Outcome<ExitStatus> {
    let client = Client::open(context)?;
    let (_, mut control) = client.connection().await?;
    let mut parts = control.backup(Empty {}).await.map_err(|status| from_status(&status))?.into_inner();
    let first = parts.message().await.map_err(|status| from_status(&status))?.and_then(|part| part.part);
    let Some(Part::Head(head)) = first else { return Err(Failure::failed("the backup did not begin with its head")) };
    let folder = args.file.parent().filter(|folder| *folder != Path::new("")).unwrap_or(Path::new("."));
    let io = |error: &std::io::Error| Failure::io("write", &args.file, error);
    let mut file =
        tempfile::NamedTempFile::new_in(folder).map_err(|error| Failure::io("create a file in", folder, &error))?;
    let task = context.printer.task(&args.file.display().to_string());
    file.write_all(MAGIC)
        .and_then(|()| file.write_all(&head.encode_length_delimited_to_vec()))
        .map_err(|error| io(&error))?;
    let (mut hash, mut size) = (Sha256::new(), 0);
    while let Some(part) = parts.message().await.map_err(|status| from_status(&status))? {
        let Some(Part::Data(data)) = part.part else { return Err(Failure::failed("the backup has a second head")) };
        hash.update(&data);
        size += data.len() as u64;
        file.write_all(&data).map_err(|error| io(&error))?;
        task.bytes("saving", size, head.size);
    }
    if size != head.size || hex::encode(hash.finalize()) != head.sha256 {
        return Err(Failure::failed("the backup did not arrive as it was sent").hint("try again"));
    }
    file.as_file().sync_all().map_err(|error| io(&error))?;
    file.persist(&args.file).map_err(|error| io(&error.error))?;
    task.done("saved");
    context.printer.show(&BackupView::from(head))?;
    Ok(ExitStatus::Done)
}

pub(super) async fn restore(args: &BackupRestoreArgs, context: &Context) -> Outcome<ExitStatus> {
    let (head, store) = read(&args.file)?;
    let what = format!("the backup of `{}` made at {}, revision {}", head.cluster, head.created_at, head.revision);
    let client = Client::open(context)?;
    if args.dry_run {
        context.printer.note(&format!("would restore {what}"));
        return Ok(ExitStatus::Done);
    }
    if !confirm(context, &format!("Replace all keys of this cluster by {what}?")).await? {
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
    task.state("starting again");
    wait_until_restored(&client.with_patience(PATIENCE), before).await?;
    task.done("restored");
    Ok(ExitStatus::Done)
}

/// The node ends a moment after it has answered, so its next answer may still be of before.
async fn wait_until_restored(client: &Client, before: u32) -> Outcome<()> {
    let deadline = std::time::Instant::now() + PATIENCE;
    loop {
        client.drop_connection();
        let now = client.settled().await?.nodes.first().map_or(0, |node| node.pid);
        if now != 0 && now != before {
            return Ok(());
        }
        if std::time::Instant::now() >= deadline {
            return Err(
                Failure::failed("the node did not start again with the backup").hint("`disco logs NODE` says why")
            );
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Head and store of a file whose checksum is right.
fn read(path: &Path) -> Outcome<(BackupHead, Vec<u8>)> {
    let io = |error: std::io::Error| Failure::io("read", path, &error);
    let damaged = |what: &str| Failure::usage(format!("`{}` is no backup, or is damaged: {what}", path.display()));
    let mut file = BufReader::new(std::fs::File::open(path).map_err(io)?);
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes).map_err(io)?;
    let rest = bytes.strip_prefix(MAGIC).ok_or_else(|| damaged("it does not begin like one"))?;
    let mut cursor = &rest[..rest.len().min(HEAD_BYTES)];
    let before = cursor.len();
    let head = BackupHead::decode_length_delimited(&mut cursor).map_err(|_| damaged("its head cannot be read"))?;
    let store = &rest[before - cursor.len()..];
    if store.len() as u64 != head.size || hex::encode(Sha256::digest(store)) != head.sha256 {
        return Err(damaged("its checksum is wrong"));
    }
    Ok((head, store.to_vec()))
}
