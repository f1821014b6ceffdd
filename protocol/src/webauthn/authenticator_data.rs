//! What an authenticator says of itself and of the ceremony (WebAuthn §6.1): 37 bytes, and for a new credential its id and key.

use super::cbor::{self, Value};

/// Longer ids are refused (§7.1).
const LONGEST_ID: usize = 1023;

const USER_PRESENT: u8 = 1;
const USER_VERIFIED: u8 = 1 << 2;
const BACKUP_ELIGIBLE: u8 = 1 << 3;
const BACKED_UP: u8 = 1 << 4;
const ATTESTED: u8 = 1 << 6;
const EXTENDED: u8 = 1 << 7;

/// Authenticator data, read to the last byte.
pub(super) struct AuthenticatorData<'a> {
    pub rp_id_hash: &'a [u8],
    flags: u8,
    /// 0 where the authenticator does not count.
    pub sign_count: u32,
    /// The credential's id and its COSE_Key, as it was written.
    pub attested: Option<(&'a [u8], &'a [u8])>,
}

impl<'a> AuthenticatorData<'a> {
    /// `None`: cut, longer than its flags say, or something in it is malformed.
    pub fn read(bytes: &'a [u8]) -> Option<Self> {
        let (rp_id_hash, rest) = bytes.split_at_checked(32)?;
        let (&[flags, a, b, c, d], mut rest) = rest.split_first_chunk::<5>()?;
        let mut attested = None;
        if flags & ATTESTED != 0 {
            let (_aaguid, after) = rest.split_at_checked(16)?;
            let (length, after) = after.split_first_chunk::<2>()?;
            let length = usize::from(u16::from_be_bytes(*length));
            if length == 0 || length > LONGEST_ID {
                return None;
            }
            let (id, after) = after.split_at_checked(length)?;
            let (_, behind) = cbor::first(after)?;
            attested = Some((id, after.get(..after.len() - behind.len())?));
            rest = behind;
        }
        if flags & EXTENDED != 0 {
            // Nothing was asked for, so whatever it says is passed over.
            let (extensions, behind) = cbor::first(rest)?;
            matches!(extensions, Value::Map(_)).then_some(())?;
            rest = behind;
        }
        let sign_count = u32::from_be_bytes([a, b, c, d]);
        let is_consistent = flags & BACKED_UP == 0 || flags & BACKUP_ELIGIBLE != 0;
        (rest.is_empty() && is_consistent).then_some(Self { rp_id_hash, flags, sign_count, attested })
    }

    pub fn is_user_present(&self) -> bool {
        self.flags & USER_PRESENT != 0
    }

    pub fn is_user_verified(&self) -> bool {
        self.flags & USER_VERIFIED != 0
    }

    pub fn is_backup_eligible(&self) -> bool {
        self.flags & BACKUP_ELIGIBLE != 0
    }

    pub fn is_backed_up(&self) -> bool {
        self.flags & BACKED_UP != 0
    }
}
