//! CBOR (RFC 8949), as much of it as an authenticator writes (CTAP2's canonical form): whole numbers, byte and text strings,
//! arrays, maps, booleans and null, each with its length before it.
//!
//! Refused are lengths that are not said (indefinite), tags, fractions, a key that is there twice, and nesting deeper than
//! [`DEEPEST`]. Nothing is kept for what has not come: a length counts no more than the bytes that are there.

/// CTAP2 §8 allows four levels; attestation statements that we pass over have a few more.
const DEEPEST: usize = 8;

/// A value; its strings are the bytes that came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Value<'a> {
    /// Of either sign, as far as 64 bits hold it.
    Int(i64),
    Bytes(&'a [u8]),
    Text(&'a str),
    Array(Vec<Self>),
    Map(Vec<(Self, Self)>),
    Bool(bool),
    Null,
}

/// The value that these bytes begin with, and what stands behind it.
pub(super) fn first(bytes: &[u8]) -> Option<(Value<'_>, &[u8])> {
    let mut rest = bytes;
    let value = read(&mut rest, DEEPEST)?;
    Some((value, rest))
}

/// The value that these bytes are, to the last one.
pub(super) fn whole(bytes: &[u8]) -> Option<Value<'_>> {
    first(bytes).filter(|(_, rest)| rest.is_empty()).map(|(value, _)| value)
}

impl<'a> Value<'a> {
    /// The member of a map with this number.
    pub fn at(&self, label: i64) -> Option<&Self> {
        self.member(&Value::Int(label))
    }

    /// The member of a map with this name.
    pub fn named(&self, name: &'a str) -> Option<&Self> {
        self.member(&Value::Text(name))
    }

    fn member(&self, key: &Self) -> Option<&Self> {
        let Self::Map(members) = self else { return None };
        members.iter().find(|(own, _)| own == key).map(|(_, value)| value)
    }

    pub fn int(&self) -> Option<i64> {
        if let Self::Int(number) = self { Some(*number) } else { None }
    }

    pub fn bytes(&self) -> Option<&'a [u8]> {
        if let Self::Bytes(bytes) = self { Some(bytes) } else { None }
    }

    pub fn text(&self) -> Option<&'a str> {
        if let Self::Text(text) = self { Some(text) } else { None }
    }
}

fn read<'a>(rest: &mut &'a [u8], depth: usize) -> Option<Value<'a>> {
    let head = take(rest, 1)?[0];
    let (kind, short) = (head >> 5, head & 0x1F);
    let number = match short {
        0..=23 => u64::from(short),
        24..=27 if kind != 7 => {
            let bytes = take(rest, 1 << (short - 24))?;
            bytes.iter().fold(0, |number, byte| number << 8 | u64::from(*byte))
        }
        _ => return None,
    };
    // No list is longer than the bytes that are left for it.
    let count = || usize::try_from(number).ok();
    Some(match kind {
        0 => Value::Int(i64::try_from(number).ok()?),
        1 => Value::Int(-1 - i64::try_from(number).ok()?),
        2 => Value::Bytes(take(rest, count()?)?),
        3 => Value::Text(std::str::from_utf8(take(rest, count()?)?).ok()?),
        4 => {
            let depth = depth.checked_sub(1)?;
            let count = count().filter(|count| *count <= rest.len())?;
            Value::Array((0..count).map(|_| read(rest, depth)).collect::<Option<_>>()?)
        }
        5 => {
            let depth = depth.checked_sub(1)?;
            let count = count().filter(|count| *count <= rest.len() / 2)?;
            let mut members: Vec<(Value<'a>, Value<'a>)> = Vec::new();
            for _ in 0..count {
                let key = read(rest, depth)?;
                let is_plain = matches!(key, Value::Int(_) | Value::Text(_));
                if !is_plain || members.len() >= MOST_MEMBERS || members.iter().any(|(own, _)| *own == key) {
                    return None;
                }
                members.push((key, read(rest, depth)?));
            }
            Value::Map(members)
        }
        7 => match number {
            20 => Value::Bool(false),
            21 => Value::Bool(true),
            22 => Value::Null,
            _ => return None,
        },
        _ => return None,
    })
}

/// Members of one map: each is compared with those before it.
const MOST_MEMBERS: usize = 64;

fn take<'a>(rest: &mut &'a [u8], count: usize) -> Option<&'a [u8]> {
    let (taken, left) = rest.split_at_checked(count)?;
    *rest = left;
    Some(taken)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Value, first, whole};

    #[test]
    fn the_examples_of_the_rfc_are_read() {
        // RFC 8949 appendix A
        for (bytes, value) in [
            (&b"\x00"[..], Value::Int(0)),
            (b"\x17", Value::Int(23)),
            (b"\x18\x18", Value::Int(24)),
            (b"\x1a\x00\x0f\x42\x40", Value::Int(1_000_000)),
            (b"\x20", Value::Int(-1)),
            (b"\x39\x03\xe7", Value::Int(-1000)),
            (b"\xf4", Value::Bool(false)),
            (b"\xf5", Value::Bool(true)),
            (b"\xf6", Value::Null),
            (b"\x44\x01\x02\x03\x04", Value::Bytes(&[1, 2, 3, 4])),
            (b"\x62\xc3\xbc", Value::Text("ü")),
            (b"\x82\x01\x81\x02", Value::Array(vec![Value::Int(1), Value::Array(vec![Value::Int(2)])])),
            (b"\xa1\x61a\x01", Value::Map(vec![(Value::Text("a"), Value::Int(1))])),
        ] {
            assert_eq!(whole(bytes), Some(value), "{bytes:x?}");
        }
        assert_eq!(first(b"\x01\x02"), Some((Value::Int(1), &b"\x02"[..])));
    }

    #[test]
    fn what_no_authenticator_writes_is_refused() {
        let deep = [[0x81; 9].as_slice(), &[0]].concat();
        for (bytes, why) in [
            (&b""[..], "nothing"),
            (b"\x01\x02", "something behind it"),
            (b"\x18", "cut"),
            (b"\x42\x01", "a string longer than what is there"),
            (b"\x5b\xff\xff\xff\xff\xff\xff\xff\xff", "a huge string"),
            (b"\x9b\x7f\xff\xff\xff\xff\xff\xff\xff", "a huge array"),
            (b"\xbb\xff\xff\xff\xff\xff\xff\xff\xff", "a huge map"),
            (b"\x9f\x01\xff", "a length that is not said"),
            (b"\x5f\x41\x01\xff", "a string in pieces"),
            (b"\xa2\x01\x01\x01\x02", "a key twice"),
            (b"\xa1\x40\x01", "bytes as a key"),
            (b"\xc0\x61a", "a tag"),
            (b"\xf9\x3c\x00", "a fraction"),
            (b"\xf7", "undefined"),
            (b"\x1c", "a reserved length"),
            (b"\x1b\xff\xff\xff\xff\xff\xff\xff\xff", "a number of 64 bits"),
            (b"\x61\xff", "no UTF-8"),
            (&deep, "too deep"),
        ] {
            assert_eq!(whole(bytes), None, "{why}");
        }
    }

    proptest! {
        #[test]
        fn whatever_comes_is_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            if let Some((_, rest)) = first(&bytes) {
                prop_assert!(rest.len() < bytes.len());
            }
        }
    }
}
