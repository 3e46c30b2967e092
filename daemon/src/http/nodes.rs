//! `/nodes`: what they are, and what people do to them.

use axum::{extract::State, http::StatusCode};
use metaopt_api::{Page, node as dto};
use metaopt_core::{Node, Now, Refusal, commands::NodeAction};
use metaopt_schema::NodeId;

use super::{
    App,
    body::{Json, Nothing},
    cluster,
    problem::Answer,
    query::{In, Query, page},
};

/// GET: all nodes.
pub async fn list(State(app): State<App>, query: Query) -> Answer<axum::Json<Page<dto::Node>>> {
    query.only(&["limit", "cursor"])?;
    Ok(axum::Json(page(&query, cluster::nodes(&app), |n: &dto::Node| NodeId::new(&n.id))?))
}

/// The node of an ID, or of a name that only one has.
fn named(nodes: impl Iterator<Item = (String, String)>, text: &str) -> Result<String, Refusal> {
    let mut found: Vec<(String, String)> = nodes.filter(|(id, name)| id == text || name == text).collect();
    if let Some(exact) = found.iter().position(|(id, _)| id == text) {
        return Ok(found.swap_remove(exact).0);
    }
    match found.as_slice() {
        [(id, _)] => Ok(id.clone()),
        [] => Err(Refusal::not_found(format!("there is no node `{text}`; /api/v1/nodes lists them"))),
        several => {
            let ids: Vec<&str> = several.iter().map(|(id, _)| id.as_str()).collect();
            Err(Refusal::conflict(format!("several nodes are called `{text}`; use an ID: {}", ids.join(", "))))
        }
    }
}

fn find(node: &Node, now: Now, text: &str) -> Result<String, Refusal> {
    named(node.nodes(now).into_iter().map(|n| (n.id.to_string(), n.name)), text)
}

fn shown(app: &App, text: &str) -> Result<dto::Node, Refusal> {
    let mut nodes = cluster::nodes(app);
    let id = named(nodes.iter().map(|n| (n.id.clone(), n.name.clone())), text)?;
    let at = nodes.iter().position(|n| n.id == id);
    at.map(|at| nodes.swap_remove(at)).ok_or_else(|| Refusal::not_found(format!("there is no node `{text}`")))
}

/// GET one.
pub async fn get(State(app): State<App>, In(node): In<String>, query: Query) -> Answer<axum::Json<dto::Node>> {
    query.only(&[])?;
    Ok(axum::Json(shown(&app, &node)?))
}

async fn act(app: App, node: String, action: NodeAction) -> Answer<axum::Json<dto::Node>> {
    let id = app
        .shell()
        .call(move |all, now| {
            let id = find(all, now, &node)?;
            all.node_action(now, &id, action)
        })
        .await?;
    Ok(axum::Json(shown(&app, id.as_str())?))
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
            let id = find(all, now, &node)?;
            all.node_action(now, &id, NodeAction::Remove)
        })
        .await?;
    Ok(StatusCode::NO_CONTENT)
}
