//! Images and instance types: whether the programs can run on them.

use aws_sdk_ec2::types::{ArchitectureType, ArchitectureValues, InstanceType};

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
    let found = clients.ec2.describe_images().image_ids(id).send().await.map_err(CloudError::of(CALL))?;
    let image = found.images().first().ok_or_else(|| CloudError::Refused {
        call: CALL,
        code: "InvalidAMIID.NotFound".to_owned(),
        reason: format!("image `{id}` does not exist in {}", clients.region),
    })?;
    let has = image.architecture();
    if let (Some(wanted), Some(has)) = (wanted, has)
        && *has != image_architecture(wanted)
    {
        return Err(CloudError::Architecture { what: format!("the image `{id}`"), has: has.to_string(), wanted });
    }
    Ok(Image { root_device: image.root_device_name().map(str::to_owned) })
}

async fn check_type(clients: &Clients, name: &str, wanted: Option<Architecture>) -> Result<(), CloudError> {
    let Some(wanted) = wanted else { return Ok(()) };
    let asked = clients.ec2.describe_instance_types().instance_types(InstanceType::from(name)).send().await;
    let found = asked.map_err(CloudError::of("DescribeInstanceTypes"))?;
    let processor = found.instance_types().first().and_then(|found| found.processor_info());
    let Some(supported) = processor.map(|processor| processor.supported_architectures()) else { return Ok(()) };
    if supported.is_empty() || supported.contains(&type_architecture(wanted)) {
        return Ok(());
    }
    let has: Vec<&str> = supported.iter().map(ArchitectureType::as_str).collect();
    Err(CloudError::Architecture { what: format!("the instance type `{name}`"), has: has.join(" and "), wanted })
}

fn image_architecture(wanted: Architecture) -> ArchitectureValues {
    match wanted {
        Architecture::X86_64 => ArchitectureValues::X8664,
        Architecture::Aarch64 => ArchitectureValues::Arm64,
    }
}

fn type_architecture(wanted: Architecture) -> ArchitectureType {
    match wanted {
        Architecture::X86_64 => ArchitectureType::X8664,
        Architecture::Aarch64 => ArchitectureType::Arm64,
    }
}
