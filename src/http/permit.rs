//! Permission as part of a handler's type: `Permit<ROLES>` is had only by a bearer with one of the roles.

use std::future::{Ready, ready};
use std::ops::Deref;
use std::sync::Arc;

use actix_web::dev::Payload;
use actix_web::http::header;
use actix_web::web::Data;
use actix_web::{FromRequest, HttpMessage, HttpRequest};

use crate::actor::{Actor, Roles};
use crate::directory::standing::Warrant;
use crate::refusal::{Code, Refusal};

use super::access::Access;
use super::limits;
use super::login::Login;
use super::problem::Problem;
use super::token::{Bearer, Verifier};

/// Proof that whoever asks bears a good token with one of the roles whose bits are in `ROLES`. Reads as the [`Actor`].
pub struct Permit<const ROLES: u8>(Arc<Bearer>);

impl<const ROLES: u8> Deref for Permit<ROLES> {
    type Target = Actor;

    fn deref(&self) -> &Actor {
        &self.0.actor
    }
}

impl<const ROLES: u8> Permit<ROLES> {
    /// The token that was shown, with what is left of it.
    pub fn bearer(&self) -> &Bearer {
        &self.0
    }

    /// The bearer, for what goes on after the answer has begun and judges them again.
    pub fn shared(&self) -> Arc<Bearer> {
        Arc::clone(&self.0)
    }

    /// What the writer judges again.
    pub fn warrant(&self) -> Warrant {
        let Bearer { actor, token, issued_at, .. } = self.bearer();
        Warrant { actor: actor.clone(), token: token.clone(), issued_at: *issued_at, admitted: Roles(ROLES) }
    }
}

impl<const ROLES: u8> FromRequest for Permit<ROLES> {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        const { assert!(ROLES != 0, "a route that nobody may use; an anonymous one takes no Permit") };
        ready(admit(request, Roles(ROLES)).map(Permit).map_err(Problem))
    }
}

/// The bearer of the request's token, if one of the roles is left to them. The route remembers the bearer with the request, so that a token is
/// looked at once.
pub(super) fn admit(request: &HttpRequest, wanted: Roles) -> Result<Arc<Bearer>, Refusal> {
    let known = request.extensions().get::<Arc<Bearer>>().cloned();
    let bearer = known.map_or_else(|| verify(request), Ok)?;
    if bearer.actor.roles.meets(wanted) {
        return Ok(bearer);
    }
    let yours = match bearer.actor.roles {
        none if none == Roles::default() => "none; an administrator must bind one to you".to_owned(),
        some => some.to_string(),
    };
    let detail = format!("This needs the role {}; yours: {yours}.", wanted.to_string().replace(' ', " or "));
    Err(Refusal::new(Code::Forbidden, detail).with("roles", wanted))
}

fn verify(request: &HttpRequest) -> Result<Arc<Bearer>, Refusal> {
    let verifier = request.app_data::<Data<Verifier>>().ok_or_else(|| Problem::internal("no token verifier is configured").0)?;
    let access = request.app_data::<Data<Access>>().ok_or_else(|| Problem::internal("nothing says what bearers may").0)?;
    // A token that is shown outright comes first; a browser shows its session's cookie instead.
    let login = request.app_data::<Data<Login>>().filter(|_| !request.headers().contains_key(header::AUTHORIZATION));
    if let Some(bearer) = login.map(|login| login.session(request)).transpose()?.flatten() {
        limits::signed_in(request, &bearer)?;
        return access.judge(bearer);
    }
    access.judge(limits::verify(request, verifier, bearer_token(request)?)?)
}

/// The token of the one `Authorization: Bearer` header. It is taken from nowhere else: addresses are logged.
fn bearer_token(request: &HttpRequest) -> Result<&str, Refusal> {
    let missing = || Refusal::new(Code::TokenMissing, Code::TokenMissing.title());
    let mut values = request.headers().get_all(header::AUTHORIZATION);
    let value = values.next().ok_or_else(missing)?;
    if values.next().is_some() {
        return Err(Refusal::new(Code::TokenMalformed, "The Authorization header must be sent once."));
    }
    let (scheme, token) = value.to_str().ok().and_then(|text| text.split_once(' ')).ok_or_else(missing)?;
    if !scheme.eq_ignore_ascii_case("bearer") || token.is_empty() {
        return Err(missing());
    }
    Ok(token)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::actor::Role;
    use crate::http::keys::Keys;
    use crate::time::Clock;
    use actix_web::test::TestRequest;

    const DONORS: u8 = Role::Donor as u8;
    const OFFICERS: u8 = Role::Officer as u8 | Role::Researcher as u8;

    #[actix_web::test]
    async fn roles_open_doors() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("issuer.pk8");
        Keys::create_local(&path).expect("a key");
        let keys = Keys::new("almoner").with_local(&path, None).expect("the key");
        let token = keys.issue(&Actor::operator("root"), 60, Clock::system().now(), "1").expect("a token");
        let access = Data::new(Access::over_empty_books(folder.path(), &keys));
        let verifier = Data::new(Verifier::new(keys, Clock::system()));
        let asked = || TestRequest::default().app_data(verifier.clone()).app_data(access.clone());
        let request = |value: &str| asked().insert_header((header::AUTHORIZATION, value)).to_http_request();

        let good = request(&format!("bearer {token}"));
        assert_eq!(Permit::<OFFICERS>::extract(&good).await.map(|p| p.subject.clone()).ok().as_deref(), Some("root"));
        let refused = Permit::<DONORS>::extract(&good).await.map(|_| ()).expect_err("no donor").0;
        assert_eq!((refused.code, refused.params), (Code::Forbidden, vec![("roles", "donor".to_string())]));
        for (value, code) in [
            ("Bearer", Code::TokenMissing),
            ("Bearer ", Code::TokenMissing),
            ("Basic cm9vdA==", Code::TokenMissing),
            ("Bearer  x", Code::TokenMalformed),
            ("Bearer x", Code::TokenMalformed),
        ] {
            let refused = Permit::<OFFICERS>::extract(&request(value)).await.map(|_| ()).map_err(|p| p.0.code);
            assert_eq!(refused, Err(code), "{value}");
        }
        let twice =
            asked().append_header((header::AUTHORIZATION, "Bearer a")).append_header((header::AUTHORIZATION, "Bearer b")).to_http_request();
        assert_eq!(Permit::<OFFICERS>::extract(&twice).await.map(|_| ()).map_err(|p| p.0.code), Err(Code::TokenMalformed));
    }
}
