//! Every request has a name, which its span, its answer's header and its problem document carry.
//!
//! Outermost stands `TracingLogger::<Span>`, within it [`named`]: `App::new().wrap(from_fn(named)).wrap(TracingLogger::<Span>::new())`.
//! An inbound `X-Request-Id` of 1–64 plain characters is kept, any other replaced by a fresh UUIDv7. Errors that the framework made itself are
//! replaced here by problem documents, so no answer escapes in another form.

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{self, HeaderName, HeaderValue};
use actix_web::middleware::Next;
use actix_web::{Error, HttpMessage, ResponseError};
use tracing::field::Empty;
use tracing_actix_web::{RequestId, RootSpanBuilder};

use crate::refusal::Code;

use super::problem::{MEDIA_TYPE, Problem, code_of};

const HEADER: HeaderName = HeaderName::from_static("x-request-id");

tokio::task_local! {
    static NAME: String;
}

/// The name of the request being answered; empty outside of one.
pub fn current() -> String {
    NAME.try_with(String::clone).unwrap_or_default()
}

/// The middleware that names requests and sees to it that every error is a problem document.
pub async fn named(request: ServiceRequest, next: Next<impl MessageBody + 'static>) -> Result<ServiceResponse<BoxBody>, Error> {
    let name = name_of(&request);
    let header = HeaderValue::from_str(&name).map_err(Problem::internal)?;
    NAME.scope(name, async move {
        let mut response = as_problem(next.call(request).await?.map_into_boxed_body());
        response.headers_mut().insert(HEADER, header);
        Ok(response)
    })
    .await
}

fn as_problem(response: ServiceResponse<BoxBody>) -> ServiceResponse<BoxBody> {
    let status = response.status();
    let told = response.headers().get(header::CONTENT_TYPE).is_some_and(|kind| kind == MEDIA_TYPE);
    if told || !(status.is_client_error() || status.is_server_error()) {
        return response;
    }
    let code = code_of(status);
    if code == Code::Internal
        && let Some(cause) = response.response().error()
    {
        tracing::error!(%cause, "internal error");
    }
    let allow = response.headers().get(header::ALLOW).cloned();
    let mut problem = Problem::new(code, code.title()).error_response();
    if let Some(methods) = allow {
        problem.headers_mut().insert(header::ALLOW, methods);
    }
    response.into_response(problem)
}

fn name_of(request: &ServiceRequest) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"._-".contains(&b);
    let inbound = request.headers().get(&HEADER).and_then(|value| value.to_str().ok());
    let kept = inbound.filter(|name| (1..=64).contains(&name.len()) && name.bytes().all(plain));
    let fresh = || request.extensions().get::<RequestId>().map(RequestId::to_string).unwrap_or_default();
    kept.map_or_else(fresh, String::from)
}

/// Builds the span of a request: its name, method, route and status. The query is left out, since it may name persons.
pub struct Span;

impl RootSpanBuilder for Span {
    fn on_request_start(request: &ServiceRequest) -> tracing::Span {
        let (name, method) = (name_of(request), request.method().as_str());
        tracing::info_span!("request", request_id = name, method, path = request.path(), status = Empty)
    }

    fn on_request_end<B: MessageBody>(span: tracing::Span, outcome: &Result<ServiceResponse<B>, Error>) {
        let status = match outcome {
            Ok(response) => response.status(),
            Err(error) => error.as_response_error().status_code(),
        };
        span.record("status", status.as_u16());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::middleware::from_fn;
    use actix_web::test::{TestRequest, call_service, init_service, read_body_json};
    use actix_web::{App, HttpResponse, web};
    use serde_json::Value;
    use tracing_actix_web::TracingLogger;

    async fn ask(name: Option<&str>, path: &str) -> (String, Value) {
        let ours = || async { Err::<HttpResponse, Problem>(Problem::new(Code::Forbidden, "x")) };
        let theirs = || async { Err::<HttpResponse, Error>(actix_web::error::ErrorBadGateway("secret")) };
        let routes = App::new().route("/ours", web::get().to(ours)).route("/theirs", web::get().to(theirs));
        let app = init_service(routes.wrap(from_fn(named)).wrap(TracingLogger::<Span>::new())).await;
        let request = name.into_iter().fold(TestRequest::with_uri(path), |r, n| r.insert_header((HEADER, n)));
        let response = call_service(&app, request.to_request()).await;
        let sent = response.headers().get(HEADER).and_then(|v| v.to_str().ok()).unwrap_or_default().to_string();
        (sent, read_body_json(response).await)
    }

    #[actix_web::test]
    async fn a_plain_name_is_kept_and_another_replaced() {
        let long = "a".repeat(65);
        assert_eq!(ask(Some("run-7.a_B"), "/ours").await.0, "run-7.a_B");
        for bad in ["", "a b", "a\"b", &long] {
            let (name, body) = ask(Some(bad), "/ours").await;
            assert_eq!((name.len(), name.as_bytes().get(14)), (36, Some(&b'7')), "{name}");
            assert_eq!(body["request_id"], name);
        }
    }

    #[actix_web::test]
    async fn errors_of_the_framework_become_problems() {
        for (path, code) in [("/ours", "forbidden"), ("/nowhere", "not_found"), ("/theirs", "internal")] {
            let (name, body) = ask(None, path).await;
            assert_eq!((&body["code"], &body["request_id"]), (&code.into(), &name.into()), "{path}");
            assert!(!body.to_string().contains("secret"));
        }
    }
}
