use disco_proto::v1::{
    RangeRequest, event,
    range_request::{SortOrder, SortTarget},
};

use crate::{
    cli::EventsArgs,
    client::Client,
    context::Context,
    error::Outcome,
    exit::ExitStatus,
    view::{EventItem, EventsView},
};

const PREFIX: &[u8] = b"/disco/events/";

pub(super) async fn run(args: &EventsArgs, context: &Context) -> Outcome<ExitStatus> {
    let client = Client::open(context)?;
    let range = RangeRequest {
        key: PREFIX.into(),
        range_end: disco_store::prefix_end(PREFIX).into(),
        // To the store, 0 means no limit.
        limit: i64::from(args.lines.max(1)),
        sort_order: SortOrder::Descend.into(),
        sort_target: SortTarget::Create.into(),
        ..RangeRequest::default()
    };
    let answer = client.range(range, false).await?;
    let past: Vec<EventItem> =
        answer.kvs.iter().take(args.lines as usize).rev().map(|kv| EventItem::parse(&kv.value)).collect();
    if !args.watch {
        context.printer.show(&EventsView(past))?;
        return Ok(ExitStatus::Done);
    }
    for event in &past {
        context.printer.item(event)?;
    }
    client
        .watch_forever(PREFIX, &disco_store::prefix_end(PREFIX), answer.revision + 1, |answer| {
            let puts = answer.events.iter().filter(|event| event.r#type() == event::Type::Put);
            for kv in puts.filter_map(|event| event.kv.as_ref()) {
                context.printer.item(&EventItem::parse(&kv.value))?;
            }
            Ok(())
        })
        .await?;
    Ok(ExitStatus::Done)
}
