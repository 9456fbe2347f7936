//! `nodes`: the processes that serve this installation, and when each was last seen.

use super::{Access, Context, Failure};
use portcullis_actors::stores::{AdministrationStore as _, Node};
use serde_json::json;

pub(super) async fn run(context: &Context) -> Result<(), Failure> {
    let nodes = context.database(&context.config(&["database"])?, Access::Read).await?.nodes().await?;
    let object = |node: &Node| {
        json!({
            "id": node.id, "version": node.version, "started_at": node.started.to_string(),
            "seen_at": node.seen.to_string(),
        })
    };
    context.output.list("nodes", &nodes, object, &["NODE", "VERSION", "STARTED", "LAST SEEN"], |node| {
        vec![node.id.clone(), node.version.clone(), node.started.to_string(), node.seen.to_string()]
    });
    Ok(())
}
