//! Small builders over utoipa's, so that the table of paths reads as a table.

use utoipa::openapi::{
    Content, HttpMethod, Object, ObjectBuilder, Ref, RefOr, Required, ResponseBuilder, Schema,
    path::{Operation, OperationBuilder, ParameterBuilder, ParameterIn},
    request_body::RequestBodyBuilder,
    schema::{KnownFormat, SchemaFormat, Type},
    security::SecurityRequirement,
};

use crate::problem::{CONTENT_TYPE, ProblemKind};

/// One verb of one path, being described.
pub(super) struct Verb {
    pub(super) path: &'static str,
    pub(super) method: HttpMethod,
    operation: OperationBuilder,
    errors: Vec<u16>,
}

/// Statuses that any call with a token may be answered with.
const COMMON: [u16; 6] = [400, 401, 403, 429, 500, 503];

impl Verb {
    pub(super) fn new(method: HttpMethod, path: &'static str, id: &str, tag: &str, summary: &str) -> Self {
        let mut operation = OperationBuilder::new().operation_id(Some(id)).tag(tag).summary(Some(summary));
        for part in path.split('/').filter_map(|p| p.strip_prefix('{')?.strip_suffix('}')) {
            let text = match part {
                "study" => "A study's ID or name.",
                "trial" => "A trial's ID or label.",
                "node" => "A node's ID or name.",
                "name" => "One plain file name.",
                "hash" => "`b3:` and 64 hexadecimal digits: BLAKE3 of the archive in its canonical, uncompressed form.",
                _ => "Which plot.",
            };
            let schema = match part {
                "hash" => string().pattern(Some("^b3:[0-9a-f]{64}$")),
                "kind" => string()
                    .enum_values(Some(["history", "curves", "parallel", "slice", "marginal", "contour", "timeline"])),
                _ => string().min_length(Some(1)),
            };
            let parameter = ParameterBuilder::new()
                .name(part)
                .parameter_in(ParameterIn::Path)
                .required(Required::True)
                .description(Some(text))
                .schema(Some(schema.build()));
            operation = operation.parameter(parameter.build());
        }
        let mut errors = COMMON.to_vec();
        if path.contains('{') {
            errors.push(404);
        }
        Self { path, method, operation, errors }
    }

    /// A parameter of the query.
    pub(super) fn query(mut self, name: &str, text: &str, schema: ObjectBuilder) -> Self {
        let parameter = ParameterBuilder::new()
            .name(name)
            .parameter_in(ParameterIn::Query)
            .required(Required::False)
            .description(Some(text))
            .schema(Some(schema.build()));
        self.operation = self.operation.parameter(parameter.build());
        self.errors.push(422);
        self
    }

    /// `limit` and `cursor`.
    pub(super) fn paged(self) -> Self {
        let limit = integer(1).maximum(Some(crate::list::MAX_LIMIT as f64));
        self.query("limit", "Items of a page (default 100).", limit).query(
            "cursor",
            "`next_cursor` of the page before.",
            string(),
        )
    }

    /// A header of the request.
    pub(super) fn header(mut self, name: &str, text: &str) -> Self {
        let parameter = ParameterBuilder::new()
            .name(name)
            .parameter_in(ParameterIn::Header)
            .required(Required::False)
            .description(Some(text))
            .schema(Some(string().build()));
        self.operation = self.operation.parameter(parameter.build());
        self
    }

    /// A JSON body; an optional one may be empty.
    pub(super) fn takes(mut self, schema: &str, required: bool) -> Self {
        let body = RequestBodyBuilder::new()
            .content("application/json", Content::new(Some(Ref::from_schema_name(schema))))
            .required(Some(if required { Required::True } else { Required::False }));
        self.operation = self.operation.request_body(Some(body.build()));
        self.errors.extend([413, 415, 422]);
        self
    }

    /// A body of another kind.
    pub(super) fn takes_bytes(mut self, media: &str, text: &str) -> Self {
        let body = RequestBodyBuilder::new()
            .description(Some(text))
            .content(media, Content::new(Some(bytes())))
            .required(Some(Required::True));
        self.operation = self.operation.request_body(Some(body.build()));
        self.errors.extend([413, 415, 422]);
        self
    }

    /// Answers a schema as JSON.
    pub(super) fn answers(mut self, status: u16, schema: &str, text: &str) -> Self {
        let response = ResponseBuilder::new()
            .description(text)
            .content("application/json", Content::new(Some(Ref::from_schema_name(schema))));
        self.operation = self.operation.response(status.to_string(), response.build());
        self
    }

    /// Answers something else; several media types where a parameter chooses.
    pub(super) fn answers_bytes(mut self, status: u16, media: &[&str], text: &str) -> Self {
        let mut response = ResponseBuilder::new().description(text);
        for media in media {
            response = response.content(*media, Content::new(Some(bytes())));
        }
        self.operation = self.operation.response(status.to_string(), response.build());
        self
    }

    /// Answers nothing but a status.
    pub(super) fn answers_nothing(mut self, status: u16, text: &str) -> Self {
        self.operation = self.operation.response(status.to_string(), ResponseBuilder::new().description(text).build());
        self
    }

    /// Further statuses of errors.
    pub(super) fn fails(mut self, statuses: &[u16]) -> Self {
        self.errors.extend(statuses);
        self
    }

    /// Needs no token.
    pub(super) fn open(mut self) -> Self {
        self.errors.retain(|status| *status != 401);
        self.operation = self.operation.securities(Some(Vec::<SecurityRequirement>::new()));
        self
    }

    /// The finished operation.
    pub(super) fn build(mut self) -> (&'static str, HttpMethod, Operation) {
        self.errors.sort_unstable();
        self.errors.dedup();
        for status in &self.errors {
            let problem = ResponseBuilder::new()
                .description(title(*status))
                .content(CONTENT_TYPE, Content::new(Some(Ref::from_schema_name("Problem"))));
            self.operation = self.operation.response(status.to_string(), problem.build());
        }
        let mut operation = self.operation.build();
        if operation.security.is_none() {
            operation.security = Some(vec![SecurityRequirement::new("bearer", Vec::<String>::new())]);
        }
        (self.path, self.method, operation)
    }
}

fn title(status: u16) -> &'static str {
    use ProblemKind as P;
    let kinds = [P::Malformed, P::Unauthorized, P::Forbidden, P::NotFound, P::Conflict, P::TooLarge];
    let more = [P::UnsupportedMediaType, P::Invalid, P::TooManyRequests, P::Internal, P::Storage, P::Unreachable];
    kinds.into_iter().chain(more).find(|k| k.status() == status).map_or("Error", ProblemKind::title)
}

/// A string.
pub(super) fn string() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::String)
}

/// A whole number from `low` up.
pub(super) fn integer(low: i32) -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(f64::from(low)))
}

/// A number from `low` up.
pub(super) fn number(low: f64) -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::Number).minimum(Some(low))
}

/// True or false.
pub(super) fn boolean() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::Boolean)
}

fn bytes() -> RefOr<Schema> {
    let object: Object = string().format(Some(SchemaFormat::KnownFormat(KnownFormat::Binary))).build();
    RefOr::T(Schema::Object(object))
}
