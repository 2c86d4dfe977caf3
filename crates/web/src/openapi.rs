//! The OpenAPI 3.1 document, made from the table of routes.

use std::collections::BTreeMap;

use http::{Method, StatusCode};
use kernel::Kind;
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{
        Components, ContentBuilder, HttpMethod, InfoBuilder, OpenApi, OpenApiBuilder, PathItem, Paths, Ref,
        RefOr, Required, Response, ResponseBuilder, ResponsesBuilder,
        extensions::ExtensionsBuilder,
        path::{Operation, OperationBuilder, Parameter, ParameterBuilder, ParameterIn},
        request_body::RequestBodyBuilder,
        schema::{Array, ObjectBuilder, Schema, SchemaFormat, Type},
        security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme},
        tag::TagBuilder,
    },
};

use crate::{
    error::{ErrorBody, status, words},
    routes::{RouteFacts, Rule},
};

/// The name of the scheme by which users and their programs sign in.
const BEARER: &str = "bearer";

/// What the documentation says about a route beyond its facts.
#[derive(Default)]
pub(crate) struct Document {
    pub(crate) summary: &'static str,
    pub(crate) description: &'static str,
    pub(crate) query: Vec<Parameter>,
    pub(crate) request: Option<Body>,
    pub(crate) response: Option<Body>,
}

type NamedSchemas = Vec<(String, RefOr<Schema>)>;

/// A body: its content type, its schema, and the named schemas that this one refers to.
pub(crate) struct Body {
    content_type: &'static str,
    schema: RefOr<Schema>,
    named: NamedSchemas,
}

impl Body {
    /// JSON of a `T`.
    pub(crate) fn of<T: ToSchema>() -> Self {
        let mut named = Vec::new();
        let schema = reference::<T>(&mut named);
        Self { content_type: "application/json", schema, named }
    }

    /// A JSON list of `T`.
    pub(crate) fn list_of<T: ToSchema>() -> Self {
        let mut named = Vec::new();
        let schema = Array::new(reference::<T>(&mut named)).into();
        Self { content_type: "application/json", schema, named }
    }

    /// Bytes of some other type.
    pub(crate) fn bytes(content_type: &'static str) -> Self {
        let schema = ObjectBuilder::new()
            .schema_type(Type::String)
            .format(Some(SchemaFormat::Custom("binary".into())));
        Self { content_type, schema: schema.into(), named: Vec::new() }
    }
}

/// Objects are kept under their name and referred to; anything smaller stands where it is used.
fn reference<T: ToSchema>(named: &mut NamedSchemas) -> RefOr<Schema> {
    T::schemas(named);
    let schema = T::schema();
    let is_named = match &schema {
        RefOr::T(Schema::Object(object)) => !object.properties.is_empty() || object.enum_values.is_some(),
        RefOr::T(Schema::OneOf(_) | Schema::AllOf(_) | Schema::AnyOf(_)) => true,
        _ => false,
    };
    if !is_named {
        return schema;
    }
    named.push((T::name().into_owned(), schema));
    Ref::from_schema_name(T::name()).into()
}

/// The document of all routes. `version` is the program's.
pub(crate) fn document<'a>(
    routes: impl Iterator<Item = (&'a RouteFacts, &'a Document)>,
    version: &str,
) -> OpenApi {
    let mut schemas = BTreeMap::from([("Error".to_owned(), ErrorBody::schema())]);
    let mut paths = Paths::new();
    let mut services: Vec<&str> = Vec::new();
    for (facts, document) in routes {
        let Some(method) = method(&facts.method) else { continue };
        let bodies = document.request.iter().chain(&document.response);
        schemas.extend(bodies.flat_map(|body| body.named.iter().cloned()));
        if !services.contains(&facts.service) {
            services.push(facts.service);
        }
        let item = paths.paths.entry(facts.path.replace("{*", "{")).or_default();
        item.merge_operations(PathItem::new(method, operation(facts, document)));
    }
    let tags = services.into_iter().map(|service| TagBuilder::new().name(service).build());
    let mut components = Components::new();
    components.schemas = schemas;
    components.responses = shared_failures();
    components.add_security_scheme(BEARER, bearer());
    OpenApiBuilder::new()
        .info(InfoBuilder::new().title("Trunkline").version(version).description(Some(INTRODUCTION)))
        .paths(paths)
        .tags(Some(tags))
        .components(Some(components))
        .build()
}

const INTRODUCTION: &str = "Identity, access, devices and messages over HTTP. \
    Every answer carries `x-request-id`; give that id when you ask for help. \
    Errors are JSON: `message` is stable, `error` says more.";

fn bearer() -> SecurityScheme {
    let about = "An access token from `POST /users/tokens/issue`, or a personal access token.";
    SecurityScheme::Http(HttpBuilder::new().scheme(HttpAuthScheme::Bearer).description(Some(about)).build())
}

fn method(method: &Method) -> Option<HttpMethod> {
    match *method {
        Method::GET => Some(HttpMethod::Get),
        Method::POST => Some(HttpMethod::Post),
        Method::PUT => Some(HttpMethod::Put),
        Method::PATCH => Some(HttpMethod::Patch),
        Method::DELETE => Some(HttpMethod::Delete),
        _ => None,
    }
}

fn operation(facts: &RouteFacts, document: &Document) -> Operation {
    let mut operation = OperationBuilder::new()
        .tag(facts.service)
        .operation_id(Some(facts.operation_id))
        .summary(some(document.summary))
        .description(Some(description(facts, document)))
        .responses(responses(facts, document))
        .extensions(Some(rule_extension(facts.rule)));
    for parameter in path_parameters(facts.path).chain(document.query.iter().cloned()) {
        operation = operation.parameter(parameter);
    }
    if let Some(body) = &document.request {
        let content = ContentBuilder::new().schema(Some(body.schema.clone())).build();
        let request =
            RequestBodyBuilder::new().content(body.content_type, content).required(Some(Required::True));
        operation = operation.request_body(Some(request.build()));
    }
    if !matches!(facts.rule, Rule::Public(_)) {
        operation = operation.security(SecurityRequirement::new(BEARER, Vec::<String>::new()));
    }
    operation.build()
}

fn some(text: &'static str) -> Option<&'static str> {
    Some(text).filter(|text| !text.is_empty())
}

/// The route's own words, then who may call it.
fn description(facts: &RouteFacts, document: &Document) -> String {
    let rule = match facts.rule {
        Rule::Public(why) => format!("No token is needed: {why}."),
        Rule::SignedIn(limit) => format!("Needs a token: {limit}."),
        Rule::Operations(operations) => {
            let names: Vec<String> = operations.iter().map(|operation| format!("`{operation}`")).collect();
            format!("Needs a token that is allowed {}.", names.join(", "))
        }
    };
    if document.description.is_empty() { rule } else { format!("{}\n\n{rule}", document.description) }
}

/// The operations, for programs that read the document.
fn rule_extension(rule: Rule) -> utoipa::openapi::extensions::Extensions {
    let operations: Vec<String> = match rule {
        Rule::Operations(operations) => operations.iter().map(ToString::to_string).collect(),
        Rule::Public(_) | Rule::SignedIn(_) => Vec::new(),
    };
    ExtensionsBuilder::new().add("x-operations", operations).build()
}

fn path_parameters(path: &'static str) -> impl Iterator<Item = Parameter> {
    let names = path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
    names.map(|name| {
        let name = name.trim_start_matches('*');
        let text: RefOr<Schema> = ObjectBuilder::new().schema_type(Type::String).into();
        ParameterBuilder::new()
            .name(name)
            .parameter_in(ParameterIn::Path)
            .required(Required::True)
            .schema(Some(text))
            .build()
    })
}

fn responses(facts: &RouteFacts, document: &Document) -> ResponsesBuilder {
    let mut success =
        ResponseBuilder::new().description(facts.status.canonical_reason().unwrap_or("Success"));
    if let Some(body) = &document.response {
        let content = ContentBuilder::new().schema(Some(body.schema.clone())).build();
        success = success.content(body.content_type, content);
    }
    let mut responses = ResponsesBuilder::new().response(facts.status.as_str(), success.build());
    for failure in failures(facts, document) {
        responses = responses.response(failure.as_str(), Ref::from_response_name(failure_name(failure)));
    }
    responses
}

/// The errors that the shape of the route lets one expect; the use case may add to them.
fn failures(facts: &RouteFacts, document: &Document) -> impl Iterator<Item = StatusCode> {
    let takes_json = document.request.as_ref().is_some_and(|body| body.content_type == "application/json");
    let takes_input = document.request.is_some() || !document.query.is_empty() || facts.path.contains('{');
    let needs_token = !matches!(facts.rule, Rule::Public(_));
    let changes = facts.method != Method::GET;
    let applies = move |kind| match kind {
        Kind::Invalid => takes_input,
        Kind::Unauthenticated => needs_token,
        Kind::Denied => matches!(facts.rule, Rule::Operations(_)),
        Kind::NotFound => facts.path.contains('{'),
        Kind::Conflict | Kind::Unprocessable => changes && needs_token,
        Kind::TooLarge => document.request.is_some(),
        Kind::MediaType => takes_json,
        Kind::Limited | Kind::Unavailable | Kind::Internal => true,
    };
    KINDS.into_iter().filter(move |kind| applies(*kind)).map(status)
}

const KINDS: [Kind; 11] = [
    Kind::Invalid,
    Kind::Unauthenticated,
    Kind::Denied,
    Kind::NotFound,
    Kind::Conflict,
    Kind::TooLarge,
    Kind::MediaType,
    Kind::Unprocessable,
    Kind::Limited,
    Kind::Unavailable,
    Kind::Internal,
];

/// The answers that all routes share, named by their status: `Error404`.
fn shared_failures() -> BTreeMap<String, RefOr<Response>> {
    let named = KINDS.into_iter().map(|kind| {
        let content = ContentBuilder::new().schema(Some(Ref::from_schema_name("Error"))).build();
        let response = ResponseBuilder::new().description(words(kind)).content("application/json", content);
        (failure_name(status(kind)), response.build().into())
    });
    named.collect()
}

fn failure_name(status: StatusCode) -> String {
    format!("Error{}", status.as_str())
}
