//! Signatures of the Standard Webhooks scheme: HMAC-SHA256 over `id.timestamp.body`, as `v1,` and base64.

use aws_lc_rs::hmac;
use aws_lc_rs::rand;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::store::Fault;

/// Bytes of a secret: the scheme asks for 24 to 64.
const LENGTH: usize = 32;

/// What a webhook's deliveries are signed with.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Vec<u8>);

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(…)")
    }
}

impl Secret {
    /// A new one, from the system's source of randomness.
    pub fn fresh() -> Result<Secret, Fault> {
        let mut bytes = vec![0; LENGTH];
        rand::fill(&mut bytes).map_err(|_| Fault::Internal("the system gives no randomness".into()))?;
        Ok(Secret(bytes))
    }

    /// As it was kept.
    pub(super) fn kept(bytes: Vec<u8>) -> Secret {
        Secret(bytes)
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// As it is told once: `whsec_` and base64.
    pub fn told(&self) -> String {
        format!("whsec_{}", STANDARD.encode(&self.0))
    }

    fn sign(&self, message: &str) -> String {
        let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &self.0), message.as_bytes());
        format!("v1,{}", STANDARD.encode(tag.as_ref()))
    }
}

/// The value of `webhook-signature`: one signature for each secret that is valid, the newest first, between spaces.
pub fn signatures(secrets: &[Secret], id: &str, timestamp: i64, body: &str) -> String {
    let message = format!("{id}.{timestamp}.{body}");
    secrets.iter().map(|secret| secret.sign(&message)).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_schemes_own_example_comes_out() {
        let secret = Secret(STANDARD.decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").expect("base64"));
        let signed = signatures(&[secret], "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, r#"{"test": 2432232314}"#);
        assert_eq!(signed, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn two_secrets_make_two_signatures_and_none_is_shown() {
        let secrets = [Secret::fresh().expect("one"), Secret::fresh().expect("another")];
        let signed = signatures(&secrets, "evt_1", 1, "{}");
        assert!(signed.split(' ').count() == 2 && signed.split(' ').all(|one| one.starts_with("v1,") && one.len() == 47), "{signed}");
        assert_eq!(format!("{:?}", secrets[0]), "Secret(…)");
        assert_eq!(STANDARD.decode(secrets[0].told().trim_start_matches("whsec_")).map(|bytes| bytes.len()), Ok(LENGTH));
    }
}
