//! Hashes of leaves and of nodes (RFC 6962 §2.1), as bytes and in base64.
//!
//! A leaf and a node are hashed with different first bytes, so that neither can pass for the other.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};

/// A SHA-256.
pub type Hash = [u8; 32];

/// The root of the tree without leaves: the hash of nothing (RFC 6962 §2.1).
pub fn empty() -> Hash {
    Sha256::digest([]).into()
}

/// The hash of a leaf's bytes (RFC 6962 §2.1).
pub fn leaf(bytes: &[u8]) -> Hash {
    Sha256::new_with_prefix([0]).chain_update(bytes).finalize().into()
}

/// The hash of the node above two hashes (RFC 6962 §2.1).
pub fn node(left: &Hash, right: &Hash) -> Hash {
    Sha256::new_with_prefix([1]).chain_update(left).chain_update(right).finalize().into()
}

/// A hash in standard base64, as checkpoints and proofs write it.
pub fn to_base64(hash: &Hash) -> String {
    STANDARD.encode(hash)
}

/// A hash from standard base64: padded, of 32 bytes, written in the one way there is.
pub fn from_base64(text: &str) -> Option<Hash> {
    STANDARD.decode(text).ok()?.try_into().ok()
}

/// A whole number in decimal digits without leading zeros, as C2SP writes sizes and indices; at most 2^63 − 1.
pub(super) fn decimal(text: &str) -> Option<u64> {
    let canonical = text == "0" || (!text.starts_with('0') && !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()));
    canonical.then(|| text.parse::<i64>().ok())?.and_then(|n| u64::try_from(n).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(hash: &Hash) -> String {
        hash.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    #[test]
    fn the_known_hashes_come_out() {
        // As the reference tests of Certificate Transparency have them.
        assert_eq!(hex(&empty()), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
        assert_eq!(hex(&leaf(b"")), "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d");
        assert_eq!(hex(&leaf(b"L123456")), "395aa064aa4c29f7010acfe3f25db9485bbd4b91897b6ad7ad547639252b4d56");
        assert_eq!(hex(&leaf(&[0])), "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7");
        let pair = node(&leaf(b""), &leaf(&[0]));
        assert_eq!(hex(&pair), "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125");
    }

    #[test]
    fn base64_and_decimals_have_one_form() {
        let text = to_base64(&empty());
        assert_eq!((text.as_str(), from_base64(&text)), ("47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=", Some(empty())));
        for wrong in ["", "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU", "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFV=", "AAAA"] {
            assert_eq!(from_base64(wrong), None, "{wrong}");
        }
        assert_eq!((decimal("0"), decimal("9223372036854775807")), (Some(0), Some(u64::MAX / 2)));
        for wrong in ["", "00", "01", "+1", "-1", "1 ", "9223372036854775808", "٣"] {
            assert_eq!(decimal(wrong), None, "{wrong}");
        }
    }
}
