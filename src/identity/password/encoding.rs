//! The text in which a password hash is stored: Django's `algorithm$settings$salt$hash`.
//!
//! Written is one setting, Argon2id as OWASP advises it; read is whatever Django has written since 1.4 that is not MD5
//! or plain SHA-1. A text is parsed and bounded before anything runs: a hash that would take minutes or gigabytes is
//! no hash (Django's `hashers.py` has no such bound).
//! Not here: threads and queues (`pool`), what to do with an outdated hash.

use std::num::NonZeroU32;

use argon2::{Algorithm, Argon2, Block, Params, Version};
use aws_lc_rs::{constant_time, digest, pbkdf2};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};

/// Argon2id as the OWASP password storage cheat sheet advises: 19 MiB, two passes, one lane.
const KIB: u32 = 19_456;
const PASSES: u32 = 2;
const LANES: u32 = 1;
const HASH_BYTES: usize = 32;
const SALT_BYTES: usize = 16;

/// What is never run, however well it is formed.
const MAX_PBKDF2_ITERATIONS: u32 = 10_000_000;
const MAX_BCRYPT_COST: u32 = 16;
const MAX_PASSES: u32 = 64;
const MAX_LANES: u32 = 64;
const MAX_KIB: u64 = 1 << 20;
/// Memory times passes: 64 passes are for 64 MiB, a GiB has 4.
const MAX_KIB_PASSES: u64 = 4 * MAX_KIB;

/// A stored hash that can be verified within bounds.
pub struct Encoded<'a>(Scheme<'a>);

enum Scheme<'a> {
    Argon2 { algorithm: Algorithm, version: Version, params: Params, salt: Vec<u8>, hash: Vec<u8> },
    Pbkdf2 { algorithm: pbkdf2::Algorithm, iterations: NonZeroU32, salt: &'a str, hash: Vec<u8> },
    Bcrypt { sha256_first: bool, crypt: &'a str },
    Scrypt { params: scrypt::Params, salt: &'a str, hash: Vec<u8> },
}

impl<'a> Encoded<'a> {
    /// Reads a stored hash. `None`: unusable (empty, or Django's `!…`), unknown, malformed, or too expensive to run.
    pub fn parse(text: &'a str) -> Option<Self> {
        let (name, rest) = text.split_once('$')?;
        match name {
            "argon2" => parse_argon2(rest),
            "pbkdf2_sha256" => parse_pbkdf2(pbkdf2::PBKDF2_HMAC_SHA256, digest::SHA256_OUTPUT_LEN, rest),
            "pbkdf2_sha1" => parse_pbkdf2(pbkdf2::PBKDF2_HMAC_SHA1, digest::SHA1_OUTPUT_LEN, rest),
            "bcrypt_sha256" => parse_bcrypt(true, rest),
            "bcrypt" => parse_bcrypt(false, rest),
            "scrypt" => parse_scrypt(rest),
            _ => None,
        }
        .map(Self)
    }

    /// Whether [`encode`] would write it with the same settings today; otherwise it is to be written anew.
    pub fn is_current(&self) -> bool {
        match &self.0 {
            Scheme::Argon2 { algorithm: Algorithm::Argon2id, version: Version::V0x13, params, salt, hash } => {
                (params.m_cost(), params.t_cost(), params.p_cost()) == (KIB, PASSES, LANES)
                    && salt.len() >= SALT_BYTES
                    && hash.len() == HASH_BYTES
            }
            _ => false,
        }
    }

    /// Whether it is the hash of this password. Compared in constant time.
    pub fn matches(&self, password: &str, workspace: &mut Workspace) -> bool {
        let password = password.as_bytes();
        workspace.hashes += 1;
        match &self.0 {
            Scheme::Argon2 { algorithm, version, params, salt, hash } => {
                let mut ours = vec![0; hash.len()];
                let argon2 = Argon2::new(*algorithm, *version, params.clone());
                run_argon2(&argon2, password, salt, &mut ours, workspace) && same(&ours, hash)
            }
            Scheme::Pbkdf2 { algorithm, iterations, salt, hash } => {
                pbkdf2::verify(*algorithm, *iterations, salt.as_bytes(), password, hash).is_ok()
            }
            Scheme::Bcrypt { sha256_first, crypt } => {
                // Plain bcrypt takes the first 72 bytes and forgets the rest, as it does in Django.
                let verified = if *sha256_first {
                    bcrypt::verify(hex_sha256(password), crypt)
                } else {
                    bcrypt::verify(password, crypt)
                };
                verified.unwrap_or(false)
            }
            Scheme::Scrypt { params, salt, hash } => {
                let mut ours = vec![0; hash.len()];
                scrypt::scrypt(password, salt.as_bytes(), params, &mut ours).is_ok() && same(&ours, hash)
            }
        }
    }
}

/// Writes a new hash: `argon2$argon2id$v=19$m=19456,t=2,p=1$<salt>$<hash>`, which Django reads too.
///
/// # Errors
/// When there is no memory for it.
pub fn encode(password: &str, salt: [u8; SALT_BYTES], workspace: &mut Workspace) -> Result<String, argon2::Error> {
    workspace.hashes += 1;
    let params = Params::new(KIB, PASSES, LANES, Some(HASH_BYTES))?;
    let mut hash = [0; HASH_BYTES];
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    if !run_argon2(&argon2, password.as_bytes(), &salt, &mut hash, workspace) {
        return Err(argon2::Error::OutOfMemory);
    }
    let (salt, hash) = (STANDARD_NO_PAD.encode(salt), STANDARD_NO_PAD.encode(hash));
    Ok(format!("argon2$argon2id$v=19$m={KIB},t={PASSES},p={LANES}${salt}${hash}"))
}

/// What one thread keeps from hash to hash: the memory of the current setting, and a count.
#[derive(Default)]
pub struct Workspace {
    blocks: Vec<Block>,
    hashes: u64,
}

impl Workspace {
    /// From 32 MiB on glibc maps an allocation by itself, so that a release really returns it to the system; below, it
    /// would keep 19 MiB in each thread's heap. What lies beyond the used blocks is never touched, so it costs nothing.
    const RESERVED_BLOCKS: usize = 33 << 10;

    /// Gives the memory back.
    pub fn release(&mut self) {
        self.blocks = Vec::new();
    }

    /// How many hashes were computed since this was last asked.
    pub fn take_count(&mut self) -> u64 {
        std::mem::take(&mut self.hashes)
    }

    /// The kept memory. `None`: the system has none to give.
    fn blocks(&mut self) -> Option<&mut [Block]> {
        if self.blocks.is_empty() {
            self.blocks.try_reserve_exact(Self::RESERVED_BLOCKS).ok()?;
            self.blocks.resize(KIB as usize, Block::new());
        }
        Some(&mut self.blocks)
    }
}

/// A foreign setting that needs more than the kept memory gets its own, for this once.
fn run_argon2(argon2: &Argon2<'_>, password: &[u8], salt: &[u8], out: &mut [u8], workspace: &mut Workspace) -> bool {
    if argon2.params().block_count() > KIB as usize {
        return argon2.hash_password_into(password, salt, out).is_ok();
    }
    workspace.blocks().is_some_and(|blocks| argon2.hash_password_into_with_memory(password, salt, out, blocks).is_ok())
}

/// `argon2id$v=19$m=…,t=…,p=…$salt$hash`; without `v=` it is Argon2 1.0.
fn parse_argon2(text: &str) -> Option<Scheme<'_>> {
    let fields: Vec<&str> = text.split('$').collect();
    let (variant, version, settings, salt, hash) = match fields[..] {
        [variant, "v=19", settings, salt, hash] => (variant, Version::V0x13, settings, salt, hash),
        [variant, "v=16", settings, salt, hash] | [variant, settings, salt, hash] => {
            (variant, Version::V0x10, settings, salt, hash)
        }
        _ => return None,
    };
    let algorithm = match variant {
        "argon2id" => Algorithm::Argon2id,
        "argon2i" => Algorithm::Argon2i,
        "argon2d" => Algorithm::Argon2d,
        _ => return None,
    };
    let (kib, rest) = settings.strip_prefix("m=")?.split_once(",t=")?;
    let (passes, lanes) = rest.split_once(",p=")?;
    let (kib, passes, lanes): (u32, u32, u32) = (kib.parse().ok()?, passes.parse().ok()?, lanes.parse().ok()?);
    if u64::from(kib) > MAX_KIB
        || passes > MAX_PASSES
        || lanes > MAX_LANES
        || u64::from(kib) * u64::from(passes) > MAX_KIB_PASSES
    {
        return None;
    }
    let (salt, hash) = (STANDARD_NO_PAD.decode(salt).ok()?, STANDARD_NO_PAD.decode(hash).ok()?);
    if salt.len() < argon2::MIN_SALT_LEN || !(16..=64).contains(&hash.len()) {
        return None;
    }
    let params = Params::new(kib, passes, lanes, Some(hash.len())).ok()?;
    Some(Scheme::Argon2 { algorithm, version, params, salt, hash })
}

/// `iterations$salt$hash`; the salt is text, and its bytes are the salt.
fn parse_pbkdf2(algorithm: pbkdf2::Algorithm, hash_bytes: usize, text: &str) -> Option<Scheme<'_>> {
    let fields: Vec<&str> = text.split('$').collect();
    let [iterations, salt, hash] = fields[..] else { return None };
    let iterations: NonZeroU32 = iterations.parse().ok()?;
    let hash = STANDARD.decode(hash).ok()?;
    let readable = iterations.get() <= MAX_PBKDF2_ITERATIONS && !salt.is_empty() && hash.len() == hash_bytes;
    readable.then_some(Scheme::Pbkdf2 { algorithm, iterations, salt, hash })
}

/// A `$2b$…` text behind Django's name for it.
fn parse_bcrypt(sha256_first: bool, crypt: &str) -> Option<Scheme<'_>> {
    let parts: bcrypt::HashParts = crypt.parse().ok()?;
    (4..=MAX_BCRYPT_COST).contains(&parts.get_cost()).then_some(Scheme::Bcrypt { sha256_first, crypt })
}

/// `N$salt$r$p$hash`; the salt is text, and its bytes are the salt.
fn parse_scrypt(text: &str) -> Option<Scheme<'_>> {
    let fields: Vec<&str> = text.split('$').collect();
    let [n, salt, r, p, hash] = fields[..] else { return None };
    let (n, r, p): (u64, u32, u32) = (n.parse().ok()?, r.parse().ok()?, p.parse().ok()?);
    if n < 2 || !n.is_power_of_two() || salt.is_empty() || p > MAX_LANES {
        return None;
    }
    // 128·r bytes for each of N entries and p lanes (RFC 7914 §2).
    let kib = u128::from(r) * (u128::from(n) + u128::from(p)) / 8;
    if kib > u128::from(MAX_KIB) || kib * u128::from(p) > u128::from(MAX_KIB_PASSES) {
        return None;
    }
    let params = scrypt::Params::new(u8::try_from(n.ilog2()).ok()?, r, p).ok()?;
    let hash = STANDARD.decode(hash).ok()?;
    (hash.len() == 64).then_some(Scheme::Scrypt { params, salt, hash })
}

fn same(ours: &[u8], theirs: &[u8]) -> bool {
    constant_time::verify_slices_are_equal(ours, theirs).is_ok()
}

/// Lower-case hexadecimal SHA-256: it keeps bcrypt from cutting long passwords, and from stopping at a NUL byte.
fn hex_sha256(password: &[u8]) -> String {
    vestibule_protocol::hex(digest::digest(&digest::SHA256, password).as_ref())
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWORD: &str = "correct horse åäö";
    /// Django 5.2's hasher at our setting.
    const CURRENT: &str =
        "argon2$argon2id$v=19$m=19456,t=2,p=1$MDEyMzQ1Njc4OWFiY2RlZg$cHrj0Sv21mpuDwJdEEt7pCPytt247nK8+gwwA1XOOag";
    /// Of [`PASSWORD`], by Django 5.2 (bcrypt 4.3). It writes only Argon2id: argon2i, argon2d and v=16 are by its library
    /// argon2-cffi 25.1 and verified by Django; the one without `v=` is the one before it with that left out.
    const OUTDATED: [&str; 10] = [
        "argon2$argon2id$v=19$m=102400,t=2,p=8$ejZIajVjWUNPd1ZPcmMxUUlQYkJsMA$gnWVzLW0gpfjMnb/qV+ePdDYgQkzO1jE21Z8YSMt8BM",
        "argon2$argon2i$v=19$m=512,t=2,p=2$c2FsdHNhbHRzYWx0MTIzNA$PcRUNBQD+Kgr41mv4bDbIQ",
        "argon2$argon2d$v=19$m=512,t=2,p=2$c2FsdHNhbHRzYWx0MTIzNA$DKcyLD6N9uHkSMpTFccaEQ",
        "argon2$argon2i$v=16$m=512,t=2,p=2$c2FsdHNhbHRzYWx0MTIzNA$NSxPj71SBEkZ9M7z5funiw",
        "argon2$argon2i$m=512,t=2,p=2$c2FsdHNhbHRzYWx0MTIzNA$NSxPj71SBEkZ9M7z5funiw",
        "pbkdf2_sha256$1000$JLVxqSn0088nVo6MN9Zwte$D23h+204+SdPNVBWPk96zEGcAo9iKFSagULYCVKDcOg=",
        "pbkdf2_sha1$1000$PDGG3JKwIXSH91zcA75wKC$gJPjMivRhpAXqEL+QMlxEGVj/Ns=",
        "bcrypt_sha256$$2b$04$k/WqnQSobFbJsrpKDhZArOh8BYDT6jXpBt3ZTuJjA5poWipln4ZSi",
        "bcrypt$$2b$04$EKsg2z7ERUXKWkxkgsBqoev4QIieuvbHZvsJ/wATcl.UoqVTO3gKO",
        "scrypt$16384$BFbhMvol2LDuYqD3YOyQZc$8$5$NV18NvIRG88A6EhYqRwCirKRN0vZCfKVodCLXhhqbsINCsfx+hg/3B1eBfP6uXNr0dwpwYjuXhdJpd1zKRTD3g==",
    ];

    fn matches(text: &str, password: &str) -> bool {
        Encoded::parse(text).unwrap().matches(password, &mut Workspace::default())
    }

    #[test]
    fn every_format_of_django_is_verified() {
        for text in OUTDATED.into_iter().chain([CURRENT]) {
            assert!(matches(text, PASSWORD), "{text}");
            assert!(!matches(text, "correct horse aao"), "{text}");
            assert!(!matches(text, ""), "{text}");
        }
    }

    #[test]
    fn only_the_current_setting_is_current() {
        assert!(Encoded::parse(CURRENT).unwrap().is_current());
        for text in OUTDATED {
            assert!(!Encoded::parse(text).unwrap().is_current(), "{text}");
        }
        for (ours, other) in [("m=19456", "m=19457"), ("t=2", "t=3"), ("p=1", "p=2"), ("argon2id", "argon2i")] {
            assert!(!Encoded::parse(&CURRENT.replace(ours, other)).unwrap().is_current(), "{other}");
        }
    }

    #[test]
    fn a_new_hash_is_letter_for_letter_what_django_writes() {
        let mut workspace = Workspace::default();

        let first = encode(PASSWORD, *b"0123456789abcdef", &mut workspace).unwrap();
        let in_used_memory = encode(PASSWORD, *b"0123456789abcdef", &mut workspace).unwrap();
        workspace.release();
        let in_new_memory = encode(PASSWORD, *b"0123456789abcdef", &mut workspace).unwrap();

        assert_eq!(first, CURRENT);
        assert_eq!(in_used_memory, CURRENT);
        assert_eq!(in_new_memory, CURRENT);
    }

    #[test]
    fn empty_passwords_nul_bytes_and_long_passwords_are_as_in_django() {
        let long = "x".repeat(80);
        for (text, password, wrong) in [
            ("pbkdf2_sha256$1000$seasalt$XHfRVmyEZRTCcSbqGP00JKv0fRwYHK0ogjPZdSJxCXk=", "", "x"),
            ("pbkdf2_sha1$1000$seasalt$dbFbGdNSsmpcbEzYDW8WUNxI63I=", "", "x"),
            ("bcrypt_sha256$$2b$04$TuzdxcaRBfsbCslIGl4sBOiR8YWje9o.6CMNPoT2GZLmhQm6rRVNm", "a\0b", "a"),
            ("bcrypt$$2b$04$//Fzl0Bi244i9vqWAQDXg.xAcdghx3VMHtIuigsnDuRjpi5F604oK", "a\0b", "a"),
            ("bcrypt_sha256$$2b$04$Owa4OHlfxdZOLNNv.HQC5O0p6fzLEJ.zq9yB/o2HSLKPsGcEibN2q", &long, &long[..72]),
            ("bcrypt$$2b$04$yfQdSkLur/25F0qYYtYTOuycCYa3Vv6Qi1/NkGzkXDYaWBNNGM0Yq", &long, &long[..71]),
            ("bcrypt$$2b$04$yfQdSkLur/25F0qYYtYTOuycCYa3Vv6Qi1/NkGzkXDYaWBNNGM0Yq", &long[..72], "x"),
        ] {
            assert!(matches(text, password), "{text}");
            assert!(!matches(text, wrong), "{text}");
        }
    }

    #[test]
    fn a_hash_bomb_is_no_hash() {
        // attack 269
        let argon2 = "argon2$argon2id$v=19$SETTING$MDEyMzQ1Njc4OWFiY2RlZg$cHrj0Sv21mpuDwJdEEt7pCPytt247nK8+gwwA1XOOag";
        let scrypt = format!("scrypt$N$salt$R$P${}", STANDARD.encode([0; 64]));
        let scrypt = |n: &str, r: &str, p: &str| scrypt.replace('N', n).replace('R', r).replace("P$", &format!("{p}$"));
        let (pbkdf2, bcrypt) = (OUTDATED[5], OUTDATED[8]);

        let within = [
            argon2.replace("SETTING", "m=1048576,t=4,p=64"),
            argon2.replace("SETTING", "m=65536,t=64,p=1"),
            pbkdf2.replace("$1000$", "$10000000$"),
            bcrypt.replace("$04$", "$16$"),
            scrypt("524288", "8", "1"),
        ];
        let bombs = [
            argon2.replace("SETTING", "m=1048577,t=1,p=1"),
            argon2.replace("SETTING", "m=67108864,t=1,p=1"),
            argon2.replace("SETTING", "m=1048576,t=5,p=1"),
            argon2.replace("SETTING", "m=19456,t=65,p=1"),
            argon2.replace("SETTING", "m=19456,t=1000000000000,p=1"),
            argon2.replace("SETTING", "m=19456,t=2,p=65"),
            argon2.replace("SETTING", "m=19456,t=2,p=4294967295"),
            pbkdf2.replace("$1000$", "$10000001$"),
            pbkdf2.replace("$1000$", "$1000000000000$"),
            bcrypt.replace("$04$", "$17$"),
            bcrypt.replace("$04$", "$31$"),
            scrypt("1048576", "8", "1"),
            scrypt("9223372036854775808", "4294967295", "1"),
            scrypt("2", "4294967295", "1"),
            scrypt("16384", "8", "65"),
            scrypt("262144", "16", "64"),
            scrypt("2", "1", "4294967295"),
        ];

        for text in within {
            assert!(Encoded::parse(&text).is_some(), "{text}");
        }
        for text in bombs {
            assert!(Encoded::parse(&text).is_none(), "{text}");
        }
    }

    #[test]
    fn what_is_unusable_or_malformed_is_no_hash() {
        let every_hash_cut = OUTDATED.map(|text| text[..text.len() - 9].to_owned());
        let every_hash_with_more = OUTDATED.map(|text| format!("{text}$"));
        let odd = [
            "",
            "!",
            "!abcdef",
            "$",
            "$$$$$",
            "plain",
            "md5$salt$0123",
            "sha1$$0123",
            "argon2",
            "argon2$",
            "bcrypt$",
            "argon2$argon2id$v=19$m=8,t=0,p=0$c2FsdHNhbHRzYWx0$AAAAAAAAAAAAAAAAAAAAAA",
            "argon2$argon2id$v=20$m=8,t=1,p=1$c2FsdHNhbHRzYWx0$AAAAAAAAAAAAAAAAAAAAAA",
            "argon2$argon2id$v=19$m=8,t=1,p=1$c2FsdA$AAAAAAAAAAAAAAAAAAAAAA",
            "argon2$argon2id$v=19$m=8,t=1,p=64$c2FsdHNhbHRzYWx0$AAAAAAAAAAAAAAAAAAAAAA",
            "argon2$argon2id$v=19$m=8,t=1,p=1$c2FsdHNhbHRzYWx0$",
            "pbkdf2_sha256$0$salt$D23h+204+SdPNVBWPk96zEGcAo9iKFSagULYCVKDcOg=",
            "pbkdf2_sha256$-1$salt$D23h+204+SdPNVBWPk96zEGcAo9iKFSagULYCVKDcOg=",
            "pbkdf2_sha256$1$$D23h+204+SdPNVBWPk96zEGcAo9iKFSagULYCVKDcOg=",
            "pbkdf2_sha256$1$salt$",
            "bcrypt$$2b$03$EKsg2z7ERUXKWkxkgsBqoev4QIieuvbHZvsJ/wATcl.UoqVTO3gKO",
            "bcrypt$$2b$04$åKsg2z7ERUXKWkxkgsBqoev4QIieuvbHZvsJ/wATcl.UoqVTO3gK",
            "scrypt$0$salt$8$1$",
            "scrypt$3$salt$8$1$",
            "scrypt$16384$salt$0$0$",
        ];
        for text in every_hash_cut.iter().chain(&every_hash_with_more).map(String::as_str).chain(odd) {
            assert!(Encoded::parse(text).is_none(), "{text}");
        }
    }
}
