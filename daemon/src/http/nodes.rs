//! `/nodes` and `/cluster`.

use axum::{extract::State, http::StatusCode};
use metaopt_api::{Page, node as dto};
use metaopt_core::{Node, NodeStatus, Now, Refusal, commands::NodeAction};

use super::{
    App,
    body::{Json, Nothing},
    problem::Answer,
    query::{In, Query, page},
    render,
};

/// GET: all nodes.
pub async fn list(State(app): State<App>, query: Query) -> Answer<axum::Json<Page<dto::Node>>> {
    query.only(&["limit", "cursor"])?;
    let mut nodes = app.shell().read(Node::nodes);
    nodes.sort_by(|a, b| a.id.cmp(&b.id));
    let found = page(&query, nodes, |n: &NodeStatus| n.id.clone())?;
    let items = found.items.into_iter().map(render::node).collect();
    Ok(axum::Json(Page { items, next_cursor: found.next_cursor }))
}

fn find(node: &Node, now: Now, text: &str) -> Result<dto::Node, Refusal> {
    let mut found: Vec<NodeStatus> =
        node.nodes(now).into_iter().filter(|n| n.id.as_str() == text || n.name == text).collect();
    if let Some(exact) = found.iter().position(|n| n.id.as_str() == text) {
        found = vec![found.swap_remove(exact)];
    }
    match (found.pop(), found.len()) {
        (Some(one), 0) => Ok(render::node(one)),
        (None, _) => Err(Refusal::not_found(format!("there is no node `{text}`; /api/v1/nodes lists them"))),
        (Some(_), _) => Err(Refusal::conflict(format!("several nodes are called `{text}`; use an ID"))),
    }
}

/// GET one.
pub async fn get(State(app): State<App>, In(node): In<String>, query: Query) -> Answer<axum::Json<dto::Node>> {
    query.only(&[])?;
    Ok(axum::Json(app.shell().read(|all, now| find(all, now, &node))?))
}

async fn act(app: App, node: String, action: NodeAction) -> Answer<axum::Json<dto::Node>> {
    let answer = app
        .shell()
        .call(move |all, now| {
            let id = find(all, now, &node)?.id;
            all.node_action(now, &id, action)?;
            find(all, now, &id)
        })
        .await?;
    Ok(axum::Json(answer))
}

/// POST drain.
pub async fn drain(State(app): State<App>, In(node): In<String>, _: Json<Nothing>) -> Answer<axum::Json<dto::Node>> {
    act(app, node, NodeAction::Drain).await
}

/// POST resume.
pub async fn resume(State(app): State<App>, In(node): In<String>, _: Json<Nothing>) -> Answer<axum::Json<dto::Node>> {
    act(app, node, NodeAction::Resume).await
}

/// POST lost.
pub async fn lost(State(app): State<App>, In(node): In<String>, _: Json<Nothing>) -> Answer<axum::Json<dto::Node>> {
    act(app, node, NodeAction::Lost).await
}

/// DELETE: for good.
pub async fn remove(State(app): State<App>, In(node): In<String>, _: Json<Nothing>) -> Answer<StatusCode> {
    app.shell()
        .call(move |all, now| {
            let id = find(all, now, &node)?.id;
            all.node_action(now, &id, NodeAction::Remove)
        })
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

/// GET cluster.
pub async fn cluster(State(app): State<App>, query: Query) -> Answer<axum::Json<dto::Cluster>> {
    query.only(&[])?;
    Ok(axum::Json(app.shell().read(|node, now| dto::Cluster {
        node: node.id().to_string(),
        name: node.name().to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        nodes: node.nodes(now).into_iter().map(render::node).collect(),
    })))
}
