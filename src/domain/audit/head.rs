//! Where the audit chain stands: what is kept elsewhere, so that nobody can cut rows off the end unseen.

use std::{fmt, fmt::Write as _, str::FromStr};

/// The newest audit row at some moment, or none at revision 0. Prints as `REVISION:HASH`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditHead {
    pub revision: i64,
    pub hash: [u8; 32],
}

impl fmt::Display for AuditHead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.revision, hex(&self.hash))
    }
}

/// What is wrong with a head that somebody typed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a head is REVISION:HASH, a number and 64 hexadecimal digits in lower case, as `claviger audit head -o id` prints it")]
pub struct ParseHeadError;

impl AuditHead {
    /// From the two parts of its text.
    ///
    /// # Errors
    /// A negative revision, a hash that is not 64 lower-case hexadecimal digits.
    pub fn parse(revision: i64, hash: &str) -> Result<Self, ParseHeadError> {
        let hash = from_hex(hash).and_then(|bytes| bytes.try_into().ok()).ok_or(ParseHeadError)?;
        if revision < 0 { Err(ParseHeadError) } else { Ok(Self { revision, hash }) }
    }
}

impl FromStr for AuditHead {
    type Err = ParseHeadError;

    fn from_str(text: &str) -> Result<Self, ParseHeadError> {
        let (revision, hash) = text.split_once(':').ok_or(ParseHeadError)?;
        if !revision.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(ParseHeadError);
        }
        Self::parse(revision.parse().map_err(|_| ParseHeadError)?, hash)
    }
}

/// Lower-case hexadecimal digits.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing into a String never fails.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// The bytes of lower-case hexadecimal digits; `None` for any other text.
#[must_use]
pub fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    if !rest.is_empty() {
        return None;
    }
    pairs.iter().map(|[high, low]| Some(digit(*high)? << 4 | digit(*low)?)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_reads_what_it_prints() {
        let head = AuditHead { revision: 7, hash: [0xa9; 32] };
        assert_eq!(head.to_string().parse(), Ok(head));
    }

    #[test]
    fn what_is_no_head_is_refused() {
        let hash = "a9".repeat(32);
        for text in ["", ":", "7", &hash, &format!("-1:{hash}"), &format!("+7:{hash}"), &format!("7:{}", hash.to_uppercase())] {
            assert_eq!(text.parse::<AuditHead>(), Err(ParseHeadError), "{text}");
        }
        for text in
            [format!("7:{hash}0"), format!("7:{}", &hash[2..]), format!("7:{hash} "), format!("99999999999999999999:{hash}")]
        {
            assert_eq!(text.parse::<AuditHead>(), Err(ParseHeadError), "{text}");
        }
    }
}
