//! Whether the new `discod` can read what the cluster has written: see `disco_proto::format`.

use disco_proto::format;
use disco_provider::install::Binary;

use super::Upgrade;
use crate::{
    error::{Failure, Outcome},
    exit::ExitStatus,
};

impl Upgrade {
    /// Refuses (exit 5) a binary that is older than the cluster's data. There is no way around that: the node would not start.
    pub(super) async fn check_format(&self) -> Outcome<()> {
        let cluster = format::told(self.client.settled().await?.format);
        let binary = of_binary(&self.binaries.discod).await?;
        if binary >= cluster {
            return Ok(());
        }
        let path = self.binaries.discod.path().display();
        Err(Failure::new(
            ExitStatus::Guarded,
            format!("`{path}` reads data up to format {binary}, and the cluster's has format {cluster}"),
        )
        .hint(
            "take the version that the cluster runs, or a newer one; to go back to an older one, restore a backup that was made \
             with it into a new cluster (`disco backup restore`)",
        ))
    }
}

/// One without a mark is of before there were numbers, or no `discod` at all, which is found when it is started.
async fn of_binary(binary: &Binary) -> Outcome<u32> {
    let path = binary.path().to_owned();
    let read = tokio::task::spawn_blocking(move || match std::fs::read(&path) {
        Ok(file) => Ok(format::told(format::of_program(&file).unwrap_or_default())),
        Err(error) => Err(Failure::io("read", &path, &error)),
    });
    read.await.map_err(|error| Failure::failed("the program was not read").because(&error))?
}
