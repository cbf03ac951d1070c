//! Images and instance types: whether the programs can run on them.

use super::clients::Clients;
use super::error::CloudError;
use crate::install::Architecture;

/// The facts about an image that a start needs.
#[derive(Debug, Clone)]
pub(super) struct Image {
    /// The device of the image's disk, such as `/dev/sda1`.
    pub(super) root_device: Option<String>,
}

/// Checks both before anything is started: programs for another architecture would only fail much later.
pub(super) async fn check(
    clients: &Clients,
    image: &str,
    instance_type: &str,
    wanted: Option<Architecture>,
) -> Result<Image, CloudError> {
    let (image, ()) =
        futures_util::try_join!(check_image(clients, image, wanted), check_type(clients, instance_type, wanted))?;
    Ok(image)
}

async fn check_image(clients: &Clients, id: &str, wanted: Option<Architecture>) -> Result<Image, CloudError> {
    const CALL: &str = "DescribeImages";
    let found = clients.ec2.describe_images(id).await?;
    let image = found.first().ok_or_else(|| CloudError::Refused {
        call: CALL,
        code: "InvalidAMIID.NotFound".to_owned(),
        reason: format!("image `{id}` does not exist in {}", clients.region),
    })?;
    let has = image.architecture.as_ref();
    if let (Some(wanted), Some(has)) = (wanted, has)
        && has != architecture(wanted)
    {
        return Err(CloudError::Architecture { what: format!("the image `{id}`"), has: has.clone(), wanted });
    }
    Ok(Image { root_device: image.root_device_name.clone() })
}

async fn check_type(clients: &Clients, name: &str, wanted: Option<Architecture>) -> Result<(), CloudError> {
    let Some(wanted) = wanted else { return Ok(()) };
    let found = clients.ec2.describe_instance_types(&[name]).await?;
    let Some(supported) = found.first().map(|found| &found.supported_architectures) else { return Ok(()) };
    if supported.is_empty() || supported.iter().any(|one| one == architecture(wanted)) {
        return Ok(());
    }
    let has = supported.join(" and ");
    Err(CloudError::Architecture { what: format!("the instance type `{name}`"), has, wanted })
}

/// Its name in EC2.
fn architecture(wanted: Architecture) -> &'static str {
    match wanted {
        Architecture::X86_64 => "x86_64",
        Architecture::Aarch64 => "arm64",
    }
}
