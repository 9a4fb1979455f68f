//! `google.protobuf.Struct` as the JSON it stands for.
//!
//! The generated type would be a tree of its own, which every payload had to be copied into and out of. This one is
//! the tree that everything else works with, and it can also hold a payload that was encoded before, so that one
//! encoding serves all plugins that are shown it. Order of keys is kept where the other side keeps it.

#[cfg(test)]
mod tests;

use bytes::{Buf, BufMut, Bytes};
use prost::{
    DecodeError, Message,
    encoding::{self, DecodeContext, WireType, encode_key, encode_varint, encoded_len_varint},
};
use serde_json::{Map, Number, Value};

/// Largest whole number that every smaller one can be told from in a double.
const EXACT: f64 = 9_007_199_254_740_992.0;

/// A JSON object as a protobuf message.
#[derive(Clone, Debug, PartialEq)]
pub enum Struct {
    /// The object.
    Map(Map<String, Value>),
    /// The object as [`Struct::encode_map`] wrote it.
    Encoded(Bytes),
}

impl Default for Struct {
    fn default() -> Self {
        Self::Map(Map::new())
    }
}

impl From<Map<String, Value>> for Struct {
    fn from(map: Map<String, Value>) -> Self {
        Self::Map(map)
    }
}

impl Struct {
    /// Writes an object as the body of such a message.
    #[must_use]
    pub fn encode_map(map: &Map<String, Value>) -> Bytes {
        let mut out = Vec::with_capacity(map_len(map));
        write_map(map, &mut out);
        out.into()
    }

    /// The object. Whole numbers, which travel as doubles, are whole again.
    ///
    /// # Errors
    /// When what was encoded is no such message.
    pub fn into_map(self) -> Result<Map<String, Value>, DecodeError> {
        match self {
            Self::Map(map) => Ok(map),
            Self::Encoded(bytes) => match Self::decode(bytes)? {
                Self::Map(map) => Ok(map),
                Self::Encoded(_) => Ok(Map::new()),
            },
        }
    }

    /// The map, made where there is none yet.
    fn map(&mut self) -> &mut Map<String, Value> {
        if let Self::Encoded(_) = self {
            *self = Self::default();
        }
        match self {
            Self::Map(map) => map,
            Self::Encoded(_) => unreachable!("it was replaced just above"),
        }
    }
}

impl Message for Struct {
    fn encode_raw(&self, buf: &mut impl BufMut) {
        match self {
            Self::Map(map) => write_map(map, buf),
            Self::Encoded(bytes) => buf.put_slice(bytes),
        }
    }

    fn merge_field(
        &mut self,
        tag: u32,
        wire_type: WireType,
        buf: &mut impl Buf,
        ctx: DecodeContext,
    ) -> Result<(), DecodeError> {
        if tag != 1 {
            return encoding::skip_field(wire_type, tag, buf, ctx);
        }
        let mut field = Field::default();
        encoding::message::merge(wire_type, &mut field, buf, ctx)?;
        self.map().insert(field.key, field.value.0);
        Ok(())
    }

    fn encoded_len(&self) -> usize {
        match self {
            Self::Map(map) => map_len(map),
            Self::Encoded(bytes) => bytes.len(),
        }
    }

    fn clear(&mut self) {
        *self = Self::default();
    }
}

/// A key and its value.
#[derive(Debug, Default)]
struct Field {
    key: String,
    value: AnyValue,
}

impl Message for Field {
    fn encode_raw(&self, buf: &mut impl BufMut) {
        write_field(&self.key, &self.value.0, buf);
    }

    fn merge_field(
        &mut self,
        tag: u32,
        wire_type: WireType,
        buf: &mut impl Buf,
        ctx: DecodeContext,
    ) -> Result<(), DecodeError> {
        match tag {
            1 => encoding::string::merge(wire_type, &mut self.key, buf, ctx),
            2 => encoding::message::merge(wire_type, &mut self.value, buf, ctx),
            _ => encoding::skip_field(wire_type, tag, buf, ctx),
        }
    }

    fn encoded_len(&self) -> usize {
        field_len(&self.key, &self.value.0)
    }

    fn clear(&mut self) {
        *self = Self::default();
    }
}

/// One value. Without any of its fields it is null.
#[derive(Debug, Default)]
struct AnyValue(Value);

impl Message for AnyValue {
    fn encode_raw(&self, buf: &mut impl BufMut) {
        write_value(&self.0, buf);
    }

    fn merge_field(
        &mut self,
        tag: u32,
        wire_type: WireType,
        buf: &mut impl Buf,
        ctx: DecodeContext,
    ) -> Result<(), DecodeError> {
        self.0 = match tag {
            1 => {
                let mut null = 0;
                encoding::int32::merge(wire_type, &mut null, buf, ctx)?;
                Value::Null
            }
            2 => {
                let mut number = 0.0;
                encoding::double::merge(wire_type, &mut number, buf, ctx)?;
                number_of(number)
            }
            3 => {
                let mut text = String::new();
                encoding::string::merge(wire_type, &mut text, buf, ctx)?;
                Value::String(text)
            }
            4 => {
                let mut yes = false;
                encoding::bool::merge(wire_type, &mut yes, buf, ctx)?;
                Value::Bool(yes)
            }
            5 => {
                let mut object = Struct::default();
                encoding::message::merge(wire_type, &mut object, buf, ctx)?;
                Value::Object(std::mem::take(object.map()))
            }
            6 => {
                let mut list = List::default();
                encoding::message::merge(wire_type, &mut list, buf, ctx)?;
                Value::Array(list.0)
            }
            _ => return encoding::skip_field(wire_type, tag, buf, ctx),
        };
        Ok(())
    }

    fn encoded_len(&self) -> usize {
        value_len(&self.0)
    }

    fn clear(&mut self) {
        *self = Self::default();
    }
}

/// A list of values.
#[derive(Debug, Default)]
struct List(Vec<Value>);

impl Message for List {
    fn encode_raw(&self, buf: &mut impl BufMut) {
        write_list(&self.0, buf);
    }

    fn merge_field(
        &mut self,
        tag: u32,
        wire_type: WireType,
        buf: &mut impl Buf,
        ctx: DecodeContext,
    ) -> Result<(), DecodeError> {
        if tag != 1 {
            return encoding::skip_field(wire_type, tag, buf, ctx);
        }
        let mut value = AnyValue::default();
        encoding::message::merge(wire_type, &mut value, buf, ctx)?;
        self.0.push(value.0);
        Ok(())
    }

    fn encoded_len(&self) -> usize {
        list_len(&self.0)
    }

    fn clear(&mut self) {
        self.0.clear();
    }
}

/// A number as JSON has it: whole where it is, null where JSON has none.
fn number_of(number: f64) -> Value {
    if number.fract() == 0.0 && number.abs() <= EXACT {
        #[expect(clippy::cast_possible_truncation, reason = "it is whole and small enough")]
        return Value::Number(Number::from(number as i64));
    }
    Number::from_f64(number).map_or(Value::Null, Value::Number)
}

/// Length of a field of this length with a tag below 16.
fn delimited(len: usize) -> usize {
    1 + encoded_len_varint(len as u64) + len
}

fn map_len(map: &Map<String, Value>) -> usize {
    map.iter().map(|(key, value)| delimited(field_len(key, value))).sum()
}

fn field_len(key: &str, value: &Value) -> usize {
    delimited(key.len()) + delimited(value_len(value))
}

fn list_len(list: &[Value]) -> usize {
    list.iter().map(|value| delimited(value_len(value))).sum()
}

fn value_len(value: &Value) -> usize {
    match value {
        Value::Null | Value::Bool(_) => 2,
        Value::Number(_) => 9,
        Value::String(text) => delimited(text.len()),
        Value::Object(map) => delimited(map_len(map)),
        Value::Array(list) => delimited(list_len(list)),
    }
}

fn begin(tag: u32, len: usize, buf: &mut impl BufMut) {
    encode_key(tag, WireType::LengthDelimited, buf);
    encode_varint(len as u64, buf);
}

fn write_map(map: &Map<String, Value>, buf: &mut impl BufMut) {
    for (key, value) in map {
        begin(1, field_len(key, value), buf);
        write_field(key, value, buf);
    }
}

fn write_field(key: &str, value: &Value, buf: &mut impl BufMut) {
    begin(1, key.len(), buf);
    buf.put_slice(key.as_bytes());
    begin(2, value_len(value), buf);
    write_value(value, buf);
}

fn write_list(list: &[Value], buf: &mut impl BufMut) {
    for value in list {
        begin(1, value_len(value), buf);
        write_value(value, buf);
    }
}

fn write_value(value: &Value, buf: &mut impl BufMut) {
    match value {
        Value::Null => {
            encode_key(1, WireType::Varint, buf);
            buf.put_u8(0);
        }
        Value::Number(number) => {
            encode_key(2, WireType::SixtyFourBit, buf);
            buf.put_f64_le(number.as_f64().unwrap_or(f64::NAN));
        }
        Value::String(text) => {
            begin(3, text.len(), buf);
            buf.put_slice(text.as_bytes());
        }
        Value::Bool(yes) => {
            encode_key(4, WireType::Varint, buf);
            buf.put_u8(u8::from(*yes));
        }
        Value::Object(map) => {
            begin(5, map_len(map), buf);
            write_map(map, buf);
        }
        Value::Array(list) => {
            begin(6, list_len(list), buf);
            write_list(list, buf);
        }
    }
}

/// Puts numbers that came back as they went out in their own spelling again: `1.0` stays `1.0`, and a whole number
/// beyond what a double tells apart is not rounded because a plugin changed something beside it.
pub fn restore_numbers(came: &mut Value, went: &Value) {
    match (came, went) {
        (Value::Number(came), Value::Number(went)) if came.as_f64() == went.as_f64() => *came = went.clone(),
        (Value::Object(came), Value::Object(went)) => {
            for (key, value) in came {
                if let Some(before) = went.get(key) {
                    restore_numbers(value, before);
                }
            }
        }
        (Value::Array(came), Value::Array(went)) => {
            came.iter_mut().zip(went).for_each(|(value, before)| restore_numbers(value, before));
        }
        _ => {}
    }
}
