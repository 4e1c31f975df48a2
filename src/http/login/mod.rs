//! Signing in with a browser: the authorization-code flow (RFC 6749 §4.1) with PKCE (RFC 7636), by the first provider that is named.
//!
//! `GET /login?return_to=/path` sends the browser to the provider, which sends it back to `GET /login/callback`; `POST /logout` ends it. What the
//! browser keeps is a random name and nothing else. Behind it the session is in this process's memory, not in a token of our own issuer, so that
//! the person stays who the provider says (issuer and subject), so that logging out really ends it, and so that nothing signed can be carried
//! away. The price: after a restart, and at another process, the browser signs in again. A session opens what is only read; anything
//! else must come from our own pages (`Sec-Fetch-Site`, or `Origin`). Bounds: an hour a session, ten minutes a sign-in, twice [`SIZE`] of
//! each.

mod exchange;

use std::sync::{Arc, Mutex, PoisonError};

use actix_web::http::{Method, header};
use actix_web::web::{self, Data, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};

use crate::refusal::{Code, Refusal};
use crate::time::{Clock, SECOND, Time};

use super::issuers::{Client, Endpoints, Issuer, Issuers};
use super::memo::Memo;
use super::page;
use super::problem::Problem;
use super::query::{Form, Param, Query};
use super::token::Bearer;

/// How many sign-ins and sessions are remembered in each of two generations.
const SIZE: usize = 10_000;
/// How long a session lasts.
const SESSION: i64 = 3600 * SECOND;
/// How long a sign-in may take.
const SIGN_IN: i64 = 600 * SECOND;
const RETURN_TO: &[Param] = &[Param::one("return_to", Form::Text)];

/// How browsers sign in.
#[derive(Clone)]
pub struct Settings {
    /// Our name at the provider.
    pub client: String,
    /// Our secret there; a client without one is a public client.
    pub secret: Option<String>,
    /// Where the provider sends the browser back to: `/login/callback` as browsers see it.
    pub redirect: String,
}

/// A sign-in under way.
#[derive(Clone)]
struct Begun {
    nonce: String,
    verifier: String,
    return_to: String,
    at: Time,
}

/// Signs browsers in, and knows who is.
pub struct Login {
    settings: Settings,
    issuers: Arc<Issuers>,
    issuer: Arc<Issuer>,
    client: Client,
    clock: Clock,
    begun: Mutex<Memo<String, Begun>>,
    /// By the SHA-256 of the cookie: whoever reads this memory can't make one.
    sessions: Mutex<Memo<[u8; 32], Arc<Bearer>>>,
}

impl Login {
    /// Signs in by the first provider. Errors: there is none, its endpoints can't be discovered, the way back is neither https nor on this
    /// machine, or tokens for the ledger could be mistaken for those of the sign-in.
    pub fn new(settings: Settings, issuers: &Arc<Issuers>, clock: Clock) -> Result<Login, String> {
        let issuer = issuers.all().first().ok_or("--login-client-id needs an --issuer")?;
        if !issuer.is_discovered() {
            return Err(format!("to sign in by {} it must be discovered, so name it without the address of its keys", issuer.name()));
        }
        if settings.client == issuers.terms().audience {
            return Err("--login-client-id must differ from --issuer-audience, or ID tokens would pass for access tokens".into());
        }
        super::issuers::may_come_back(&settings.redirect)?;
        let client = Client::new(issuers.terms().loopback);
        let (begun, sessions) = (Mutex::new(Memo::new(SIZE)), Mutex::new(Memo::new(SIZE)));
        Ok(Login { settings, issuers: Arc::clone(issuers), issuer: Arc::clone(issuer), client, clock, begun, sessions })
    }

    fn is_secure(&self) -> bool {
        self.settings.redirect.starts_with("https:")
    }

    /// The name of the session's cookie. Browsers take the first form only over https, from this host, for all of it.
    fn cookie(&self) -> &'static str {
        if self.is_secure() { "__Host-almoner" } else { "almoner" }
    }

    fn endpoints(&self) -> Result<Endpoints, Refusal> {
        let known = self.issuer.held().endpoints.clone();
        known.ok_or_else(|| Refusal::new(Code::Busy, "The identity provider has not answered yet."))
    }

    fn set(&self, name: &str, value: &str, path: &str, age: i64) -> String {
        let secure = if self.is_secure() { "; Secure" } else { "" };
        format!("{name}={value}; Path={path}; Max-Age={}; HttpOnly; SameSite=Lax{secure}", age / SECOND)
    }

    /// Begins a sign-in: where to send the browser, and the state that it must bring back.
    fn begin(&self, return_to: &str) -> Result<(String, String), Refusal> {
        let endpoints = self.endpoints()?;
        let [state, nonce, verifier] = [random()?, random()?, random()?];
        let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(&verifier));
        let query = exchange::form(&[
            ("response_type", "code"),
            ("client_id", &self.settings.client),
            ("redirect_uri", &self.settings.redirect),
            ("scope", "openid"),
            ("state", &state),
            ("nonce", &nonce),
            ("code_challenge", &challenge),
            ("code_challenge_method", "S256"),
        ]);
        let sign = if endpoints.authorization.contains('?') { '&' } else { '?' };
        let begun = Begun { nonce, verifier, return_to: return_to.into(), at: self.clock.now() };
        self.begun.lock().unwrap_or_else(PoisonError::into_inner).put(state.clone(), begun);
        Ok((format!("{}{sign}{query}", endpoints.authorization), state))
    }

    /// The sign-in that this state belongs to, which is used up. It must be this browser's.
    fn take(&self, state: &str, of_browser: Option<&str>) -> Result<Begun, Refusal> {
        let unknown =
            || Refusal::new(Code::InvalidParameter, "This sign-in was not begun by this browser, or too long ago. Begin again at /login.");
        let begun = self.begun.lock().unwrap_or_else(PoisonError::into_inner).remove(&state.to_owned());
        let begun = begun.filter(|begun| of_browser == Some(state) && self.clock.now().since(begun.at) < SIGN_IN);
        begun.ok_or_else(unknown)
    }

    fn open(&self, bearer: Bearer) -> Result<String, Refusal> {
        let name = random()?;
        let digest: [u8; 32] = Sha256::digest(&name).into();
        let token = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        let bearer = Bearer { token, expires_at: self.clock.now().plus(SESSION), ..bearer };
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner).put(digest, Arc::new(bearer));
        Ok(name)
    }

    /// Who is signed in by the request's cookie; nobody where it has none. Errors: `token_expired` where the session has ended, `forbidden`
    /// where the request would change something and does not come from our own pages.
    pub fn session(&self, request: &HttpRequest) -> Result<Option<Arc<Bearer>>, Refusal> {
        let Some(name) = cookie(request, self.cookie()) else { return Ok(None) };
        self.check_origin(request)?;
        let digest: [u8; 32] = Sha256::digest(name).into();
        let found = self.sessions.lock().unwrap_or_else(PoisonError::into_inner).get(&digest);
        let found = found.filter(|bearer| self.clock.now() < bearer.expires_at);
        found.map(Some).ok_or_else(|| Refusal::new(Code::TokenExpired, "The session has ended. Sign in again at /login."))
    }

    /// Lets through what only reads, and what the browser says comes from our own pages (OWASP's Fetch Metadata policy).
    fn check_origin(&self, request: &HttpRequest) -> Result<(), Refusal> {
        let said = |name: &str| request.headers().get(name).and_then(|value| value.to_str().ok());
        let own = match said("sec-fetch-site") {
            Some(site) => site == "same-origin",
            None => {
                said("origin").is_some_and(|origin| self.settings.redirect.strip_prefix(origin).is_some_and(|rest| rest.starts_with('/')))
            }
        };
        if own || matches!(*request.method(), Method::GET | Method::HEAD) {
            return Ok(());
        }
        Err(Refusal::new(Code::Forbidden, "With a session's cookie this must come from the ledger's own pages; others send a token."))
    }
}

/// 32 random bytes as text.
fn random() -> Result<String, Refusal> {
    let mut bytes = [0u8; 32];
    aws_lc_rs::rand::fill(&mut bytes).map_err(|_| Problem::internal("the machine gives no random numbers").0)?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}

/// The value of a cookie that was sent once.
fn cookie<'r>(request: &'r HttpRequest, name: &str) -> Option<&'r str> {
    let lines = request.headers().get_all(header::COOKIE).filter_map(|value| value.to_str().ok());
    let mut values = lines.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('=')).filter(|(n, _)| *n == name);
    let (_, value) = values.next()?;
    values.next().is_none().then_some(value)
}

/// Whether it is a path of ours, and can't be read by a browser as another host.
fn is_own_path(text: &str) -> bool {
    let plain = text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\');
    plain && text.starts_with('/') && !text.starts_with("//")
}

const STATE: &str = "almoner-login";

/// `GET /login`.
async fn begin(request: HttpRequest, login: Data<Login>) -> Result<HttpResponse, Problem> {
    let query = Query::parse(request.query_string(), RETURN_TO.iter())?;
    let return_to = query.text("return_to").unwrap_or("/");
    if !is_own_path(return_to) {
        return Err(Problem::new(Code::InvalidParameter, "return_to must be a path of this service, such as /docs/."));
    }
    let (address, state) = login.begin(return_to)?;
    Ok(see_other(&address, &[login.set(STATE, &state, "/login", SIGN_IN)]))
}

/// `GET /login/callback`.
async fn complete(request: HttpRequest, login: Data<Login>) -> Result<HttpResponse, Problem> {
    // The provider may add what it likes (RFC 6749 §4.1.2), so this query is not read strictly; but nothing may stand there twice.
    let unreadable = |_| Problem::new(Code::InvalidParameter, "The provider's answer can't be read.");
    let said = web::Query::<Vec<(String, String)>>::from_query(request.query_string()).map_err(unreadable)?.into_inner();
    let one = |name: &str| {
        let mut values = said.iter().filter(|(n, _)| n == name).map(|(_, value)| value.as_str());
        let first = values.next();
        first.filter(|_| values.next().is_none())
    };
    let begun = login.take(one("state").unwrap_or_default(), cookie(&request, STATE))?;
    let endpoints = login.endpoints()?;
    // RFC 9207: which provider it was that answered.
    if one("iss").map_or(endpoints.names_itself, |issuer| issuer != login.issuer.name()) {
        return Err(Problem::new(Code::TokenIssuerUnknown, "Another issuer answered than was asked."));
    }
    let Some(code) = one("code").map(str::to_owned) else {
        let error: String = one("error").unwrap_or("no code").chars().filter(|c| c.is_ascii_alphanumeric() || *c == '_').take(64).collect();
        return Err(Problem::new(Code::Forbidden, format!("The identity provider let nobody in: {error}.")));
    };
    let (asking, return_to) = (login.clone(), begun.return_to.clone());
    let bearer = page::blocking(move || exchange::redeem(&asking, &endpoints, &begun, &code)).await??;
    let name = login.open(bearer)?;
    let cookies = [login.set(login.cookie(), &name, "/", SESSION), login.set(STATE, "", "/login", 0)];
    Ok(see_other(&return_to, &cookies))
}

/// `POST /logout`.
async fn end(request: HttpRequest, login: Data<Login>) -> Result<HttpResponse, Problem> {
    login.check_origin(&request)?;
    if let Some(name) = cookie(&request, login.cookie()) {
        let digest: [u8; 32] = Sha256::digest(name).into();
        login.sessions.lock().unwrap_or_else(PoisonError::into_inner).remove(&digest);
    }
    let mut response = HttpResponse::NoContent();
    response.insert_header((header::SET_COOKIE, login.set(login.cookie(), "", "/", 0)));
    Ok(response.insert_header((header::CACHE_CONTROL, "no-store")).finish())
}

fn see_other(address: &str, cookies: &[String]) -> HttpResponse {
    let mut response = HttpResponse::SeeOther();
    response.insert_header((header::LOCATION, address)).insert_header((header::CACHE_CONTROL, "no-store"));
    for cookie in cookies {
        response.append_header((header::SET_COOKIE, cookie.as_str()));
    }
    response.insert_header((header::REFERRER_POLICY, "no-referrer")).finish()
}

/// Registers the pages of signing in.
pub fn configure(config: &mut ServiceConfig) {
    config.service(web::resource("/login").route(web::get().to(begin)));
    config.service(web::resource("/login/callback").route(web::get().to(complete)));
    config.service(web::resource("/logout").route(web::post().to(end)));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_path_of_ours_is_returned_to() {
        for good in ["/", "/docs/", "/v1/grants?state=requested", "/a//b"] {
            assert!(is_own_path(good), "{good}");
        }
        for bad in
            ["", "docs", "//evil.example", "/\\evil.example", "\\\\evil.example", "https://evil.example", "/\t/evil.example", "/é", "/ a"]
        {
            assert!(!is_own_path(bad), "{bad}");
        }
    }
}
