//! Secrets of keys and admin tokens: minting, parsing, hashing. Format and vectors: `docs/ARCHITECTURE.md`, "Keys".

use std::{
    fmt,
    hash::{Hash, Hasher},
    str::FromStr,
};

use hmac::{Hmac, KeyInit, Mac};
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::random::{NoRandomness, Random};

const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const RANDOM_CHARS: usize = 32;
const CHECKSUM_CHARS: usize = 6;

/// What a secret opens; part of its text, so that no secret of one plane passes on another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Plane {
    Live,
    Test,
    Admin,
}

impl Plane {
    /// The word in the secret's text.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Test => "test",
            Self::Admin => "admin",
        }
    }
}

/// The first word of every secret (`op` unless configured): 1 to 16 of `a-z0-9`, a letter first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretPrefix(Box<str>);

impl Default for SecretPrefix {
    fn default() -> Self {
        Self("op".into())
    }
}

impl SecretPrefix {
    /// The prefix as text, without `_`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Why a text is no secret; callers over HTTP are never told which.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ParseSecretError {
    #[error("a prefix is 1 to 16 of `a-z0-9` and starts with a letter")]
    Prefix,
    #[error("a secret is `<prefix>_live_`, `<prefix>_test_` or `<prefix>_admin_` and 38 characters of `0-9A-Za-z`")]
    Shape,
    #[error("the checksum at its end does not fit: a character was mistyped or lost")]
    Checksum,
}

impl FromStr for SecretPrefix {
    type Err = ParseSecretError;

    fn from_str(text: &str) -> Result<Self, ParseSecretError> {
        let allowed = text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
        let starts_well = text.bytes().next().is_some_and(|b| b.is_ascii_lowercase());
        if allowed && starts_well && text.len() <= 16 { Ok(Self(text.into())) } else { Err(ParseSecretError::Prefix) }
    }
}

/// A plain secret. It exists in the answer that creates it and in the request that presents it; it never prints itself.
#[derive(Clone)]
pub struct Secret {
    text: SecretString,
    plane: Plane,
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(***)")
    }
}

impl Secret {
    /// A new secret: 32 characters by rejection sampling (190 bits) and the checksum of everything before it.
    ///
    /// # Errors
    /// When the operating system gives no random bytes.
    pub fn mint(prefix: &SecretPrefix, plane: Plane, random: &Random) -> Result<Self, NoRandomness> {
        let mut text = format!("{}_{}_", prefix.as_str(), plane.as_str());
        let full = text.len() + RANDOM_CHARS;
        while text.len() < full {
            let mut bytes = [0; 48];
            random.fill_secret(&mut bytes)?;
            // 248 is the largest multiple of 62 in a byte: what lies above it would favour the first letters.
            let chars = bytes.iter().filter(|b| **b < 248).filter_map(|b| ALPHABET.get(usize::from(b % 62)));
            text.extend(chars.take(full - text.len()).map(|b| char::from(*b)));
        }
        let checksum = checksum(&text);
        text.extend(checksum.map(char::from));
        Ok(Self { text: text.into(), plane })
    }

    /// Reads a presented secret; refuses typos and garbage before any hashing.
    ///
    /// # Errors
    /// When the text has another shape, or a checksum that does not fit.
    pub fn parse(prefix: &SecretPrefix, text: &str) -> Result<Self, ParseSecretError> {
        let rest = text.strip_prefix(prefix.as_str()).and_then(|rest| rest.strip_prefix('_')).ok_or(ParseSecretError::Shape)?;
        let plane = [Plane::Live, Plane::Test, Plane::Admin];
        let (plane, chars) = plane
            .into_iter()
            .find_map(|plane| Some((plane, rest.strip_prefix(plane.as_str())?.strip_prefix('_')?)))
            .ok_or(ParseSecretError::Shape)?;
        if chars.len() != RANDOM_CHARS + CHECKSUM_CHARS || !chars.bytes().all(|b| b.is_ascii_alphanumeric()) {
            return Err(ParseSecretError::Shape);
        }
        let (body, sum) = text.split_at_checked(text.len() - CHECKSUM_CHARS).ok_or(ParseSecretError::Shape)?;
        if checksum(body) != *sum.as_bytes() {
            return Err(ParseSecretError::Checksum);
        }
        Ok(Self { text: text.into(), plane })
    }

    /// What it opens.
    #[must_use]
    pub const fn plane(&self) -> Plane {
        self.plane
    }

    /// The plain text, for the one answer that shows it.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.text.expose_secret()
    }

    /// What people see of it: `op_live_…R8mQ`.
    #[must_use]
    pub fn hint(&self) -> String {
        let text = self.expose();
        let head = text.len().saturating_sub(RANDOM_CHARS + CHECKSUM_CHARS);
        let tail = text.len().saturating_sub(4);
        format!("{}…{}", text.get(..head).unwrap_or_default(), text.get(tail..).unwrap_or_default())
    }
}

/// CRC-32/ISO-HDLC in six base62 digits, most significant first, left-padded with `0`.
fn checksum(text: &str) -> [u8; CHECKSUM_CHARS] {
    let mut rest = crc32fast::hash(text.as_bytes());
    let mut digits = [b'0'; CHECKSUM_CHARS];
    for digit in digits.iter_mut().rev() {
        *digit = ALPHABET.get((rest % 62) as usize).copied().unwrap_or(b'0');
        rest /= 62;
    }
    digits
}

/// The 32 bytes that the store keeps of a secret. Equality is constant-time.
#[derive(Clone, Copy, Eq)]
pub struct SecretHash(pub [u8; 32]);

impl Hash for SecretHash {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}

impl PartialEq for SecretHash {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl fmt::Debug for SecretHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretHash(***)")
    }
}

/// A server-side key for hashing, with the id that is stored beside each hash made with it.
#[derive(Clone)]
pub struct Pepper {
    id: Box<str>,
    key: SecretString,
}

impl fmt::Debug for Pepper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pepper({}:***)", self.id)
    }
}

/// A pepper's text is not `id:secret`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a pepper is `id:secret`, the id 1 to 32 of `a-zA-Z0-9._-`, the secret at least 32 characters")]
pub struct ParsePepperError;

impl FromStr for Pepper {
    type Err = ParsePepperError;

    fn from_str(text: &str) -> Result<Self, ParsePepperError> {
        let (id, key) = text.split_once(':').ok_or(ParsePepperError)?;
        let id_fits = (1..=32).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_alphanumeric() || b".-_".contains(&b));
        if id_fits && key.len() >= 32 { Ok(Self { id: id.into(), key: key.into() }) } else { Err(ParsePepperError) }
    }
}

/// How a secret becomes the hash that the store keeps.
#[derive(Debug, Clone)]
pub enum Hashing {
    /// SHA-256 without a pepper: sound against a leaked table, not against one that somebody else can write.
    Plain,
    /// HMAC-SHA-256 under a pepper.
    Peppered(Pepper),
}

impl Hashing {
    /// The name of the algorithm, stored beside the hash.
    #[must_use]
    pub const fn algorithm(&self) -> &'static str {
        match self {
            Self::Plain => "sha256",
            Self::Peppered(_) => "hmac-sha256",
        }
    }

    /// The id of the pepper, stored beside the hash.
    #[must_use]
    pub fn pepper_id(&self) -> Option<&str> {
        match self {
            Self::Plain => None,
            Self::Peppered(pepper) => Some(&pepper.id),
        }
    }

    /// The hash of the whole secret.
    #[must_use]
    pub fn hash(&self, secret: &Secret) -> SecretHash {
        SecretHash(self.digest(&[secret.expose().as_bytes()]))
    }

    /// The hash of a text that is no secret. What is hashed for one domain is never what is hashed for another or for a secret,
    /// because neither holds a zero byte.
    #[must_use]
    pub fn blind(&self, domain: &str, text: &str) -> [u8; 32] {
        self.digest(&[domain.as_bytes(), b"\0", text.as_bytes()])
    }

    fn digest(&self, parts: &[&[u8]]) -> [u8; 32] {
        match self {
            Self::Plain => parts.iter().fold(Sha256::new(), sha2::Digest::chain_update).finalize().into(),
            Self::Peppered(pepper) => match Hmac::<Sha256>::new_from_slice(pepper.key.expose_secret().as_bytes()) {
                Ok(mac) => parts.iter().fold(mac, hmac::Mac::chain_update).finalize().into_bytes().into(),
                // INVARIANT: HMAC takes a key of any length. A hash that fits no row is the closed way to fail.
                Err(_) => [0; 32],
            },
        }
    }
}

/// What the store keeps of a secret: everything but the secret.
#[derive(Debug, Clone)]
pub struct SealedSecret {
    pub hash: SecretHash,
    pub algorithm: &'static str,
    pub pepper_id: Option<String>,
    pub hint: String,
}

impl Hashing {
    /// The secret as the store keeps it.
    #[must_use]
    pub fn seal(&self, secret: &Secret) -> SealedSecret {
        let pepper_id = self.pepper_id().map(str::to_owned);
        SealedSecret { hash: self.hash(secret), algorithm: self.algorithm(), pepper_id, hint: secret.hint() }
    }
}

/// The ways of hashing that are in force: new secrets use the current one, the retired one is still accepted.
#[derive(Debug, Clone)]
pub struct Peppers {
    pub current: Hashing,
    pub retired: Option<Hashing>,
}

impl Default for Peppers {
    fn default() -> Self {
        Self { current: Hashing::Plain, retired: None }
    }
}

impl Peppers {
    /// The hashes under which a presented secret may be stored, the current one first.
    pub fn candidates(&self, secret: &Secret) -> impl Iterator<Item = SecretHash> {
        std::iter::once(&self.current).chain(&self.retired).map(|hashing| hashing.hash(secret))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn op() -> SecretPrefix {
        SecretPrefix::default()
    }

    #[test]
    fn checksums_equal_the_published_vectors() {
        let (zeros, zs) = ("0".repeat(32), "Z".repeat(32));
        for (before, sum) in [
            (format!("op_live_{zeros}"), "0sEKhM"),
            ("op_live_zQWBuTSOoRi4A9spHcVY5ncnsDkxkJab".to_owned(), "2SVujl"),
            (format!("op_live_{zs}"), "0Y67D1"),
            (format!("op_test_{zeros}"), "2vD45N"),
            (format!("op_admin_{zeros}"), "2iRigG"),
        ] {
            assert_eq!(checksum(&before), *sum.as_bytes(), "{before}");
            assert!(Secret::parse(&op(), &format!("{before}{sum}")).is_ok());
        }
    }

    #[test]
    fn a_secret_never_prints_itself() {
        let secret = Secret::mint(&op(), Plane::Live, &Random::seeded(1)).unwrap();
        assert_eq!(format!("{secret:?}"), "Secret(***)");
        assert_eq!(secret.hint(), format!("op_live_…{}", &secret.expose()[42..]));
    }

    #[test]
    fn every_letter_of_the_alphabet_is_as_likely() {
        let mut counts = [0u32; 128];
        for seed in 0..4_000 {
            let secret = Secret::mint(&op(), Plane::Live, &Random::seeded(seed)).unwrap();
            secret.expose()[8..40].bytes().for_each(|b| counts[usize::from(b)] += 1);
        }
        let expected = 4_000.0 * 32.0 / 62.0;
        let chi2: f64 = ALPHABET.iter().map(|b| (f64::from(counts[usize::from(*b)]) - expected).powi(2) / expected).sum();
        assert!(chi2 < 106.0, "chi-square over 62 letters is {chi2}, p < 0.0003");
    }

    #[test]
    fn a_pepper_changes_the_hash_and_hides_itself() {
        let secret = Secret::mint(&op(), Plane::Live, &Random::seeded(1)).unwrap();
        let pepper = |text: &str| Hashing::Peppered(text.parse().unwrap());
        let (a, b) = (pepper(&format!("a:{}", "x".repeat(32))), pepper(&format!("b:{}", "y".repeat(32))));
        assert_ne!(a.hash(&secret), b.hash(&secret));
        assert_ne!(a.hash(&secret), Hashing::Plain.hash(&secret));
        assert!(!format!("{a:?}").contains("xxx"));
        assert!("short:secret".parse::<Pepper>().is_err());
    }

    #[test]
    fn hmac_equals_the_vector_of_rfc_4231_case_2() {
        // Key "Jefe" is shorter than a pepper may be, so the type is built by hand.
        let hashing = Hashing::Peppered(Pepper { id: "t".into(), key: "Jefe".into() });
        let secret = Secret { text: "what do ya want for nothing?".into(), plane: Plane::Live };
        let expected: u128 = 0x5bdc_c146_bf60_754e_6a04_2426_0895_75c7;
        assert_eq!(hashing.hash(&secret).0[..16], expected.to_be_bytes());
    }

    proptest! {
        #[test]
        fn every_minted_secret_is_accepted_and_any_changed_character_refused(seed: u64, at in 0usize..46, to in "[ -~]") {
            let secret = Secret::mint(&op(), Plane::Test, &Random::seeded(seed)).unwrap();
            let text = secret.expose().to_owned();
            prop_assert_eq!(text.len(), 46);
            prop_assert!(Secret::parse(&op(), &text).is_ok());
            let mut other = text.clone();
            other.replace_range(at..=at, &to);
            if other != text {
                prop_assert!(Secret::parse(&op(), &other).is_err());
            }
        }

        #[test]
        fn no_text_makes_the_parser_panic(text in "\\PC*", prefixed in "op_(live|test|admin)_\\PC{0,60}") {
            let _ = Secret::parse(&op(), &text);
            let _ = Secret::parse(&op(), &prefixed);
        }
    }
}
