//! Cosignatures (C2SP tlog-cosignature, Ed25519, `cosignature/v1`): what a witness signs, and how it stands in a note.
//!
//! A witness says that, as of a time, this was the largest tree it had seen of that log, and consistent with all it saw before.

use super::note::SIGNATURE_BYTES;

/// Bytes of a cosignature: the time in seconds, then the signature.
pub const BYTES: usize = 8 + SIGNATURE_BYTES;

/// What is signed for a checkpoint's text at a time in seconds since 1970 (C2SP tlog-cosignature, "Ed25519 signed message").
pub fn message(time: u64, text: &str) -> String {
    format!("cosignature/v1\ntime {time}\n{text}")
}

/// The time and the signature; nothing if it is no cosignature (C2SP tlog-cosignature, "Format").
pub fn split(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let (time, signature) = bytes.split_first_chunk()?;
    let time = u64::from_be_bytes(*time);
    (bytes.len() == BYTES && time <= i64::MAX as u64).then_some((time, signature))
}

/// The bytes of a cosignature in a note.
pub fn join(time: u64, signature: &[u8; SIGNATURE_BYTES]) -> Vec<u8> {
    [time.to_be_bytes().as_slice(), signature].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_message_is_that_of_the_specification() {
        let text = "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n";
        let known =
            "cosignature/v1\ntime 1679315147\nexample.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n";
        assert_eq!(message(1_679_315_147, text), known);
    }

    #[test]
    fn what_is_joined_is_split() {
        let joined = join(1_679_315_147, &[7; SIGNATURE_BYTES]);
        assert_eq!(split(&joined), Some((1_679_315_147, [7; SIGNATURE_BYTES].as_slice())));
        assert_eq!((split(&joined[1..]), split(&[]), split(&join(1 << 63, &[7; SIGNATURE_BYTES]))), (None, None, None));
    }
}
