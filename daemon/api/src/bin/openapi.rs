//! Prints the OpenAPI document, for `daemon/api/openapi.json`.

fn main() -> Result<(), serde_json::Error> {
    print!("{}", metaopt_api::openapi::text()?);
    Ok(())
}
