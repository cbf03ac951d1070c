//! [`AwsProvider`].

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use async_trait::async_trait;
use serde_json::Value;
use tokio::sync::OnceCell;
use tokio_util::task::AbortOnDropHandle;

use super::announcements::MachineAnnouncements;
use super::clients::Clients;
use super::error::CloudError;
use super::instances::Viewer;
use super::launch::Launch;
use super::names::Names;
use super::options::{AwsOptions, StartOptions};
use super::{
    address, doctor, environment, image, instances, key_pairs, launch, network, planning, prices, removal, role,
    security_group,
};
use crate::plan::Change;
use crate::provider::Finding;
use crate::spec::parse_options;
use crate::{
    Announcements, Budget, Capabilities, Machine, Pace, Provider, ProviderContext, ProviderError, StartRequest, Usd,
};

/// The login user if cloud-init has enabled root.
const USER: &str = "root";

/// Machines of Amazon EC2. Cheap until the first request: only then is a client made.
#[derive(Debug)]
pub struct AwsProvider(Arc<Account>);

/// One cluster's part of an account.
#[derive(Debug)]
pub(super) struct Account {
    name: String,
    pub(super) options: AwsOptions,
    pub(super) names: Names,
    pub(super) viewer: Viewer,
    clients: OnceCell<Clients>,
}

impl AwsProvider {
    /// Makes it from the options of `AwsProvider.init`.
    ///
    /// # Errors
    /// Unknown or invalid options.
    pub fn from_options(options: &serde_json::Value, context: &ProviderContext) -> Result<Self, ProviderError> {
        let options: AwsOptions = parse_options("AwsProvider.init", options)?;
        Ok(Self(Arc::new(Account {
            name: options.name.clone().unwrap_or_else(|| "aws".to_owned()),
            names: Names { cluster: context.cluster_name.clone() },
            viewer: Viewer {
                on_node: context.project_dir.is_none(),
                user: options.ssh_user.clone().unwrap_or_else(|| USER.to_owned()),
            },
            options,
            clients: OnceCell::new(),
        })))
    }

    /// Runs requests in a separate task, which ends with its caller. The SDK needs much of a thread's stack, and its callers
    /// have already used much of theirs.
    async fn run<T, F>(&self, work: impl FnOnce(Arc<Account>) -> F) -> Result<T, ProviderError>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, CloudError>> + Send + 'static,
    {
        let task = AbortOnDropHandle::new(tokio::spawn(work(Arc::clone(&self.0))));
        match task.await {
            Ok(result) => Ok(result?),
            Err(error) => match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                // The runtime is shutting down, and the caller with it.
                Err(_) => std::future::pending().await,
            },
        }
    }
}

impl Account {
    pub(super) async fn clients(&self) -> Result<&Clients, CloudError> {
        self.clients.get_or_try_init(|| Clients::new(&self.options, self.viewer.on_node)).await
    }

    async fn started(&self, request: &StartRequest, options: &StartOptions) -> Result<Machine, CloudError> {
        let clients = self.clients().await?;
        let (name, zone) = self.name_and_zone(request, options);
        let found = instances::named(clients, &self.names, name).await?;
        let id = match launch::existing(&found, name, &request.token)? {
            Some(one) => one.instance_id.clone().unwrap_or_default(),
            None => {
                let (image, instance_type) = options.image_and_type()?;
                let present = self.present(clients).await?;
                let counted: Vec<&Machine> =
                    present.iter().filter(|machine| !request.leaving.contains(&machine.id)).collect();
                self.check_limits(clients, &counted, options)?;
                request.progress.tell("checking the image");
                let image = image::check(clients, image, instance_type, request.architecture).await?;
                let places = network::places(clients, &self.options).await?;
                let launch = Launch {
                    names: &self.names,
                    name,
                    token: &request.token,
                    options,
                    image,
                    key_name: self.key_name(clients, request).await?,
                    authorized_keys: &request.authorized_keys,
                    security_group: self.security_group(clients, &places[0].vpc).await?,
                    profile: self.profile(clients).await?,
                    places: network::order(&places, &present, zone, name)?,
                    progress: &request.progress,
                };
                launch.run(clients, &found).await?
            }
        };
        instances::running(clients, &id, &self.viewer, &request.progress).await
    }

    /// The options of the first machine, without its name and zone, which the cluster chooses itself.
    pub(super) fn name_and_zone<'a>(
        &self,
        request: &'a StartRequest,
        options: &'a StartOptions,
    ) -> (&'a str, Option<&'a str>) {
        if self.viewer.on_node {
            return (&request.name, None);
        }
        (options.name.as_deref().unwrap_or(&request.name), options.zone.as_deref())
    }

    pub(super) async fn present(&self, clients: &Clients) -> Result<Vec<Machine>, CloudError> {
        let found = instances::present(clients, &self.names).await?;
        Ok(found.iter().filter_map(|one| instances::machine(one, &self.viewer, &clients.region)).collect())
    }

    /// Whether the limits allow one more machine.
    pub(super) fn check_limits(
        &self,
        clients: &Clients,
        present: &[&Machine],
        options: &StartOptions,
    ) -> Result<(), CloudError> {
        if let Some(most) = self.most_machines()
            && present.len() >= most
        {
            return Err(CloudError::Limit(format!(
                "the cluster has {} machines, and `max_nodes` of `AwsProvider.init` allows {most}",
                present.len()
            )));
        }
        if let Some(limit) = self.hourly_limit() {
            let present = present.iter().map(|machine| machine.price).collect();
            Budget { limit, present, each: prices::of(&clients.region, options) }.check(1)?;
        }
        Ok(())
    }

    fn most_machines(&self) -> Option<usize> {
        self.options.max_nodes.map(|most| most as usize)
    }

    fn hourly_limit(&self) -> Option<Usd> {
        self.options.max_hourly_usd.map(Usd::from_dollars)
    }

    /// The key pair that a machine without cloud-init gets: that of its installer, the operator or the cluster. The operator makes both.
    async fn key_name(&self, clients: &Clients, request: &StartRequest) -> Result<Option<String>, CloudError> {
        if self.viewer.on_node {
            return Ok(Some(self.names.cluster_key()));
        }
        let mut own = None;
        for (name, key) in
            [self.names.operator_key(), self.names.cluster_key()].into_iter().zip(&request.authorized_keys)
        {
            let there = key_pairs::ensure(clients, &self.names, &name, key).await?;
            own = own.or(Some(name).filter(|_| there));
        }
        Ok(own)
    }

    async fn security_group(&self, clients: &Clients, vpc: &str) -> Result<String, CloudError> {
        if !self.viewer.on_node {
            return security_group::ensure(clients, &self.names, &self.options, vpc).await;
        }
        let found = security_group::find(clients, &self.names, Some(vpc)).await?;
        found.and_then(|group| group.group_id).ok_or_else(|| CloudError::Refused {
            call: "DescribeSecurityGroups",
            code: "InvalidGroup.NotFound".to_owned(),
            reason: format!(
                "the cluster's security group `{}` is missing; run `disco bootstrap` to make it",
                self.names.security_group()
            ),
        })
    }

    /// The instance profile of a new machine. The first one votes at once; others get theirs when they become voters.
    async fn profile(&self, clients: &Clients) -> Result<Option<String>, CloudError> {
        match &self.options.instance_profile {
            Some(given) => Ok(Some(given.clone())),
            None if self.viewer.on_node => Ok(None),
            None => role::ensure(clients, &self.names).await.map(Some),
        }
    }
}

#[async_trait]
impl Provider for AwsProvider {
    fn kind(&self) -> &'static str {
        "aws"
    }

    fn name(&self) -> &str {
        &self.0.name
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            can_start: true,
            can_stop: true,
            can_terminate: true,
            can_attach_address: true,
            // All machines have a configured profile.
            has_roles: self.0.options.instance_profile.is_none(),
            boots: true,
            pace: Pace::Default,
        }
    }

    async fn start(&self, request: StartRequest) -> Result<Machine, ProviderError> {
        let options: StartOptions = parse_options("start_instance", &request.options)?;
        self.run(async move |account| account.started(&request, &options).await).await
    }

    async fn list(&self) -> Result<Vec<Machine>, ProviderError> {
        self.run(async |account| account.present(account.clients().await?).await).await
    }

    async fn stop(&self, id: &str) -> Result<(), ProviderError> {
        let id = id.to_owned();
        self.run(async move |account| instances::stop(account.clients().await?, &id).await).await
    }

    async fn terminate(&self, id: &str) -> Result<(), ProviderError> {
        let id = id.to_owned();
        self.run(async move |account| instances::terminate(account.clients().await?, &id).await).await
    }

    async fn attach_address(&self, id: &str) -> Result<Option<IpAddr>, ProviderError> {
        let id = id.to_owned();
        let attached =
            self.run(async move |account| address::attach(account.clients().await?, &account.names, &id).await);
        attached.await.map(Some)
    }

    async fn move_address(&self, id: &str) -> Result<Option<IpAddr>, ProviderError> {
        let id = id.to_owned();
        self.run(async move |account| address::follow(account.clients().await?, &account.names, &id).await).await
    }

    async fn empower(&self, id: &str, votes: bool) -> Result<(), ProviderError> {
        if !self.capabilities().has_roles {
            return Ok(());
        }
        let id = id.to_owned();
        self.run(async move |account| role::assign(account.clients().await?, &account.names, &id, votes).await).await
    }

    async fn import_key(&self, public: &str) -> Result<(), ProviderError> {
        let public = public.to_owned();
        self.run(async move |account| {
            let name = account.names.operator_key();
            key_pairs::ensure(account.clients().await?, &account.names, &name, &public).await.map(|_| ())
        })
        .await
    }

    async fn admit_operator(&self) -> Result<(), ProviderError> {
        self.run(async |account| {
            let clients = account.clients().await?;
            security_group::admit(clients, &account.names, &account.options).await
        })
        .await
    }

    fn node_environment(&self) -> BTreeMap<String, String> {
        environment::for_nodes(|name| std::env::var(name).ok())
    }

    fn describe(&self, options: &Value) -> String {
        // Invalid options are reported when they are used.
        parse_options::<StartOptions>("start_instance", options).map(|options| options.describe()).unwrap_or_default()
    }

    async fn price(&self, options: &Value) -> Result<Option<Usd>, ProviderError> {
        let options: StartOptions = parse_options("start_instance", options)?;
        if let Some(region) = &self.0.options.region {
            return Ok(prices::of(region, &options));
        }
        self.run(async move |account| Ok(prices::of(&account.clients().await?.region, &options))).await
    }

    fn most_machines(&self) -> Option<usize> {
        self.0.most_machines()
    }

    fn hourly_limit(&self) -> Option<Usd> {
        self.0.hourly_limit()
    }

    async fn plan_start(&self, request: &StartRequest) -> Result<Vec<Change>, ProviderError> {
        let options: StartOptions = parse_options("start_instance", &request.options)?;
        let request = request.clone();
        self.run(async move |account| planning::start(&account, &request, &options).await).await
    }

    async fn plan_attach_address(&self, id: &str) -> Result<Vec<Change>, ProviderError> {
        let id = id.to_owned();
        self.run(async move |account| address::plan(account.clients().await?, &account.names, &id).await).await
    }

    async fn plan_import_key(&self, public: &str) -> Result<Vec<Change>, ProviderError> {
        let public = public.to_owned();
        self.run(async move |account| {
            let name = account.names.operator_key();
            let planned = key_pairs::plan(account.clients().await?, &name, Some(&public)).await?;
            Ok(planned.into_iter().collect())
        })
        .await
    }

    fn announcements(&self, id: &str) -> Option<Box<dyn Announcements>> {
        Some(Box::new(MachineAnnouncements::new(id)))
    }

    async fn rest(&self) -> Result<Vec<String>, ProviderError> {
        self.run(async |account| removal::list(account.clients().await?, &account.names).await).await
    }

    async fn remove_rest(&self) -> Result<(), ProviderError> {
        self.run(async |account| removal::remove(account.clients().await?, &account.names).await).await
    }

    async fn examine(&self, machine: Option<&StartRequest>) -> Vec<Finding> {
        let machine = machine.cloned();
        let examined = self.run(async move |account| {
            Ok(doctor::examine(account.clients().await?, &account.names, &account.options, machine.as_ref()).await)
        });
        examined.await.unwrap_or_else(|error| {
            vec![Finding {
                name: "region",
                detail: error.to_string(),
                good: false,
                hint: error.hint().map(str::to_owned),
            }]
        })
    }
}
