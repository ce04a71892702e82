//! Ids: `<prefix>_` + 26 characters, a UUIDv7 in Crockford base32, lower case. Text order equals time order; ids are never reused.

use std::{fmt, hash::Hash, marker::PhantomData, ops::Deref, str::FromStr};

use super::{clock::Timestamp, random::Random};

/// What an id names; its prefix is part of the text.
pub trait Kind: Copy + Ord + Hash + fmt::Debug + Send + Sync + 'static {
    const PREFIX: &'static str;
}

macro_rules! kinds {
    ($($kind:ident $alias:ident $prefix:literal;)*) => { $(
        #[doc = concat!("The kind of a `", $prefix, "_…` id.")]
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $kind {}
        impl Kind for $kind { const PREFIX: &'static str = $prefix; }
        const _: () = assert!($prefix.len() == 3);
        #[doc = concat!("`", $prefix, "_` + 26 characters.")]
        pub type $alias = Id<$kind>;
    )* };
}

kinds! {
    OfOrg OrgId "org";
    OfKey KeyId "key";
    OfSecret SecretId "sec";
    OfAdmin AdminId "adm";
    OfDecision DecisionId "dec";
    OfRequest RequestId "req";
    OfEvent EventId "evt";
    OfReplica ReplicaId "rep";
}

/// A typed id: 128 bits in memory, `<prefix>_` + 26 characters everywhere else.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Id<K: Kind>(u128, PhantomData<K>);

/// Crockford's alphabet in ASCII order, so that text order equals number order.
const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
const DIGITS: usize = 26;
/// A prefix has three letters.
const LENGTH: usize = 3 + 1 + DIGITS;

impl<K: Kind> Id<K> {
    /// The id that nothing has.
    pub const NIL: Self = Self(0, PhantomData);

    /// A fresh id: UUIDv7 (RFC 9562 §5.7) of the moment and 74 random bits.
    #[must_use]
    pub fn new(now: Timestamp, random: &Random) -> Self {
        let mut bits = [0; 10];
        random.fill(&mut bits);
        let ms = u64::try_from(now.as_millis()).unwrap_or(0);
        Self(uuid::Builder::from_unix_timestamp_millis(ms, &bits).into_uuid().as_u128(), PhantomData)
    }

    /// The moment that it was made for, to the millisecond.
    #[must_use]
    pub fn moment(self) -> Timestamp {
        Timestamp::from_millis(i64::try_from(self.0 >> 80).unwrap_or(i64::MAX))
    }

    /// The id as text.
    #[must_use]
    pub fn text(self) -> IdText {
        let mut text = [b'_'; LENGTH];
        text.iter_mut().zip(K::PREFIX.bytes()).for_each(|(place, letter)| *place = letter);
        let mut rest = self.0;
        for digit in text.iter_mut().rev().take(DIGITS) {
            *digit = ALPHABET.get((rest & 31) as usize).copied().unwrap_or(b'0');
            rest >>= 5;
        }
        IdText(text)
    }

    /// The id as its raw number.
    #[must_use]
    pub const fn as_u128(self) -> u128 {
        self.0
    }
}

/// An id's text, where it needs no memory of its own.
#[derive(Debug, Clone, Copy)]
pub struct IdText([u8; LENGTH]);

impl Deref for IdText {
    type Target = str;

    fn deref(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl<K: Kind> fmt::Display for Id<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // In one piece: most ids are written into a text that grows with each.
        f.write_str(&self.text())
    }
}

impl<K: Kind> fmt::Debug for Id<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl<K: Kind> serde::Serialize for Id<K> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// The text is not an id of the wanted kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("an id of this kind is `{0}_` and 26 characters of `0-9a-z` without i, l, o, u")]
pub struct ParseIdError(&'static str);

impl<K: Kind> FromStr for Id<K> {
    type Err = ParseIdError;

    /// Exactly the text that [`fmt::Display`] writes: one spelling per id.
    fn from_str(text: &str) -> Result<Self, ParseIdError> {
        let bad = ParseIdError(K::PREFIX);
        let digits = text.strip_prefix(K::PREFIX).and_then(|rest| rest.strip_prefix('_')).ok_or(bad.clone())?;
        if digits.len() != DIGITS || digits.as_bytes().first().is_none_or(|first| *first > b'7') {
            return Err(bad);
        }
        let mut number = 0u128;
        for byte in digits.bytes() {
            let value = ALPHABET.binary_search(&byte).map_err(|_| bad.clone())?;
            number = (number << 5) | value as u128;
        }
        Ok(Self(number, PhantomData))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_id_reads_back_as_itself(ms in 0i64..253_402_300_799_999, seed: u64) {
            let id = OrgId::new(Timestamp::from_millis(ms), &Random::seeded(seed));
            prop_assert_eq!(id.to_string().len(), 30);
            prop_assert_eq!(id.to_string().parse::<OrgId>(), Ok(id));
            prop_assert_eq!(id.moment(), Timestamp::from_millis(ms));
        }

        #[test]
        fn text_order_is_number_order(a: u128, b: u128) {
            let (a, b) = (OrgId { 0: a, 1: PhantomData }, OrgId { 0: b, 1: PhantomData });
            prop_assert_eq!(a.cmp(&b), a.to_string().cmp(&b.to_string()));
        }

        #[test]
        fn any_text_is_an_id_in_one_spelling_or_refused(text in "(org_)?[0-9a-zA-Z_]{0,30}") {
            if let Ok(id) = text.parse::<OrgId>() {
                prop_assert_eq!(id.to_string(), text);
            }
        }
    }

    #[test]
    fn an_id_of_another_kind_is_refused() {
        let id = KeyId::new(Timestamp::from_millis(0), &Random::seeded(1)).to_string();
        assert!(id.parse::<OrgId>().is_err());
    }
}
