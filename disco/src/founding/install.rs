use super::Founder;
use crate::error::{Failure, Outcome};

impl Founder {
    pub(crate) async fn ssh_install(&self) -> Outcome<()> {
        Err(Failure::failed("the installer is not part of this build yet"))
    }
}
