//! The OpenAPI 3.1 document: schemas derived from the types, paths from one table.
//!
//! It is committed as `daemon/api/openapi.json`; a test fails when the two differ.

mod build;
mod paths;

use utoipa::{
    ToSchema,
    openapi::{
        ComponentsBuilder, InfoBuilder, LicenseBuilder, ObjectBuilder, OpenApi, OpenApiBuilder, Ref, RefOr, Schema,
        schema::{ArrayBuilder, SchemaType, Type},
        security::{HttpAuthScheme, HttpBuilder, SecurityScheme},
        tag::TagBuilder,
    },
};

use crate::{cluster, columns, gc, importance, node, plot, problem, study, token, trial};

/// The command that writes the committed document anew.
pub const REGENERATE: &str = "cargo run -p metaopt-api --bin openapi > daemon/api/openapi.json";

/// The document as served at `/api/openapi.json` and committed.
pub fn document() -> OpenApi {
    let bearer = SecurityScheme::Http(
        HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .description(Some(
                "The token of `DATA_DIR/api.json`, or the one a trial's process got (good for its trial only).",
            ))
            .build(),
    );
    let info = InfoBuilder::new()
        .title("metaopt")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some("Studies, trials and nodes of a metaopt cluster, as any of its nodes answers them."))
        .license(Some(LicenseBuilder::new().name("GPL-3.0-or-later").identifier(Some("GPL-3.0-or-later")).build()))
        .build();
    let tags = [
        ("studies", "Searches: a space, objectives, a sampler, an early-stopping rule, a budget."),
        ("trials", "One configuration each, and all that happened to it."),
        ("cluster", "Nodes, and what they agree on."),
        ("daemon", "Liveness, metrics, events, this document."),
    ];
    OpenApiBuilder::new()
        .info(info)
        .tags(Some(tags.map(|(name, text)| TagBuilder::new().name(name).description(Some(text)).build())))
        .components(Some(components().security_scheme("bearer", bearer).build()))
        .paths(paths::all())
        .build()
}

/// [`document`] as text, as it is committed.
///
/// # Errors
/// When it can't be written as JSON, which would be a mistake in a derived schema.
pub fn text() -> Result<String, serde_json::Error> {
    // Through a value, so that keys are sorted and a change of the library's order is no change of the document.
    let value = serde_json::to_value(document())?;
    Ok(serde_json::to_string_pretty(&value)? + "\n")
}

fn components() -> ComponentsBuilder {
    let mut found: Vec<(String, RefOr<Schema>)> = Vec::new();
    add::<problem::Problem>(&mut found);
    add::<study::NewStudy>(&mut found);
    add::<study::StudyPatch>(&mut found);
    add::<study::Fork>(&mut found);
    add::<study::Study>(&mut found);
    add::<importance::Importances>(&mut found);
    add::<columns::Columns>(&mut found);
    add::<study::Place>(&mut found);
    add::<study::Imported>(&mut found);
    add::<trial::Enqueue>(&mut found);
    add::<trial::TrialPatch>(&mut found);
    add::<trial::Suggest>(&mut found);
    add::<trial::Suggested>(&mut found);
    add::<trial::NewReports>(&mut found);
    add::<trial::Verdict>(&mut found);
    add::<trial::Report>(&mut found);
    add::<trial::Complete>(&mut found);
    add::<trial::Heartbeat>(&mut found);
    add::<trial::ImportLine>(&mut found);
    add::<trial::Artifact>(&mut found);
    add::<trial::Explanation>(&mut found);
    add::<cluster::Cluster>(&mut found);
    add::<cluster::NewInvitation>(&mut found);
    add::<cluster::Invitation>(&mut found);
    add::<cluster::Join>(&mut found);
    add::<cluster::Leave>(&mut found);
    add::<cluster::Joined>(&mut found);
    add::<node::Health>(&mut found);
    add::<plot::Plot>(&mut found);
    add::<token::Issued>(&mut found);
    add::<token::Revoked>(&mut found);
    add::<gc::Gc>(&mut found);
    add::<gc::Collection>(&mut found);
    let mut components = ComponentsBuilder::new().schema("SomeTrial", some_trial());
    for (name, schema) in found {
        components = components.schema(name, schema);
    }
    for item in ["Study", "Trial", "SomeTrial", "Report", "Artifact", "Place", "Node", "Invitation"] {
        components = components.schema(format!("Page_{item}"), page(item));
    }
    components
}

/// A type's schema and those it refers to.
fn add<T: ToSchema>(found: &mut Vec<(String, RefOr<Schema>)>) {
    found.push((T::name().into_owned(), T::schema()));
    T::schemas(found);
}

/// [`crate::Page`] of a schema; the derived name of a generic would be the same for all.
fn page(item: &str) -> ObjectBuilder {
    let items = ArrayBuilder::new().items(Ref::from_schema_name(item));
    let cursor = ObjectBuilder::new()
        .schema_type(SchemaType::from_iter([Type::String, Type::Null]))
        .description(Some("Give it as `cursor` for the next page; null at the end."));
    ObjectBuilder::new()
        .schema_type(Type::Object)
        .property("items", items)
        .property("next_cursor", cursor)
        .required("items")
        .required("next_cursor")
        .description(Some("One page of a list."))
}

/// A trial of a list: with `fields=` any of its fields may be missing.
fn some_trial() -> RefOr<Schema> {
    let mut schema = <trial::Trial as utoipa::PartialSchema>::schema();
    if let RefOr::T(Schema::Object(object)) = &mut schema {
        object.required.clear();
    }
    schema
}
