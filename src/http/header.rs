//! What requests say in headers: the key of a retry, and the version that was read.

use actix_web::HttpRequest;
use actix_web::http::header::{self, HeaderMap};

use crate::refusal::{Code, Refusal};

/// The header that makes a retry safe.
pub const IDEMPOTENCY_KEY: &str = "idempotency-key";

/// Reads `Idempotency-Key`: once, 1–255 visible ASCII characters. Error: `idempotency_key_missing`, with the header to add.
pub fn idempotency_key(request: &HttpRequest) -> Result<&str, Refusal> {
    let key = only(request.headers(), IDEMPOTENCY_KEY).filter(|key| key.len() <= 255 && key.bytes().all(|b| b.is_ascii_graphic()));
    key.ok_or_else(|| {
        let path = request.path().trim_matches('/').rsplit('/').next().unwrap_or_default();
        let detail =
            format!("Add one header such as Idempotency-Key: {path}-0001, of 1 to 255 visible ASCII characters, new for each new request.");
        Refusal::new(Code::IdempotencyKeyMissing, detail)
    })
}

/// Reads `If-Match: "v3"` as version 3. Errors: `if_match_required` without the header, `version_mismatch` for a weak, starred, listed or
/// foreign tag, which can match no version.
pub fn if_match(request: &HttpRequest) -> Result<i64, Refusal> {
    if !request.headers().contains_key(header::IF_MATCH) {
        return Err(Refusal::new(
            Code::IfMatchRequired,
            "Add the header If-Match with the ETag of the object as you read it, such as \"v3\".",
        ));
    }
    let tag = only(request.headers(), header::IF_MATCH.as_str());
    let digits = tag.and_then(|tag| tag.strip_prefix("\"v")?.strip_suffix('"')).filter(|d| d.bytes().all(|b| b.is_ascii_digit()));
    let version = digits.and_then(|digits| digits.parse().ok()).filter(|version| etag(*version).as_str() == tag.unwrap_or_default());
    version.ok_or_else(|| Refusal::new(Code::VersionMismatch, "If-Match must hold one strong ETag as it was sent, such as \"v3\"."))
}

/// The version of a row that `If-Match` names. Errors: as [`if_match`].
pub fn version_read(request: &HttpRequest) -> Result<i32, Refusal> {
    i32::try_from(if_match(request)?).map_err(|_| Refusal::new(Code::VersionMismatch, Code::VersionMismatch.title()))
}

/// The strong ETag of a version.
pub fn etag(version: i64) -> String {
    format!("\"v{version}\"")
}

/// The header's value, if it was sent once and not empty. A header sent twice says two things, so neither is taken.
fn only<'r>(headers: &'r HeaderMap, name: &str) -> Option<&'r str> {
    let mut values = headers.get_all(name);
    let first = values.next()?.to_str().ok()?;
    (values.next().is_none() && !first.is_empty()).then_some(first)
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::test::TestRequest;

    #[test]
    fn the_key_is_one_visible_word() {
        let key = |value: &str| {
            let request = TestRequest::with_uri("/v1/donations").insert_header((IDEMPOTENCY_KEY, value)).to_http_request();
            idempotency_key(&request).map(String::from).map_err(|r| r.code)
        };
        assert_eq!(key("3f1c"), Ok("3f1c".to_string()));
        for bad in ["", "a b", &"a".repeat(256)] {
            assert_eq!(key(bad), Err(Code::IdempotencyKeyMissing), "{bad}");
        }
        let twice = TestRequest::default().append_header((IDEMPOTENCY_KEY, "a")).append_header((IDEMPOTENCY_KEY, "b")).to_http_request();
        assert!(idempotency_key(&twice).is_err());
        let missing = idempotency_key(&TestRequest::with_uri("/v1/donations").to_http_request()).map_err(|r| r.detail).map(String::from);
        assert!(missing.is_err_and(|detail| detail.contains("Idempotency-Key: donations-0001")));
    }

    #[test]
    fn only_a_strong_tag_of_ours_names_a_version() {
        let read =
            |value: &str| if_match(&TestRequest::default().insert_header((header::IF_MATCH, value)).to_http_request()).map_err(|r| r.code);
        assert_eq!(read("\"v3\""), Ok(3));
        for bad in ["", "*", "W/\"v3\"", "\"3\"", "\"v03\"", "\"v-3\"", "\"v3\", \"v4\"", "\"v\"", "v3", "\"v99999999999999999999\""] {
            assert_eq!(read(bad), Err(Code::VersionMismatch), "{bad}");
        }
        assert_eq!(if_match(&TestRequest::default().to_http_request()).map_err(|r| r.code), Err(Code::IfMatchRequired));
    }
}
