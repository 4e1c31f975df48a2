//! The keys that tokens are checked with: our own issuer's, and those of identity providers, from files or as [`super::issuers`] keeps them.
//!
//! Only public keys of asymmetric algorithms are taken, each pinned to one algorithm. What comes from files is fixed while the process runs.
//! It may not know what tokens say beyond issuer and key id. Nothing is fetched here.

use std::collections::HashMap;
use std::fs;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, PublicKeyUse};
use jsonwebtoken::{Algorithm, AlgorithmFamily, DecodingKey, EncodingKey, Header};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::actor::{Actor, Role};
use crate::json;
use crate::time::{SECOND, Time};

use super::issuers::{Issuer, Issuers};

/// The algorithms a token may be signed with.
pub const ALGORITHMS: [Algorithm; 9] = [
    Algorithm::EdDSA,
    Algorithm::ES256,
    Algorithm::ES384,
    Algorithm::RS256,
    Algorithm::RS384,
    Algorithm::RS512,
    Algorithm::PS256,
    Algorithm::PS384,
    Algorithm::PS512,
];

/// Keys taken of one set.
const SET: usize = 100;
/// The smallest RSA modulus taken, in bits.
const RSA_BITS: usize = 2048;

/// A public key and the one algorithm it is pinned to.
pub struct Key {
    /// Its name within its issuer, if it has one.
    pub id: Option<String>,
    /// The only algorithm accepted with it.
    pub algorithm: Algorithm,
    /// The key itself.
    pub public: DecodingKey,
}

/// Our own issuer.
struct Local {
    issuer: String,
    id: String,
    private: EncodingKey,
}

/// All keys of one process.
#[derive(Default)]
pub struct Keys {
    issuers: HashMap<String, Vec<Key>>,
    local: Option<Local>,
    audience: String,
    providers: Option<Arc<Issuers>>,
}

impl Keys {
    /// No keys yet; tokens must be made for `audience`.
    pub fn new(audience: &str) -> Keys {
        Keys { audience: audience.into(), ..Keys::default() }
    }

    /// Makes a key pair for the local issuer in a new file that only its owner may read. An existing file is never overwritten.
    pub fn create_local(path: &Path) -> Result<(), String> {
        let failed = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
        let pair = Ed25519KeyPair::generate().map_err(|e| failed(&e))?;
        let document = pair.to_pkcs8v1().map_err(|e| failed(&e))?;
        let mut options = fs::OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.open(path).map_err(|e| failed(&e))?;
        file.write_all(document.as_ref()).and_then(|()| file.sync_all()).map_err(|e| failed(&e))
    }

    /// Adds the local issuer from its key file, under `issuer` or `almoner-local:` and the key's id. A key file that others may read is refused.
    pub fn with_local(mut self, path: &Path, issuer: Option<&str>) -> Result<Keys, String> {
        let failed = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let mode = fs::metadata(path).map_err(|e| failed(&e))?.permissions().mode();
            if mode & 0o077 != 0 {
                return Err(failed(&"others than its owner may read the key; set its mode to 600"));
            }
        }
        let document = fs::read(path).map_err(|e| failed(&e))?;
        let pair = Ed25519KeyPair::from_pkcs8(&document).map_err(|e| failed(&e))?;
        let public = pair.public_key().as_ref();
        let id: String = Sha256::digest(public).iter().take(6).map(|byte| format!("{byte:02x}")).collect();
        let issuer = issuer.map_or_else(|| format!("almoner-local:{id}"), String::from);
        let key = Key { id: Some(id.clone()), algorithm: Algorithm::EdDSA, public: DecodingKey::from_ed_der(public) };
        self.add(&issuer, vec![key])?;
        self.local = Some(Local { issuer, id, private: EncodingKey::from_ed_der(&document) });
        Ok(self)
    }

    /// Adds an identity provider's keys: the text of `{"issuer":"https://…","keys":[…]}`, the keys as in RFC 7517.
    pub fn with_file(mut self, text: &[u8]) -> Result<Keys, String> {
        let document = Value::from(json::parse(text).map_err(|refusal| refusal.detail)?);
        let issuer = document.get("issuer").and_then(Value::as_str).filter(|issuer| !issuer.is_empty());
        let issuer = issuer.ok_or("the key file must name its issuer")?;
        let listed = document.get("keys").and_then(Value::as_array).filter(|keys| !keys.is_empty());
        let keys = listed.ok_or("the key file must list keys")?.iter().map(read_key).collect::<Result<Vec<Key>, String>>()?;
        let named = |key: &&Key| keys.iter().filter(|other| other.id == key.id).count() == 1;
        if keys.len() > 1 && !keys.iter().all(|key| key.id.is_some() && named(&key)) {
            return Err("of several keys each must have a kid of its own".into());
        }
        self.add(issuer, keys)?;
        Ok(self)
    }

    /// Adds the providers whose keys are fetched. Error: one of them has a key file too.
    pub fn with_providers(mut self, providers: Arc<Issuers>) -> Result<Keys, String> {
        if let Some(twice) = providers.all().iter().find(|provider| self.issuers.contains_key(provider.name())) {
            return Err(format!("the issuer {} has a key file; remove it, or don't name the issuer", twice.name()));
        }
        self.providers = Some(providers);
        Ok(self)
    }

    /// The providers whose keys are fetched.
    pub fn providers(&self) -> Option<&Arc<Issuers>> {
        self.providers.as_ref()
    }

    /// The provider of that name, if its keys are fetched.
    pub fn provider(&self, issuer: &str) -> Option<(&Issuers, &Issuer)> {
        let providers = self.providers.as_ref()?;
        Some((providers, providers.find(issuer)?))
    }

    /// Moves whenever a key that was good may be so no longer.
    pub fn epoch(&self) -> u64 {
        self.providers.as_ref().map_or(0, |providers| providers.epoch())
    }

    fn add(&mut self, issuer: &str, keys: Vec<Key>) -> Result<(), String> {
        match self.issuers.insert(issuer.into(), keys) {
            None => Ok(()),
            Some(_) => Err(format!("two key files name the issuer {issuer:?}")),
        }
    }

    /// The audience that tokens must name.
    pub fn audience(&self) -> &str {
        &self.audience
    }

    /// The keys of an issuer from files; none if nobody here knows it.
    pub fn of(&self, issuer: &str) -> &[Key] {
        self.issuers.get(issuer).map(Vec::as_slice).unwrap_or_default()
    }

    /// The local issuer's name, by which its subjects are known in the ledger.
    pub fn local_issuer(&self) -> Option<&str> {
        self.local.as_ref().map(|local| local.issuer.as_str())
    }

    /// Signs a token of the local issuer for an actor, valid from `now` for `ttl` seconds. `jti` must be new each time.
    pub fn issue(&self, actor: &Actor, ttl: i64, now: Time, jti: &str) -> Result<String, String> {
        let local = self.local.as_ref().ok_or("there is no local issuer; run almoner init")?;
        let second = now.micros().div_euclid(SECOND);
        let roles: Vec<&str> = Role::ALL.into_iter().filter(|role| actor.has(*role)).map(Role::word).collect();
        let mut claims = json!({
            "iss": local.issuer, "sub": actor.subject, "aud": self.audience, "jti": jti,
            "iat": second, "nbf": second, "exp": second.saturating_add(ttl), "roles": roles, "projects": actor.projects,
        });
        if let Some(donor) = actor.donor {
            claims["donor"] = json!(donor);
        }
        if let Some(provider) = actor.provider {
            claims["provider"] = json!(provider);
        }
        let header = Header { kid: Some(local.id.clone()), ..Header::new(Algorithm::EdDSA) };
        jsonwebtoken::encode(&header, &claims, &local.private).map_err(|error| error.to_string())
    }
}

/// Reads the keys of a fetched set (RFC 7517 §5), and why others in it were passed over: one bad key does not spoil the rest, and a key
/// that can't be told from another is no use. Error: it is no set at all.
pub(super) fn read_set(document: &Value) -> Result<(Vec<Key>, Vec<String>), String> {
    let listed = document.get("keys").and_then(Value::as_array).ok_or("it lists no keys")?;
    let (mut keys, mut passed_over) = (Vec::new(), Vec::new());
    for value in listed.iter().take(SET) {
        match read_key(value) {
            Ok(key) => keys.push(key),
            Err(why) => passed_over.push(why),
        }
    }
    if listed.len() > SET {
        passed_over.push(format!("only the first {SET} keys of {} are read", listed.len()));
    }
    let several = keys.len() > 1;
    let names: Vec<Option<String>> = keys.iter().map(|key| key.id.clone()).collect();
    keys.retain(|key| {
        let alone = names.iter().filter(|name| **name == key.id).count() == 1;
        let told = !several || (alone && key.id.is_some());
        if !told {
            passed_over
                .push(format!("key {}: of several keys each must have a kid of its own", key.id.as_deref().unwrap_or("without kid")));
        }
        told
    });
    Ok((keys, passed_over))
}

/// Reads one public key.
fn read_key(value: &Value) -> Result<Key, String> {
    if ["d", "p", "q", "k"].iter().any(|part| value.get(part).is_some()) {
        return Err("only public keys are taken, so a secret one stays with its owner".into());
    }
    let jwk: Jwk = serde_json::from_value(value.clone()).map_err(|error| format!("a key can't be read: {error}"))?;
    let id = jwk.common.key_id.clone();
    let name = id.as_deref().unwrap_or("without kid");
    if !matches!(jwk.common.public_key_use, None | Some(PublicKeyUse::Signature)) {
        return Err(format!("key {name}: its use must be sig"));
    }
    let (usual, family) =
        kind(&jwk.algorithm).ok_or_else(|| format!("key {name}: neither Ed25519, P-256, P-384 nor RSA of {RSA_BITS} bits or more"))?;
    let algorithm = match jwk.common.key_algorithm {
        None => usual,
        Some(named) => Algorithm::try_from(named).map_err(|_| format!("key {name}: its alg is not accepted"))?,
    };
    // An elliptic key fits the algorithm of its own curve only.
    let fits = if family == AlgorithmFamily::Rsa { algorithm.family() == family } else { algorithm == usual };
    if !fits || !ALGORITHMS.contains(&algorithm) {
        return Err(format!("key {name}: its alg does not fit its type"));
    }
    let public = DecodingKey::from_jwk(&jwk).map_err(|error| format!("key {name}: {error}"))?;
    Ok(Key { id, algorithm, public })
}

/// The algorithm a key of this type is pinned to when it names none.
fn kind(parameters: &AlgorithmParameters) -> Option<(Algorithm, AlgorithmFamily)> {
    match parameters {
        AlgorithmParameters::OctetKeyPair(key) if key.curve == EllipticCurve::Ed25519 => Some((Algorithm::EdDSA, AlgorithmFamily::Ed)),
        AlgorithmParameters::EllipticCurve(key) => match key.curve {
            EllipticCurve::P256 => Some((Algorithm::ES256, AlgorithmFamily::Ec)),
            EllipticCurve::P384 => Some((Algorithm::ES384, AlgorithmFamily::Ec)),
            _ => None,
        },
        AlgorithmParameters::RSA(key) if bits(&key.n) >= RSA_BITS => Some((Algorithm::RS256, AlgorithmFamily::Rsa)),
        _ => None,
    }
}

/// Bits of a base64url number, leading zeros not counted.
fn bits(encoded: &str) -> usize {
    let bytes = URL_SAFE_NO_PAD.decode(encoded).unwrap_or_default();
    let significant = bytes.iter().position(|byte| *byte != 0).map(|at| bytes.split_at(at).1).unwrap_or_default();
    let leading = significant.first().map_or(0, |byte| byte.leading_zeros() as usize);
    significant.len() * 8 - leading
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(keys: Value) -> Result<Keys, String> {
        Keys::new("almoner").with_file(json!({"issuer": "https://idp.example", "keys": keys}).to_string().as_bytes())
    }

    fn ed(kid: &str) -> Value {
        json!({"kty": "OKP", "crv": "Ed25519", "kid": kid, "x": URL_SAFE_NO_PAD.encode([7; 32])})
    }

    fn rsa(bytes: usize) -> Value {
        json!({"kty": "RSA", "kid": "r", "e": "AQAB", "n": URL_SAFE_NO_PAD.encode(vec![0xff; bytes])})
    }

    #[test]
    fn public_keys_are_pinned_to_one_algorithm() {
        let keys = load(json!([ed("a"), rsa(256)])).expect("keys");
        let pinned: Vec<Algorithm> = keys.of("https://idp.example").iter().map(|key| key.algorithm).collect();
        assert_eq!(pinned, [Algorithm::EdDSA, Algorithm::RS256]);
        assert!(keys.of("https://other.example").is_empty());
        let mut pss = rsa(256);
        pss["alg"] = json!("PS256");
        assert_eq!(load(json!([pss])).expect("a key").of("https://idp.example")[0].algorithm, Algorithm::PS256);
    }

    #[test]
    fn unsafe_keys_are_refused() {
        let with = |mut key: Value, name: &str, value: &str| {
            key[name] = json!(value);
            key
        };
        let cases = [
            (json!([]), "must list keys"),
            (json!([rsa(255)]), "2048"),
            (json!([{"kty": "oct", "kid": "s", "k": "c2VjcmV0"}]), "only public keys"),
            (json!([with(ed("a"), "d", "AA")]), "only public keys"),
            (json!([with(ed("a"), "alg", "HS256")]), "does not fit"),
            (json!([with(ed("a"), "alg", "ES256")]), "does not fit"),
            (json!([with(rsa(256), "alg", "RSA-OAEP")]), "not accepted"),
            (json!([with(ed("a"), "use", "enc")]), "use must be sig"),
            (json!([with(ed("a"), "crv", "P-256")]), ""),
            (json!([ed("a"), ed("a")]), "kid of its own"),
        ];
        for (keys, why) in cases {
            let refused = load(keys.clone()).map(|_| ()).expect_err("unsafe");
            assert!(refused.contains(why), "{keys}: {refused}");
        }
        let twice = br#"{"issuer":"a","issuer":"b","keys":[]}"#;
        assert!(Keys::new("almoner").with_file(twice).is_err_and(|why| why.contains("twice")));
    }

    #[test]
    fn one_bad_key_does_not_spoil_a_set() {
        let set = |keys: Value| read_set(&json!({"keys": keys})).map(|(keys, passed_over)| (keys.len(), passed_over.len()));
        let secret = json!({"kty": "oct", "kid": "s", "k": "c2VjcmV0"});
        assert_eq!(set(json!([ed("a"), rsa(255), secret, 7, {"kty": "new"}, rsa(256)])), Ok((2, 4)));
        assert_eq!(set(json!([ed("a"), ed("a"), ed("b")])), Ok((1, 2)), "two of one name can't be told apart");
        let mut bare = ed("a");
        bare.as_object_mut().and_then(|map| map.remove("kid"));
        assert_eq!((set(json!([bare])), set(json!([bare, ed("b")]))), (Ok((1, 0)), Ok((1, 1))), "a lone key needs no name");
        assert_eq!(set(json!([])), Ok((0, 0)), "a provider may withdraw all its keys");
        assert_eq!(set(Value::Array((0..102).map(|n| ed(&n.to_string())).collect())), Ok((100, 1)));
        assert!(read_set(&json!({"keys": {}})).is_err() && read_set(&json!([])).is_err());
    }

    #[test]
    fn the_local_key_is_for_its_owner_alone_and_never_overwritten() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("issuer.pk8");
        Keys::create_local(&path).expect("a key");
        assert!(Keys::create_local(&path).is_err());
        let keys = Keys::new("almoner").with_local(&path, None).expect("the key");
        assert!(keys.issue(&Actor::operator("root"), 60, Time::from_micros(0), "1").is_ok_and(|token| token.split('.').count() == 3));
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            assert_eq!(fs::metadata(&path).expect("a file").permissions().mode() & 0o777, 0o600);
            fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).expect("a mode");
            assert!(Keys::new("almoner").with_local(&path, None).is_err_and(|why| why.contains("600")));
        }
    }
}
