//! Refusals as RFC 9457 problems: the one place where a code gets its HTTP status.
//!
//! Whatever goes wrong on the way in or out becomes a [`Problem`]; the framework's own errors are turned into one by
//! [`super::request`]. Internal text goes to the log with the request's name, never into an answer.

use std::fmt;

use actix_web::http::{StatusCode, header};
use actix_web::{HttpResponse, ResponseError, web};
use serde_json::{Map, Value, json};

use crate::refusal::{Code, FieldCode, Refusal};
use crate::store::Fault;

use super::request;

/// The media type of every error.
pub const MEDIA_TYPE: &str = "application/problem+json";

/// A refusal on its way to the client.
#[derive(Debug, Clone, PartialEq)]
pub struct Problem(pub Refusal);

impl Problem {
    /// A problem with its particulars.
    pub fn new(code: Code, detail: impl Into<String>) -> Problem {
        Problem(Refusal::new(code, detail))
    }

    /// Something went wrong on our side: the cause goes to the log, the client gets the request's name.
    pub fn internal(cause: impl fmt::Display) -> Problem {
        tracing::error!(%cause, "internal error");
        Problem::new(Code::Internal, Code::Internal.title())
    }

    fn body(&self) -> Value {
        let Refusal { code, detail, params, errors } = &self.0;
        let params: Map<String, Value> = params.iter().map(|(name, value)| (name.to_string(), value.as_str().into())).collect();
        let error = |e: &crate::refusal::FieldError| json!({"pointer": e.pointer, "code": e.code.slug(), "detail": e.detail});
        json!({
            "type": format!("/problems/{code}"),
            "title": code.title(),
            "status": status(*code).as_u16(),
            "code": code.slug(),
            "detail": detail,
            "remedy": code.remedy(),
            "request_id": request::current(),
            "params": params,
            "errors": errors.iter().map(error).collect::<Vec<_>>(),
        })
    }
}

/// The status of each code.
pub const fn status(code: Code) -> StatusCode {
    use Code::*;
    match code {
        MalformedJson | UnknownParameter | InvalidParameter | WrongIdType | IdempotencyKeyMissing => StatusCode::BAD_REQUEST,
        TokenMissing
        | TokenMalformed
        | TokenSignatureInvalid
        | TokenExpired
        | TokenNotYetValid
        | TokenAudienceInvalid
        | TokenIssuerUnknown
        | TokenAlgNotAllowed
        | TokenRevoked => StatusCode::UNAUTHORIZED,
        Forbidden | SelfApproval | SameApproverTwice | ApprovalLimitExceeded | ConflictOfInterest => StatusCode::FORBIDDEN,
        NotFound => StatusCode::NOT_FOUND,
        MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
        NotAcceptable => StatusCode::NOT_ACCEPTABLE,
        InsufficientCredits | GrantNotActive | LotExpired | TermsNotMet | AlreadyDecided | RefundExceedsCharge | HoldNotOpen
        | HoldsOpen | UsageConflict | DuplicateExternalId | AlreadyReversed | NotReversible | Unattributed => StatusCode::CONFLICT,
        VersionMismatch => StatusCode::PRECONDITION_FAILED,
        IfMatchRequired => StatusCode::PRECONDITION_REQUIRED,
        TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        UnsupportedMediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
        ValidationFailed | IdempotencyKeyReused | RateMissing => StatusCode::UNPROCESSABLE_ENTITY,
        Internal => StatusCode::INTERNAL_SERVER_ERROR,
        RateLimited => StatusCode::TOO_MANY_REQUESTS,
        Busy | ReadOnly => StatusCode::SERVICE_UNAVAILABLE,
    }
}

/// The code for a status that the framework chose itself.
pub fn code_of(status: StatusCode) -> Code {
    match status.as_u16() {
        404 => Code::NotFound,
        405 => Code::MethodNotAllowed,
        406 => Code::NotAcceptable,
        413 => Code::TooLarge,
        415 => Code::UnsupportedMediaType,
        429 => Code::RateLimited,
        400..500 => Code::InvalidParameter,
        _ => Code::Internal,
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Problem {
        Problem(refusal)
    }
}

impl From<Fault> for Problem {
    fn from(fault: Fault) -> Problem {
        Problem(fault.into_refusal())
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl ResponseError for Problem {
    fn status_code(&self) -> StatusCode {
        status(self.0.code)
    }

    fn error_response(&self) -> HttpResponse {
        let mut response = HttpResponse::build(self.status_code());
        response.insert_header((header::CONTENT_TYPE, MEDIA_TYPE)).insert_header((header::CACHE_CONTROL, "no-store"));
        match self.0.code {
            // RFC 6750 §3: without credentials no error is named.
            Code::TokenMissing => response.insert_header((header::WWW_AUTHENTICATE, "Bearer")),
            code if status(code) == StatusCode::UNAUTHORIZED => {
                let challenge = format!("Bearer error=\"invalid_token\", error_description=\"{}\"", code.title());
                response.insert_header((header::WWW_AUTHENTICATE, challenge))
            }
            Code::Busy => response.insert_header((header::RETRY_AFTER, "1")),
            Code::RateLimited => {
                let seconds = self.0.params.iter().find(|(name, _)| *name == "retry_after").map_or("1", |(_, seconds)| seconds);
                response.insert_header((header::RETRY_AFTER, seconds))
            }
            _ => &mut response,
        };
        response.body(self.body().to_string())
    }
}

const STYLE: &str = ":root{color-scheme:light dark}body{font:1rem/1.5 system-ui,sans-serif;max-width:40rem;margin:3rem auto;padding:0 1rem}\
code{font-family:ui-monospace,monospace}dt{margin-top:1rem;font-weight:600}dd{margin:0}";

/// The page behind a problem's `type`: what the code means and what to do, and for `validation_failed` the codes of fields.
pub fn page(slug: &str) -> Result<String, Refusal> {
    let code = Code::of_slug(slug).ok_or_else(Refusal::not_found)?;
    let fields = if code == Code::ValidationFailed { FieldCode::ALL } else { &[] };
    let entry = |f: &FieldCode| format!("<dt><code>{f}</code></dt><dd>{} {}</dd>", escape(f.title()), escape(f.remedy()));
    let listed: String = fields.iter().map(entry).collect();
    let (title, remedy, number) = (escape(code.title()), escape(code.remedy()), status(code).as_u16());
    Ok(format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">\
         <title>{code}</title><style>{STYLE}</style></head><body><main><h1><code>{code}</code></h1><p>{title}</p>\
         <dl><dt>What to do</dt><dd>{remedy}</dd><dt>HTTP status</dt><dd>{number}</dd>{listed}</dl></main></body></html>"
    ))
}

/// `GET /problems/{slug}`.
pub async fn explain(slug: web::Path<String>) -> Result<HttpResponse, Problem> {
    let html = page(&slug)?;
    Ok(HttpResponse::Ok().content_type("text/html; charset=utf-8").insert_header((header::CACHE_CONTROL, "max-age=3600")).body(html))
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::body::to_bytes;

    async fn answer(refusal: Refusal) -> (HttpResponse<()>, Value) {
        let (head, body) = Problem(refusal).error_response().into_parts();
        let bytes = to_bytes(body).await.expect("a body");
        (head, serde_json::from_slice(&bytes).expect("JSON"))
    }

    #[actix_web::test]
    async fn a_refusal_is_told_in_full() {
        let refused = Refusal::field("/a", FieldCode::Required, "The field is missing.").with("unit", "USD");
        let (head, body) = answer(refused).await;
        assert_eq!(head.status(), StatusCode::UNPROCESSABLE_ENTITY);
        assert_eq!(head.headers().get(header::CONTENT_TYPE).expect("a type"), MEDIA_TYPE);
        assert_eq!((&body["type"], &body["status"]), (&json!("/problems/validation_failed"), &json!(422)));
        assert_eq!(body["errors"][0], json!({"pointer": "/a", "code": "required", "detail": "The field is missing."}));
        assert_eq!(body["params"], json!({"unit": "USD"}));
    }

    #[actix_web::test]
    async fn headers_that_belong_to_a_status_are_sent() {
        for (code, name, value) in [
            (Code::TokenMissing, "www-authenticate", "Bearer"),
            (Code::TokenExpired, "www-authenticate", "Bearer error=\"invalid_token\""),
            (Code::Busy, "retry-after", "1"),
        ] {
            let (head, _) = answer(Refusal::new(code, "x")).await;
            let sent = head.headers().get(name).and_then(|v| v.to_str().ok()).unwrap_or_default();
            assert!(sent.starts_with(value), "{code}: {sent}");
        }
    }

    #[test]
    fn every_code_has_an_error_status_and_a_page() {
        for code in Code::ALL {
            assert!(status(*code).is_client_error() || status(*code).is_server_error());
            assert!(page(code.slug()).is_ok_and(|html| html.contains("color-scheme:light dark")), "{code}");
        }
        assert!(page("nothing").is_err());
        assert!(page("token_missing").is_ok_and(|html| !html.contains("<script")));
    }
}
