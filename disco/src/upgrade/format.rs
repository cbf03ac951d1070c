//! Checks that the new `discod` can read the cluster's data format: see `disco_proto::format`.

use disco_proto::format;
use disco_provider::install::Binary;

use super::Upgrade;
use crate::{
    error::{Failure, Outcome},
    exit::ExitStatus,
};

impl Upgrade {
    /// Refuses (exit 5) a binary with an older format than the cluster's data. No flag overrides this: the node would not start.
    pub(super) async fn check_format(&self) -> Outcome<()> {
        let cluster = format::told(self.client.settled().await?.format);
        let binary = of_binary(&self.binaries.discod).await?;
        if binary >= cluster {
            return Ok(());
        }
        let path = self.binaries.discod.path().display();
        Err(Failure::new(
            ExitStatus::Guarded,
            format!("`{path}` reads data up to format {binary}, but the cluster's data has format {cluster}"),
        )
        .hint(
            "use the version that the cluster runs, or a newer one; to return to an older version, restore a backup from that \
             version into a new cluster (`disco backup restore FILE`)",
        ))
    }
}

/// A binary without a format mark is either older than the marks, or not a `discod`, which starting it will show.
async fn of_binary(binary: &Binary) -> Outcome<u32> {
    let path = binary.path().to_owned();
    let read = tokio::task::spawn_blocking(move || match std::fs::read(&path) {
        Ok(file) => Ok(format::told(format::of_program(&file).unwrap_or_default())),
        Err(error) => Err(Failure::io("read", &path, &error)),
    });
    read.await.map_err(|error| Failure::failed("cannot read the binary").because(&error))?
}
