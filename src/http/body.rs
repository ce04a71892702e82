//! Request bodies: strict JSON, then typed fields. Whatever is ambiguous is refused before anybody reads it.

use std::{cell::RefCell, fmt, str::FromStr};

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use super::error::ApiError;
use crate::domain::{
    clock::{Timestamp, parse_duration},
    redact::redact,
};

/// Arrays and objects inside each other.
const DEEPEST: usize = 32;

/// Parses a whole body: one JSON value, no duplicate names at any depth, at most 32 levels.
///
/// # Errors
/// [`ApiError::InvalidRequest`], with the duplicate name as `param` when it was that.
pub(super) fn parse_json(bytes: &[u8]) -> Result<Value, ApiError> {
    let fault = RefCell::new(None);
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let value = Strict { depth: 0, fault: &fault }.deserialize(&mut reader).and_then(|value| reader.end().map(|()| value));
    value.map_err(|error| {
        fault.take().unwrap_or_else(|| ApiError::invalid("body", format!("the body is not valid JSON: {error}")))
    })
}

/// Parses a body that must be an object.
pub(super) fn parse_object(bytes: &[u8]) -> Result<Fields, ApiError> {
    Fields::new(parse_json(bytes)?, "")
}

#[derive(Clone, Copy)]
struct Strict<'f> {
    depth: usize,
    fault: &'f RefCell<Option<ApiError>>,
}

impl Strict<'_> {
    fn deeper<E: serde::de::Error>(self) -> Result<Self, E> {
        if self.depth == DEEPEST {
            return Err(self.fail(ApiError::invalid("body", format!("the body is nested more than {DEEPEST} levels deep"))));
        }
        Ok(Self { depth: self.depth + 1, ..self })
    }

    /// Serde's errors are texts; the real one waits beside.
    fn fail<E: serde::de::Error>(self, error: ApiError) -> E {
        self.fault.replace(Some(error));
        E::custom("refused")
    }
}

impl<'de> DeserializeSeed<'de> for Strict<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value).map(Value::Number).ok_or_else(|| E::custom("number out of range"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let inner = self.deeper()?;
        let mut values = Vec::new();
        while let Some(value) = seq.next_element_seed(inner)? {
            values.push(value);
        }
        Ok(values.into())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let inner = self.deeper()?;
        let mut map = Map::new();
        while let Some(name) = access.next_key::<String>()? {
            if map.contains_key(&name) {
                return Err(
                    self.fail(ApiError::invalid(&name, format!("the name `{}` occurs twice in one object", redact(&name))))
                );
            }
            let value = access.next_value_seed(inner)?;
            map.insert(name, value);
        }
        Ok(Value::Object(map))
    }
}

/// The fields of an object, taken one by one; what is left over is an error.
#[derive(Debug, Default)]
pub(super) struct Fields {
    map: Map<String, Value>,
    /// Dotted path of the object in the body, empty for the body itself.
    path: String,
}

impl Fields {
    pub(super) fn new(value: Value, path: &str) -> Result<Self, ApiError> {
        match value {
            Value::Object(map) => Ok(Self { map, path: path.to_owned() }),
            _ if path.is_empty() => Err(ApiError::invalid("body", "the body must be a JSON object")),
            _ => Err(wrong_type(path, "an object")),
        }
    }

    fn path_of(&self, name: &str) -> String {
        if self.path.is_empty() { name.to_owned() } else { format!("{}.{name}", self.path) }
    }

    /// Takes a field away when it is there and `null`.
    pub(super) fn take_null(&mut self, name: &str) -> bool {
        let is_null = self.map.get(name).is_some_and(Value::is_null);
        if is_null {
            self.map.remove(name);
        }
        is_null
    }

    /// An optional string; `null` is no string.
    pub(super) fn text(&mut self, name: &str) -> Result<Option<String>, ApiError> {
        match self.map.remove(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(wrong_type(&self.path_of(name), "a string")),
        }
    }

    /// A string that must be there.
    pub(super) fn required_text(&mut self, name: &str) -> Result<String, ApiError> {
        self.text(name)?.ok_or_else(|| missing(&self.path_of(name)))
    }

    /// An optional object's fields.
    pub(super) fn object(&mut self, name: &str) -> Result<Option<Fields>, ApiError> {
        let path = self.path_of(name);
        self.map.remove(name).map(|value| Self::new(value, &path)).transpose()
    }

    /// An optional object as it is.
    pub(super) fn map(&mut self, name: &str) -> Result<Option<Map<String, Value>>, ApiError> {
        Ok(self.object(name)?.map(|fields| fields.map))
    }

    /// An optional `true` or `false`.
    pub(super) fn truth(&mut self, name: &str) -> Result<Option<bool>, ApiError> {
        match self.map.remove(name) {
            None => Ok(None),
            Some(Value::Bool(truth)) => Ok(Some(truth)),
            Some(_) => Err(wrong_type(&self.path_of(name), "`true` or `false`")),
        }
    }

    /// An optional list.
    pub(super) fn list(&mut self, name: &str) -> Result<Option<Vec<Value>>, ApiError> {
        match self.map.remove(name) {
            None => Ok(None),
            Some(Value::Array(values)) => Ok(Some(values)),
            Some(_) => Err(wrong_type(&self.path_of(name), "a list")),
        }
    }

    /// An optional list of strings.
    pub(super) fn texts(&mut self, name: &str) -> Result<Option<Vec<String>>, ApiError> {
        let path = self.path_of(name);
        let text = |value| match value {
            Value::String(text) => Ok(text),
            _ => Err(wrong_type(&path, "a list of strings")),
        };
        self.list(name)?.map(|values| values.into_iter().map(text).collect()).transpose()
    }

    /// Says which field is unknown, if one is left.
    pub(super) fn finish(self) -> Result<(), ApiError> {
        match self.map.keys().next() {
            None => Ok(()),
            Some(name) => Err(ApiError::invalid(&self.path_of(name), format!("unknown field `{}`", redact(&self.path_of(name))))),
        }
    }
}

fn wrong_type(path: &str, wanted: &str) -> ApiError {
    ApiError::invalid(path, format!("`{}` must be {wanted}", redact(path)))
}

pub(super) fn missing(path: &str) -> ApiError {
    ApiError::invalid(path, format!("`{path}` is required"))
}

/// A text as a value of the domain; one that the domain refuses is 422 with the domain's own sentence.
pub(super) fn parse_field<T: FromStr<Err: fmt::Display>>(name: &'static str, text: &str) -> Result<T, ApiError> {
    text.parse().map_err(|error: T::Err| ApiError::Unprocessable { param: name, message: format!("`{name}`: {error}") })
}

/// Two ways to say when a key ends, which may contradict each other.
pub(super) fn both_expiries() -> ApiError {
    ApiError::Unprocessable { param: "expires_in", message: "give either `expires_at` or `expires_in`".into() }
}

/// `expires_at` or `expires_in`, never both, in the future.
pub(super) fn parse_expiry(at: Option<&str>, within: Option<&str>, now: Timestamp) -> Result<Option<Timestamp>, ApiError> {
    let refuse = |param, message: &str| ApiError::Unprocessable { param, message: format!("`{param}`: {message}") };
    let expiry = match (at, within) {
        (Some(_), Some(_)) => return Err(both_expiries()),
        (None, None) => return Ok(None),
        (Some(at), None) => ("expires_at", parse_field("expires_at", at)?),
        (None, Some(within)) => {
            let length = parse_duration(within).map_err(|error| refuse("expires_in", &error.to_string()))?;
            ("expires_in", now.plus(length))
        }
    };
    if expiry.1 <= now { Err(refuse(expiry.0, "the expiry must lie in the future")) } else { Ok(Some(expiry.1)) }
}
