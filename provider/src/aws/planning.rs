//! What a start would make and change, without doing it. It makes the checks of [`super::provider`] and fails with the same errors.

use super::error::CloudError;
use super::options::StartOptions;
use super::provider::Account;
use super::{image, instances, key_pairs, launch, network, prices, role, security_group};
use crate::StartRequest;
use crate::plan::{Action, Change, MACHINE};

/// The machine and its resources, in the order in which they would be made.
pub(super) async fn start(
    account: &Account,
    request: &StartRequest,
    options: &StartOptions,
) -> Result<Vec<Change>, CloudError> {
    let clients = account.clients().await?;
    let (name, zone) = account.name_and_zone(request, options);
    let found = instances::named(clients, &account.names, name).await?;
    if let Some(there) = launch::existing(&found, name, &request.token)? {
        let there = instances::machine(there, &account.viewer, &clients.region);
        return Ok(there.as_ref().and_then(Change::of_existing).into_iter().collect());
    }
    let (image, instance_type) = options.image_and_type()?;
    let present = account.present(clients).await?;
    let counted: Vec<_> = present.iter().filter(|machine| !request.leaving.contains(&machine.id)).collect();
    account.check_limits(clients, &counted, options)?;
    image::check(clients, image, instance_type, request.architecture).await?;
    let places = network::places(clients, &account.options).await?;
    let mut changes = Vec::new();
    if !account.viewer.on_node {
        // The cluster's own key may not exist yet.
        let keys = request.authorized_keys.iter().map(|key| Some(key.as_str())).chain([None, None]);
        for (name, key) in [account.names.operator_key(), account.names.cluster_key()].iter().zip(keys) {
            changes.extend(key_pairs::plan(clients, name, key).await?);
        }
        changes.extend(security_group::plan(clients, &account.names, &account.options, &places[0].vpc).await?);
        if account.options.instance_profile.is_none() {
            changes.extend(role::plan(clients, &account.names).await?);
        }
    }
    let first = network::order(&places, &present, zone, name)?.into_iter().next();
    let details = [Some(options.describe()), first.map(|place| place.zone)];
    let details = details.into_iter().flatten().collect::<Vec<_>>().join(", ");
    let monthly = prices::of(&clients.region, options).map(|price| price.per_month());
    changes.push(Change { monthly, ..Change::free(Action::Create, MACHINE, name, details) });
    Ok(changes)
}
