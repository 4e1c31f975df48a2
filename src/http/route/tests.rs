//! A small table, and what comes of it.

use super::*;
use crate::actor::{Actor, Role};
use crate::http::keys::Keys;
use crate::http::token::Verifier;
use crate::http::{openapi, request};
use crate::time::Clock;
use actix_web::App;
use actix_web::test::{TestRequest, call_service, init_service, read_body_json};
use actix_web::web::Data;
use serde_json::{Value, json};
use tracing_actix_web::TracingLogger;

/// Two toy handlers and the types they speak.
mod toys {
    use crate::amount::Amount;
    use crate::fields::Fields;
    use crate::http::body::{Json, PathId};
    use crate::http::header::if_match;
    use crate::http::page::list;
    use crate::http::permit::Permit;
    use crate::http::problem::Problem;
    use crate::http::query::{Form, Param, Query};
    use crate::id::{Grant, GrantId};
    use crate::time::Time;
    use actix_web::{HttpRequest, HttpResponse};
    use serde_json::json;
    use utoipa::ToSchema;

    pub const FILTERS: &[Param] = &[Param::any("grant", Form::Id("grt")), Param::range("made_at", Form::Time)];

    /// A toy.
    #[derive(ToSchema)]
    #[allow(dead_code)]
    pub struct Toy {
        pub id: GrantId,
        pub price: Amount,
        pub made_at: Option<Time>,
    }

    /// A toy to be made.
    #[derive(ToSchema)]
    #[allow(dead_code)]
    pub struct NewToy {
        pub title: String,
        pub price: Option<Amount>,
        pub parts: Vec<Part>,
    }

    #[derive(ToSchema)]
    #[allow(dead_code)]
    pub struct Part {
        pub name: String,
    }

    pub async fn list_toys<const ROLES: u8>(_: Permit<ROLES>, query: Query, request: HttpRequest) -> Result<HttpResponse, Problem> {
        list(&request, &query, |_| Ok(vec![(1, json!({"n": 1}))])).await
    }

    pub async fn make_toy<const ROLES: u8>(
        permit: Permit<ROLES>,
        id: PathId<Grant>,
        body: Json,
        request: HttpRequest,
    ) -> Result<HttpResponse, Problem> {
        let version = if_match(&request)?;
        let sent = body.parse()?;
        let mut f = Fields::of(&sent)?;
        let title = f.text("title", 10);
        let title = f.make(|| Some(title?.to_string()))?;
        Ok(HttpResponse::Created().json(json!({"id": id.0, "title": title, "by": permit.subject, "version": version})))
    }

    pub async fn careless_toy<const ROLES: u8>() -> &'static str {
        "open"
    }

    pub async fn greet() -> &'static str {
        "hello"
    }
}

routes! {
    get  "/greeting"            [A]   toys::greet                => 200;
    get  "/v1/toys"             [D U] toys::list_toys                 => 200 (toys::Toy) .list().query(toys::FILTERS);
    post "/v1/toys/{id:grt}"    [O]   toys::make_toy (toys::NewToy)  => 201 (toys::Toy) .key().version();
    get  "/v1/toys/open"        [D]   toys::careless_toy             => 200;
}

/// The status and, of JSON, the body that answers a request, which bears an operator's token if it is `signed`.
async fn ask((request, signed): (TestRequest, bool)) -> (u16, Value) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("issuer.pk8");
    Keys::create_local(&path).expect("a key");
    let keys = Keys::new("almoner").with_local(&path, None).expect("the key");
    let token = keys.issue(&Actor::operator("root"), 60, Clock::system().now(), "1").expect("a token");
    let table = routes();
    let access = Data::new(Access::over_empty_books(folder.path(), &keys));
    let app = App::new().app_data(access).app_data(Data::new(Verifier::new(keys, Clock::system())));
    let app = app.configure(|config| configure(&table, config)).configure(|config| openapi::configure(openapi::document(&table), config));
    let app = init_service(app.wrap(from_fn(request::named)).wrap(TracingLogger::<request::Span>::new())).await;
    let bearer = signed.then(|| (header::AUTHORIZATION, format!("Bearer {token}")));
    let request = bearer.into_iter().fold(request, TestRequest::insert_header);
    let response = call_service(&app, request.to_request()).await;
    let status = response.status().as_u16();
    let json = response.headers().get(header::CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().ends_with(b"json"));
    (status, if json { read_body_json(response).await } else { Value::Null })
}

fn get(uri: &str) -> (TestRequest, bool) {
    (TestRequest::get().uri(uri), false)
}

fn signed((request, _): (TestRequest, bool)) -> (TestRequest, bool) {
    (request, true)
}

#[actix_web::test]
async fn a_row_admits_whom_it_names_and_nothing_unknown() {
    for (request, status, code) in [
        (get("/greeting"), 200, json!(null)),
        (get("/greeting?x=1"), 400, json!("unknown_parameter")),
        (get("/v1/toys"), 401, json!("token_missing")),
        (get("/v1/toys?x=1"), 401, json!("token_missing")),
        (signed(get("/v1/toys")), 200, json!(null)),
        (signed(get("/v1/toys?x=1")), 400, json!("unknown_parameter")),
        (signed(get("/v1/toys?grant=lot_1")), 400, json!("wrong_id_type")),
        (signed(get("/v1/toys?made_at[gte]=2026-01-01T00:00:00Z")), 200, json!(null)),
        ((get("/v1/toys").0.insert_header((header::ACCEPT, "image/png")), true), 406, json!("not_acceptable")),
        (signed(get("/v1/toys/open")), 403, json!("forbidden")),
        (get("/v1/toys/open"), 401, json!("token_missing")),
        ((TestRequest::post().uri("/v1/toys"), true), 405, json!("method_not_allowed")),
        (get("/v1/toy"), 404, json!("not_found")),
        (get("/docs/"), 200, json!(null)),
        (get("/docs/none.js"), 404, json!("not_found")),
        (get("/docs"), 308, json!(null)),
    ] {
        let (got, body) = ask(request).await;
        assert_eq!((got, &body["code"]), (status, &code), "{body}");
    }
}

#[actix_web::test]
async fn a_handler_is_a_few_lines() {
    let id = crate::id::GrantId::from_stamp(5);
    let post = |id: &str, body: &'static str| {
        let request = TestRequest::post().uri(&format!("/v1/toys/{id}")).insert_header((header::IF_MATCH, "\"v3\""));
        (request.insert_header((header::CONTENT_TYPE, "application/json")).set_payload(body), true)
    };
    let made = ask(post(&id.to_string(), r#"{"title":"T"}"#)).await;
    assert_eq!(made, (201, json!({"id": id, "title": "T", "by": "root", "version": 3})));
    let (status, body) = ask(post(&id.to_string(), r#"{"titel":"T"}"#)).await;
    let errors: Vec<&Value> = body["errors"].as_array().into_iter().flatten().map(|error| &error["pointer"]).collect();
    assert_eq!((status, errors), (422, vec![&json!("/title"), &json!("/titel")]));
    let (status, body) = ask(post("lot_1", "{}")).await;
    assert_eq!((status, &body["code"]), (400, &json!("wrong_id_type")));
}

#[test]
fn the_golden_table_comes_from_the_rows() {
    let rights: Vec<String> = routes().iter().map(Route::right).map(|(m, p, r, o)| format!("{m} {p} [{r}] {o}")).collect();
    let expected = [
        "GET /greeting [] greet",
        "GET /v1/toys [donor auditor] list_toys",
        "POST /v1/toys/{id} [officer] make_toy",
        "GET /v1/toys/open [donor] careless_toy",
    ];
    assert_eq!(rights, expected);
    assert_eq!(roles!(ANY), Role::ALL.into_iter().collect::<Roles>().0);
}

#[test]
fn the_description_comes_from_the_rows() {
    let document = openapi::document(&routes());
    let at = |pointer: &str| document.pointer(pointer).cloned().unwrap_or_default();
    assert_eq!(at("/openapi"), json!("3.1.0"));
    let list = "/paths/~1v1~1toys/get";
    assert_eq!(at(&format!("{list}/operationId")), json!("list_toys"));
    assert_eq!(at(&format!("{list}/responses/200/content/application~1json/schema/$ref")), json!("#/components/schemas/ToyList"));
    let names: Vec<Value> = at(&format!("{list}/parameters")).as_array().into_iter().flatten().map(|p| p["name"].clone()).collect();
    let ranges = ["made_at", "made_at[gte]", "made_at[gt]", "made_at[lte]", "made_at[lt]"];
    assert_eq!(names, [&["grant"], &ranges[..], &["limit", "cursor", "order"]].concat());
    let make = "/paths/~1v1~1toys~1{id}/post";
    let statuses: Vec<String> = at(&format!("{make}/responses")).as_object().into_iter().flat_map(|map| map.keys().cloned()).collect();
    assert_eq!(statuses, ["201", "400", "401", "403", "404", "409", "412", "413", "415", "422", "428", "429", "500", "503"]);
    assert_eq!(at(&format!("{make}/parameters/0/schema/pattern")), json!("^grt_[0-9a-hjkmnp-tv-z]{26}$"));
    for (schema, closed) in [("NewToy", json!(false)), ("Part", json!(false)), ("Toy", json!(null))] {
        assert_eq!(at(&format!("/components/schemas/{schema}/additionalProperties")), closed, "{schema}");
    }
    assert_eq!(at("/paths/~1greeting/get/security"), json!([]));
}

/// Every `$ref` of the description leads somewhere.
#[test]
fn the_description_has_no_loose_ends() {
    fn references(value: &Value, found: &mut Vec<String>) {
        match value {
            Value::Object(map) => map.iter().for_each(|(key, inner)| match (key.as_str(), inner) {
                ("$ref", Value::String(text)) => found.push(text.clone()),
                _ => references(inner, found),
            }),
            Value::Array(list) => list.iter().for_each(|inner| references(inner, found)),
            _ => {}
        }
    }
    let (document, mut found) = (openapi::document(&routes()), Vec::new());
    references(&document, &mut found);
    assert!(found.len() > 10);
    for reference in found {
        assert!(document.pointer(reference.trim_start_matches('#')).is_some(), "{reference}");
    }
}
