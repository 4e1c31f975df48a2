//! A provider's keys, and tokens signed with them or with what only looks like them.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;

use almoner::time::{Clock, SECOND};
use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair as RsaKeyPair, KeySize};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair,
    KeyPair, RSA_PKCS1_SHA256, RSA_PSS_SHA256,
};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

/// Who signs.
#[derive(Clone, Copy)]
pub enum By {
    Ed,
    /// Another Ed25519 key than the provider's.
    Stranger,
    Rsa,
    RsaPss,
    Es256,
    /// The provider's P-256 key, its signature as ASN.1.
    Es256Der,
    /// A P-384 key that the provider does not have.
    Es384,
    /// HMAC with these bytes as secret.
    Hmac(&'static str),
    /// So many zero bytes.
    Zeros(usize),
    /// These bytes.
    Bytes(&'static [u8]),
}

/// A provider with one key of each kind.
pub struct Forge {
    pub issuer: String,
    pub now: i64,
    ed: Ed25519KeyPair,
    stranger: Ed25519KeyPair,
    rsa: RsaKeyPair,
    ec: EcdsaKeyPair,
    ec_der: EcdsaKeyPair,
    ec384: EcdsaKeyPair,
}

pub fn encode(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

impl Forge {
    /// New keys, which a small server hands out at the issuer's address, `weak` among them.
    pub fn open(weak: Option<&Value>) -> Forge {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let pkcs8 = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).and_then(|pair| pair.to_pkcs8v1()).expect("a key");
        let forge = Forge {
            issuer: format!("http://{}", listener.local_addr().expect("an address")),
            now: Clock::system().now().micros() / SECOND,
            ed: Ed25519KeyPair::generate().expect("a key"),
            stranger: Ed25519KeyPair::generate().expect("a key"),
            rsa: RsaKeyPair::generate(KeySize::Rsa2048).expect("a key"),
            ec: EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8.as_ref()).expect("the key"),
            ec_der: EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, pkcs8.as_ref()).expect("the key"),
            ec384: EcdsaKeyPair::generate(&ECDSA_P384_SHA384_FIXED_SIGNING).expect("a key"),
        };
        let mut listed = forge.keys();
        listed.extend(weak.cloned());
        let text = json!({"keys": listed}).to_string();
        std::thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                BufReader::new(&stream).lines().map_while(Result::ok).take_while(|line| !line.is_empty()).for_each(drop);
                let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", text.len());
                stream.write_all((head + &text).as_bytes()).expect("an answer");
            }
        });
        forge
    }

    /// The public keys, as a provider lists them.
    pub fn keys(&self) -> Vec<Value> {
        let public = self.rsa.public_key();
        let (n, e) =
            (public.modulus().big_endian_without_leading_zero().to_vec(), public.exponent().big_endian_without_leading_zero().to_vec());
        let (_, point) = self.ec.public_key().as_ref().split_at(1);
        let (x, y) = point.split_at(32);
        vec![
            json!({"kty": "OKP", "crv": "Ed25519", "kid": "ed", "alg": "EdDSA", "x": encode(self.ed.public_key())}),
            json!({"kty": "RSA", "kid": "rsa", "alg": "RS256", "n": encode(n), "e": encode(e)}),
            json!({"kty": "EC", "crv": "P-256", "kid": "ec", "alg": "ES256", "x": encode(x), "y": encode(y)}),
        ]
    }

    /// The header of a token signed with the key of that name.
    pub fn header(alg: &str, kid: &str) -> Value {
        json!({"alg": alg, "typ": "at+jwt", "kid": kid})
    }

    /// Claims that are accepted.
    pub fn claims(&self) -> Value {
        json!({
            "iss": self.issuer, "sub": "mallory", "aud": "almoner", "jti": "1", "iat": self.now, "nbf": self.now, "exp": self.now + 3600,
            "roles": ["auditor"],
        })
    }

    /// A token of these texts.
    pub fn sign(&self, by: By, header: &str, claims: &str) -> String {
        self.seal(by, &format!("{}.{}", encode(header), encode(claims)))
    }

    /// A token of this message as it is.
    pub fn seal(&self, by: By, message: &str) -> String {
        format!("{message}.{}", encode(self.signature(by, message.as_bytes())))
    }

    /// A token that is accepted: the starting point of all others.
    pub fn good(&self) -> String {
        self.sign(By::Ed, &Forge::header("EdDSA", "ed").to_string(), &self.claims().to_string())
    }

    fn signature(&self, by: By, message: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        let ecdsa = |pair: &EcdsaKeyPair| pair.sign(&random, message).expect("a signature").as_ref().to_vec();
        let rsa = |padding| {
            let mut signature = vec![0; self.rsa.public_modulus_len()];
            self.rsa.sign(padding, &random, message, &mut signature).expect("a signature");
            signature
        };
        match by {
            By::Ed => self.ed.sign(message).as_ref().to_vec(),
            By::Stranger => self.stranger.sign(message).as_ref().to_vec(),
            By::Rsa => rsa(&RSA_PKCS1_SHA256),
            By::RsaPss => rsa(&RSA_PSS_SHA256),
            By::Es256 => ecdsa(&self.ec),
            By::Es256Der => ecdsa(&self.ec_der),
            By::Es384 => ecdsa(&self.ec384),
            By::Hmac(kid) => {
                let secret = self.keys().into_iter().find(|key| key["kid"] == kid).expect("a key").to_string();
                hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes()), message).as_ref().to_vec()
            }
            By::Zeros(length) => vec![0; length],
            By::Bytes(bytes) => bytes.to_vec(),
        }
    }
}
