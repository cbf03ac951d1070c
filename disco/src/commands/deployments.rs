use disco_proto::v1::RangeRequest;
use disco_store::typed::keys::DEPLOYMENTS;

use crate::{
    client::Client,
    context::Context,
    error::{Failure, Outcome},
    exit::ExitStatus,
    view::DeploymentsView,
};

pub(super) async fn run(context: &Context) -> Outcome<ExitStatus> {
    let client = Client::open(context)?;
    let range = RangeRequest {
        key: DEPLOYMENTS.into(),
        range_end: disco_store::prefix_end(DEPLOYMENTS.as_bytes()).into(),
        ..RangeRequest::default()
    };
    let listing = client.list(range, false).await?;
    let records = listing.kvs.iter().map(|kv| {
        serde_json::from_slice(&kv.value).map_err(|error| {
            let key = String::from_utf8_lossy(&kv.key);
            Failure::failed(format!("the record `{key}` is damaged")).because(&error)
        })
    });
    let view = DeploymentsView::new(records.collect::<Outcome<_>>()?);
    if view.is_empty() {
        context.printer.note("no deployments yet: `disco deploy` starts one");
    }
    context.printer.show(&view)?;
    Ok(ExitStatus::Done)
}
