//! Request bodies and path identifiers, read strictly.

use std::future::{Ready, ready};

use actix_web::dev::Payload;
use actix_web::http::header;
use actix_web::web::{Bytes, BytesMut};
use actix_web::{FromRequest, HttpRequest};
use futures_util::future::LocalBoxFuture;
use futures_util::{Stream, StreamExt};

use crate::id::{Id, Kind};
use crate::json::{self, Value};
use crate::refusal::{Code, Refusal};

use super::problem::Problem;

/// A JSON body of at most `LIMIT` bytes.
pub struct Json<const LIMIT: usize = 1_048_576> {
    /// As it was sent: what an idempotency fingerprint covers.
    pub raw: Bytes,
}

impl<const LIMIT: usize> Json<LIMIT> {
    /// Reads the document, which borrows its texts from here. Error: `malformed_json`.
    pub fn parse(&self) -> Result<Value<'_>, Refusal> {
        json::parse(&self.raw)
    }
}

impl<const LIMIT: usize> FromRequest for Json<LIMIT> {
    type Error = Problem;
    type Future = LocalBoxFuture<'static, Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let (allowed, stated, payload) = (media_type(request, "application/json"), stated_length(request), payload.take());
        Box::pin(async move {
            allowed?;
            let raw = gather(payload, stated, LIMIT, || format!("At most {LIMIT} bytes are accepted here.")).await?;
            Ok(Json { raw })
        })
    }
}

/// How long a request says that its body is; 0 if it says nothing.
pub fn stated_length(request: &HttpRequest) -> usize {
    let stated = request.headers().get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok());
    stated.and_then(|text| text.parse().ok()).unwrap_or_default()
}

/// A whole body of at most `limit` bytes, in the room that it says it needs. Errors: `too_large`, in the words of `too_large`; it breaks off.
pub async fn gather<P, E>(mut payload: P, stated: usize, limit: usize, too_large: impl FnOnce() -> String) -> Result<Bytes, Problem>
where
    P: Stream<Item = Result<Bytes, E>> + Unpin,
{
    let mut body = BytesMut::with_capacity(stated.min(limit));
    while let Some(part) = payload.next().await {
        let part = part.map_err(|_| broken_off())?;
        if body.len() + part.len() > limit {
            return Err(Problem::new(Code::TooLarge, too_large()));
        }
        body.extend_from_slice(&part);
    }
    Ok(body.freeze())
}

/// What is wrong with a body that breaks off.
pub fn broken_off() -> Problem {
    Problem::new(Code::MalformedJson, "The body ended before it was complete.")
}

/// Refuses a body whose `Content-Type` is another than `wanted` (parameters aside): `unsupported_media_type`.
pub fn media_type(request: &HttpRequest, wanted: &str) -> Result<(), Problem> {
    let sent = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = sent.split(';').next().unwrap_or_default().trim();
    if essence.eq_ignore_ascii_case(wanted) && !request.headers().contains_key(header::CONTENT_ENCODING) {
        return Ok(());
    }
    Err(Problem::new(Code::UnsupportedMediaType, format!("Send Content-Type: {wanted}, without a Content-Encoding.")))
}

/// The `{id}` of the path, of one kind: another kind's is `wrong_id_type`.
pub struct PathId<K: Kind>(pub Id<K>);

impl<K: Kind> FromRequest for PathId<K> {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let text = request.match_info().get("id").ok_or_else(Refusal::not_found);
        ready(text.and_then(Id::parse).map(PathId).map_err(Problem))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::{Grant, GrantId};
    use actix_web::test::TestRequest;

    async fn sent(kind: &str, body: &str) -> Result<serde_json::Value, Code> {
        let request = TestRequest::default().insert_header((header::CONTENT_TYPE, kind.to_string())).set_payload(body.to_string());
        let (request, mut payload) = request.to_http_parts();
        let body = Json::<16>::from_request(&request, &mut payload).await.map_err(|p| p.0.code)?;
        body.parse().map(serde_json::Value::from).map_err(|refusal| refusal.code)
    }

    #[actix_web::test]
    async fn bodies_are_json_of_bounded_size() {
        assert_eq!(sent("application/json; charset=utf-8", "[1]").await, Ok(serde_json::json!([1])));
        assert_eq!(sent("text/plain", "[1]").await, Err(Code::UnsupportedMediaType));
        assert_eq!(sent("application/json", "").await, Err(Code::MalformedJson));
        assert_eq!(sent("application/json", "[1,2,3,4,5,6,7,8]").await, Err(Code::TooLarge));
    }

    #[actix_web::test]
    async fn a_path_names_one_kind() {
        let id = GrantId::from_stamp(7);
        let read = |text: String| async move {
            let request = TestRequest::default().param("id", text).to_http_request();
            PathId::<Grant>::extract(&request).await.map(|PathId(id)| id).map_err(|p| p.0.code)
        };
        assert_eq!(read(id.to_string()).await, Ok(id));
        assert_eq!(read(id.to_string().replace("grt", "lot")).await, Err(Code::WrongIdType));
    }
}
