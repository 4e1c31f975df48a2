//! The API description (OpenAPI 3.1), made from the route table, and the page that shows it.
//!
//! Schemas come from the types by utoipa; all else is derived from the rows by rule, so that nothing can be documented that is not so. It may
//! not know any single route.

use std::collections::BTreeMap;

use actix_web::http::header;
use actix_web::web::{self, Bytes, Data, ServiceConfig};
use actix_web::{HttpResponse, Responder};
use serde_json::{Map, Value, json};
use utoipa_swagger_ui::{Config, SwaggerUi};

use crate::actor::Roles;

use super::header::IDEMPOTENCY_KEY;
use super::limits::EXEMPT;
use super::page::MEDIA_TYPES;
use super::problem::MEDIA_TYPE;
use super::query::{Form, Param, RANGES};
use super::route::{Route, Shape};

/// The pattern of identifiers with this prefix.
pub fn id_pattern(prefix: &str) -> String {
    format!("^{prefix}_[0-9a-hjkmnp-tv-z]{{26}}$")
}

/// The whole description.
pub fn document(routes: &[Route]) -> Value {
    let mut paths: BTreeMap<String, Map<String, Value>> = BTreeMap::new();
    for route in routes {
        paths.entry(route.path()).or_default().insert(route.method.into(), operation(route));
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Almoner",
            "version": env!("CARGO_PKG_VERSION"),
            "description": env!("CARGO_PKG_DESCRIPTION"),
            "license": {"name": "MIT OR Apache-2.0", "identifier": "MIT OR Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "paths": paths,
        "components": {
            "schemas": schemas(routes),
            "responses": {"Problem": {"description": "Why it was not done.", "content": {MEDIA_TYPE: {"schema": reference("Problem")}}}},
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}},
        },
    })
}

fn operation(route: &Route) -> Value {
    let (summary, tag) = (route.operation.replace('_', " "), tag(route));
    let who = if route.roles == Roles::default() { "everybody".into() } else { route.roles.to_string().replace(' ', ", ") };
    let mut operation = json!({
        "operationId": route.operation,
        "summary": summary,
        "description": format!("For: {who}."),
        "tags": [tag],
        "parameters": parameters(route),
        "responses": responses(route),
        "security": if route.roles == Roles::default() { json!([]) } else { json!([{"bearer": []}]) },
    });
    if let Some(shape) = route.body {
        let mut content = json!({"application/json": {"schema": reference(&(shape.name)())}});
        stream(route, &mut content);
        operation["requestBody"] = json!({"required": true, "content": content});
        if let Some(manner) = route.streams {
            operation["requestBody"]["description"] = json!(manner);
        }
    }
    operation
}

/// The first segment of the path after the version; what has no version is about the service itself.
fn tag(route: &Route) -> &'static str {
    let versioned = route.pattern.strip_prefix("/v1/");
    versioned.and_then(|path| path.split('/').next()).unwrap_or("service")
}

fn reference(name: &str) -> Value {
    json!({"$ref": format!("#/components/schemas/{name}")})
}

fn parameters(route: &Route) -> Vec<Value> {
    let path = route.path_params().map(|(name, prefix)| {
        let schema = prefix.map_or_else(|| json!({"type": "string"}), |prefix| json!({"type": "string", "pattern": id_pattern(prefix)}));
        json!({"name": name, "in": "path", "required": true, "schema": schema})
    });
    let key =
        || json!({"name": IDEMPOTENCY_KEY, "in": "header", "required": true, "schema": {"type": "string", "pattern": "^[!-~]{1,255}$"}});
    let version =
        || json!({"name": "if-match", "in": "header", "required": true, "schema": {"type": "string", "pattern": "^\"v[0-9]+\"$"}});
    let headers = route.wants_key.then(key).into_iter().chain(route.wants_version.then(version));
    path.chain(headers).chain(route.params().flat_map(query_parameters)).collect()
}

fn query_parameters(param: &'static Param) -> Vec<Value> {
    let value = match param.form {
        Form::Id(prefix) => json!({"type": "string", "pattern": id_pattern(prefix)}),
        Form::Time => json!({"type": "string", "format": "date-time"}),
        Form::Text => json!({"type": "string", "minLength": 1, "maxLength": 180}),
        Form::OneOf(words) => json!({"type": "string", "enum": words}),
        Form::Number(from, to) => json!({"type": "integer", "minimum": from, "maximum": to}),
    };
    let schema = if param.repeatable { json!({"type": "array", "items": value}) } else { value };
    let ranges = if param.ranged { &RANGES[..] } else { &[] };
    let names = std::iter::once(param.name.to_string()).chain(ranges.iter().map(|range| format!("{}[{range}]", param.name)));
    names.map(|name| json!({"name": name, "in": "query", "required": false, "schema": schema})).collect()
}

fn responses(route: &Route) -> Map<String, Value> {
    let mut success = json!({"description": "Done."});
    if let Some(shape) = route.answer {
        let name = (shape.name)();
        success["content"] = if route.lists {
            let [json, csv, ndjson] = MEDIA_TYPES;
            json!({json: {"schema": reference(&list_name(&name))}, csv: {"schema": {"type": "string"}}, ndjson: {"schema": {"type": "string"}}})
        } else {
            json!({"application/json": {"schema": reference(&name)}})
        };
        stream(route, &mut success["content"]);
        for form in route.forms {
            success["content"][*form] = json!({"schema": {}});
        }
    }
    let otherwise = route.otherwise.map(|shape| {
        let content = json!({"application/json": {"schema": reference(&(shape.name)())}});
        ("200".to_string(), json!({"description": "Nothing new was made.", "content": content}))
    });
    let refused = statuses(route).into_iter().map(|status| (status.to_string(), json!({"$ref": "#/components/responses/Problem"})));
    refused.chain(otherwise).chain([(route.status.to_string(), success)]).collect()
}

/// Adds the form of one record a line, which JSON Schema can't state.
fn stream(route: &Route, content: &mut Value) {
    let [_, _, ndjson] = MEDIA_TYPES;
    if route.streams.is_some() {
        content[ndjson] = json!({"schema": {"type": "string"}});
    }
}

/// The statuses of refusals that a row implies.
fn statuses(route: &Route) -> Vec<u16> {
    let signed_in = route.roles != Roles::default();
    let (posts, body) = (route.method == "post", route.body.is_some());
    let rules: [(bool, &[u16]); 10] = [
        (true, &[400, 500]),
        (!EXEMPT.contains(&route.pattern), &[429]),
        (signed_in, &[401]),
        (signed_in && route.roles != Roles(crate::roles!(ANY)), &[403]),
        (route.path_params().next().is_some() || tag(route) == "log", &[404]),
        (route.lists || route.negotiates, &[406]),
        (posts, &[409, 503]),
        (route.wants_version, &[412, 428]),
        (body, &[413, 415]),
        (body || route.wants_key, &[422]),
    ];
    rules.iter().filter(|(holds, _)| *holds).flat_map(|(_, statuses)| statuses.iter().copied()).collect()
}

fn list_name(item: &str) -> String {
    format!("{item}List")
}

/// All named schemas. Those of requests are closed, since unknown fields are refused.
fn schemas(routes: &[Route]) -> BTreeMap<String, Value> {
    let mut named = BTreeMap::from([("Problem".to_string(), problem_schema())]);
    for route in routes {
        named.extend(route.otherwise.into_iter().flat_map(all_of));
        let Some(shape) = route.answer else { continue };
        named.extend(all_of(shape));
        if route.lists {
            let item = (shape.name)();
            named.insert(list_name(&item), list_schema(&item));
        }
    }
    for (name, mut schema) in routes.iter().filter_map(|route| route.body).flat_map(all_of) {
        close(&mut schema);
        named.insert(name, schema);
    }
    named
}

fn all_of(shape: Shape) -> impl Iterator<Item = (String, Value)> {
    let mut all = vec![((shape.name)().into_owned(), (shape.schema)())];
    (shape.others)(&mut all);
    all.into_iter().map(|(name, schema)| (name, serde_json::to_value(schema).unwrap_or_default()))
}

/// Says of every object with named fields that it has no others.
fn close(schema: &mut Value) {
    match schema {
        Value::Object(map) => {
            map.values_mut().for_each(close);
            if map.get("properties").is_some_and(Value::is_object) && map.get("type").is_some() {
                map.entry("additionalProperties").or_insert(json!(false));
            }
        }
        Value::Array(list) => list.iter_mut().for_each(close),
        _ => {}
    }
}

fn list_schema(item: &str) -> Value {
    json!({
        "type": "object",
        "required": ["object", "data", "has_more", "next_cursor"],
        "properties": {
            "object": {"const": "list"},
            "data": {"type": "array", "items": reference(item)},
            "has_more": {"type": "boolean"},
            "next_cursor": {"type": ["string", "null"]},
        },
    })
}

fn problem_schema() -> Value {
    let text = json!({"type": "string"});
    let error = json!({
        "type": "object",
        "required": ["pointer", "code", "detail"],
        "properties": {"pointer": text, "code": text, "detail": text},
    });
    json!({
        "type": "object",
        "description": "RFC 9457.",
        "required": ["type", "title", "status", "code", "detail", "remedy", "request_id", "params", "errors"],
        "properties": {
            "type": {"type": "string", "format": "uri-reference"},
            "title": text, "code": text, "detail": text, "remedy": text, "request_id": text,
            "status": {"type": "integer"},
            "params": {"type": "object", "additionalProperties": text},
            "errors": {"type": "array", "items": error},
        },
    })
}

/// The description as it is served.
pub struct Document(Bytes);

/// `GET /openapi.json`.
pub async fn describe(document: Data<Document>) -> impl Responder {
    HttpResponse::Ok().insert_header((header::CONTENT_TYPE, "application/json")).body(document.0.clone())
}

/// Serves the pages under `/docs`, and keeps the description for [`describe`].
pub fn configure(document: Value, config: &mut ServiceConfig) {
    config.app_data(Data::new(Document(document.to_string().into())));
    config.service(web::redirect("/docs", "/docs/").permanent());
    config.service(SwaggerUi::new("/docs/{_:.*}").config(Config::from("/openapi.json")));
}
