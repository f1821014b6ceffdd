//! Telling of what has happened. A webhook's event is noted in the database and tried, less and less often, for a day; a
//! function is told once.

use std::sync::Weak;

use futures_util::future::join_all;

use super::webhook::new_id;
use super::{Event, Listeners, run};
use crate::context::Context;
use crate::store::hook_notice::{self, Notice};
use crate::store::{self};

/// How long an event is told again, in seconds.
const TOLD_FOR: i64 = 86_400;
/// Whoever takes notices has so many seconds for them: more than the longest time-out.
const TAKEN_FOR: i64 = 60;

/// Notes events for the webhooks that want to know, and wakes who delivers.
pub(super) async fn note(cx: &Context, events: &[Event]) -> store::Result<()> {
    let mut notices = Vec::new();
    for event in events {
        let payload = serde_json::to_string(event).map_err(store::Error::broken)?;
        let listeners = cx.hooks.webhooks.iter().filter(|(_, webhook)| webhook.settings.hears(event.kind.as_str()));
        notices.extend(listeners.map(|(name, _)| (name.clone(), new_id(), payload.clone())));
    }
    if notices.is_empty() {
        return Ok(());
    }
    let now = cx.clock.now();
    hook_notice::insert(&cx.db, notices, now, now + TOLD_FOR).await?;
    // One that waits already is enough.
    let _ = cx.hooks.due.try_send(());
    Ok(())
}

/// Tells for as long as the server is there.
pub(crate) fn work(cx: Weak<Context>, listeners: Listeners) {
    let Listeners { mut events, mut due } = listeners;
    let same = cx.clone();
    tokio::spawn(async move {
        while let Some(event) = events.recv().await {
            let Some(cx) = same.upgrade() else { return };
            for function in &cx.hooks.functions.told {
                if let Err(error) = run(function(event.clone())).await {
                    tracing::warn!(event = event.kind.as_str(), error, "a function could not be told");
                }
            }
        }
    });
    tokio::spawn(async move {
        while due.recv().await.is_some() {
            let Some(cx) = cx.upgrade() else { return };
            if let Err(error) = deliver_due(&cx).await {
                tracing::warn!(error = ?error, "could not tell webhooks; trying again later");
            }
        }
    });
}

/// Delivers the notices that are due.
///
/// # Errors
/// What the database says.
pub async fn deliver_due(cx: &Context) -> store::Result<()> {
    if cx.hooks.webhooks.is_empty() {
        return Ok(());
    }
    loop {
        let now = cx.clock.now();
        let notices = hook_notice::take_due(&cx.db, now, now + TAKEN_FOR).await?;
        if notices.is_empty() {
            return Ok(());
        }
        for outcome in join_all(notices.iter().map(|notice| deliver(cx, notice))).await {
            outcome?;
        }
    }
}

async fn deliver(cx: &Context, notice: &Notice) -> store::Result<()> {
    // One that the operator has taken out hears nothing any more.
    let Some(webhook) = cx.hooks.webhooks.get(&notice.hook) else {
        return hook_notice::delete(&cx.db, notice.id).await;
    };
    match webhook.tell(cx, &notice.public_id, notice.payload.clone()).await {
        Ok(()) => hook_notice::delete(&cx.db, notice.id).await,
        Err(error) => {
            let wait = 15_i64 << notice.tries.clamp(0, 10);
            tracing::warn!(hook = notice.hook, webhook_id = notice.public_id, error, "a webhook was not told");
            hook_notice::put_off(&cx.db, notice.id, cx.clock.now() + wait).await
        }
    }
}
