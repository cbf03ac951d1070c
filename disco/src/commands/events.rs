use disco_proto::v1::event;
use disco_store::{prefix_end, typed::keys::EVENTS};

use crate::{
    cli::EventsArgs,
    client::Client,
    context::Context,
    error::Outcome,
    exit::ExitStatus,
    view::{EventItem, EventsView},
};

pub(super) async fn run(args: &EventsArgs, context: &Context) -> Outcome<ExitStatus> {
    let client = Client::open(context)?;
    let newest = client.newest(EVENTS, args.lines).await?;
    let past = newest.kvs.iter().rev().take(args.lines as usize).rev();
    let past: Vec<EventItem> = past.map(|kv| EventItem::parse(&kv.value)).collect();
    if !args.watch {
        context.printer.show(&EventsView(past))?;
        return Ok(ExitStatus::Done);
    }
    for event in &past {
        context.printer.item(event)?;
    }
    client
        .watch_forever(EVENTS.as_bytes(), &prefix_end(EVENTS.as_bytes()), newest.revision + 1, |answer| {
            let puts = answer.events.iter().filter(|event| event.r#type() == event::Type::Put);
            for kv in puts.filter_map(|event| event.kv.as_ref()) {
                context.printer.item(&EventItem::parse(&kv.value))?;
            }
            Ok(())
        })
        .await?;
    Ok(ExitStatus::Done)
}
