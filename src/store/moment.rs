//! How a time lies in a column: TIMESTAMPTZ on Postgres, RFC 3339 text on SQLite.

use chrono::{DateTime, Utc};
use rusqlite::{
    ToSql,
    types::{FromSql, FromSqlError, FromSqlResult, ToSqlOutput, ValueRef},
};
use sqlx::{
    Database, Decode, Encode, Postgres, Sqlite, Type,
    encode::IsNull,
    error::BoxDynError,
    postgres::{PgTypeInfo, PgValueFormat, PgValueRef},
    sqlite::{SqliteTypeInfo, SqliteValueRef},
};

use crate::domain::clock::Timestamp;

/// A time bound or read as a `DateTime<Utc>` of milliseconds.
#[derive(Debug, Clone, Copy)]
pub(super) struct Moment(pub(super) Timestamp);

impl Moment {
    pub(super) fn of(at: Option<Timestamp>) -> Option<Self> {
        at.map(Self)
    }

    /// Refuses what a timestamp cannot hold instead of clamping it: an operator's year 50000 must not pass for 9999.
    fn from_millis(ms: i64) -> Result<Self, BoxDynError> {
        let at = Timestamp::from_millis(ms);
        if at.as_millis() == ms { Ok(Self(at)) } else { Err("a time outside the years 0001 to 9999".into()) }
    }

    /// SQLite knows no times and compares the texts, which is right for this one form.
    fn from_text(text: &str) -> Result<Self, BoxDynError> {
        let at = DateTime::parse_from_rfc3339(text)?;
        if at.offset().local_minus_utc() != 0 {
            return Err("a time that is not in UTC".into());
        }
        Self::from_millis(at.timestamp_millis())
    }
}

impl Type<Sqlite> for Moment {
    fn type_info() -> SqliteTypeInfo {
        <str as Type<Sqlite>>::type_info()
    }
}

impl Type<Postgres> for Moment {
    fn type_info() -> PgTypeInfo {
        <DateTime<Utc> as Type<Postgres>>::type_info()
    }
}

impl Encode<'_, Sqlite> for Moment {
    fn encode_by_ref(&self, buffer: &mut <Sqlite as Database>::ArgumentBuffer) -> Result<IsNull, BoxDynError> {
        <DateTime<Utc> as Encode<'_, Sqlite>>::encode_by_ref(&self.0.into(), buffer)
    }
}

impl Encode<'_, Postgres> for Moment {
    fn encode_by_ref(&self, buffer: &mut <Postgres as Database>::ArgumentBuffer) -> Result<IsNull, BoxDynError> {
        <DateTime<Utc> as Encode<'_, Postgres>>::encode_by_ref(&self.0.into(), buffer)
    }
}

impl Decode<'_, Sqlite> for Moment {
    fn decode(value: SqliteValueRef<'_>) -> Result<Self, BoxDynError> {
        Self::from_text(<&str as Decode<'_, Sqlite>>::decode(value)?)
    }
}

impl FromSql for Moment {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        Self::from_text(value.as_str()?).map_err(FromSqlError::Other)
    }
}

impl ToSql for Moment {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(DateTime::<Utc>::from(self.0).to_rfc3339().into())
    }
}

impl Decode<'_, Postgres> for Moment {
    /// From the microseconds since 2000 that Postgres sends; the driver's own decoding panics on `infinity`.
    fn decode(value: PgValueRef<'_>) -> Result<Self, BoxDynError> {
        const EPOCH_MS: i64 = 946_684_800_000;
        if value.format() != PgValueFormat::Binary {
            return Err("a time that was not sent in binary".into());
        }
        let micros = <i64 as Decode<'_, Postgres>>::decode(value)?;
        Self::from_millis(micros.div_euclid(1_000).saturating_add(EPOCH_MS))
    }
}
