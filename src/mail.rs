//! Mails: over SMTP, or into a folder where no server is named.
//!
//! Not here: what a mail says (`http`), and how many somebody may be sent.

use std::path::PathBuf;
use std::time::{Duration, UNIX_EPOCH};

use lettre::message::header::{HeaderName, HeaderValue};
use lettre::message::{Mailbox, MultiPart};
use lettre::{Address, AsyncSmtpTransport, AsyncTransport as _, Message, Tokio1Executor};
use serde::{Deserialize, Serialize};
use vestibule_protocol::hex;

use crate::settings::MailSettings;

/// RFC 5321 §4.5.3.1.3: no path is longer.
const LONGEST_ADDRESS: usize = 254;

/// The way that mails go.
pub struct Mailer {
    way: Way,
    from: Mailbox,
    timeout: Duration,
}

enum Way {
    Smtp(AsyncSmtpTransport<Tokio1Executor>),
    Folder(PathBuf),
    Nowhere,
}

/// A mail to one person. Its lines hold secrets, so there is no `Debug`.
#[derive(Deserialize, Serialize)]
pub struct Mail {
    /// The person's address.
    pub to: String,
    /// One line.
    pub subject: String,
    /// The whole of it for readers without HTML.
    pub text: String,
    /// The same as HTML.
    pub html: String,
    /// When it is sent, in seconds since 1970.
    pub at: i64,
    /// Makes its id one of its own.
    pub random: [u8; 16],
}

/// Why a mail was not handed over.
#[derive(Debug, thiserror::Error)]
pub enum Undelivered {
    /// No mail can be sent to this address.
    #[error("no mail can be sent to this address")]
    Address(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The operator has named neither a server nor a folder.
    #[error("neither `mail.smtp_url` nor `mail.folder` is set")]
    Nowhere,
    /// The server did not take it in time.
    #[error("the mail server did not take the mail in time")]
    Late,
    /// The server or the folder did not take it.
    #[error("the mail was not taken")]
    Refused(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl Mailer {
    /// Reads the settings. Nothing is called.
    ///
    /// # Errors
    /// The key that is wrong, and a sentence that does not repeat the value: it may hold a password.
    pub fn new(settings: &MailSettings) -> Result<Self, (&'static str, String)> {
        let way = match (&settings.smtp_url, &settings.folder) {
            (Some(url), _) => {
                let builder = AsyncSmtpTransport::<Tokio1Executor>::from_url(url.reveal()).map_err(|_| {
                    let sentence = "is not an address such as smtps://user:password@mail.example.com or smtp://mail.example.com:587?tls=required";
                    ("mail.smtp_url", sentence.to_owned())
                })?;
                if settings.from.is_none() {
                    return Err(("mail.from", "must be set where `mail.smtp_url` is".to_owned()));
                }
                Way::Smtp(builder.timeout(Some(settings.timeout)).build())
            }
            (None, Some(folder)) => Way::Folder(PathBuf::from(folder)),
            (None, None) => Way::Nowhere,
        };
        let from = settings.from.as_deref().unwrap_or("vestibule@localhost.localdomain");
        let from = from
            .parse()
            .map_err(|_| ("mail.from", format!("`{from}` is not an address such as Example <no-reply@example.com>")))?;
        Ok(Self { way, from, timeout: settings.timeout })
    }

    /// Whether mails can leave at all.
    pub fn is_there(&self) -> bool {
        !matches!(self.way, Way::Nowhere)
    }

    /// Whether the server takes our greeting, for `vestibule check`: one sentence, good or bad.
    ///
    /// # Errors
    /// The sentence that says what is wrong.
    pub async fn check(&self) -> Result<String, String> {
        match &self.way {
            Way::Nowhere => Ok("no mails are sent".to_owned()),
            Way::Folder(folder) => Ok(format!("mails are written into {}", folder.display())),
            Way::Smtp(transport) => match tokio::time::timeout(self.timeout, transport.test_connection()).await {
                Ok(Ok(true)) => Ok("the mail server answers".to_owned()),
                Ok(Ok(false)) => Err("mail.smtp_url: the mail server does not greet back".to_owned()),
                Ok(Err(error)) => Err(format!("mail.smtp_url: {}", crate::describe(&error))),
                Err(_) => Err("mail.smtp_url: the mail server does not answer in time".to_owned()),
            },
        }
    }

    /// Hands a mail over.
    ///
    /// # Errors
    /// [`Undelivered`].
    pub async fn send(&self, mail: Mail) -> Result<(), Undelivered> {
        let message = self.message(&mail)?;
        let refused = |error: Box<dyn std::error::Error + Send + Sync>| Undelivered::Refused(error);
        match &self.way {
            Way::Nowhere => Err(Undelivered::Nowhere),
            Way::Smtp(transport) => match tokio::time::timeout(self.timeout, transport.send(message)).await {
                Ok(Ok(_)) => Ok(()),
                Ok(Err(error)) if error.is_timeout() => Err(Undelivered::Late),
                Ok(Err(error)) => Err(refused(error.into())),
                Err(_) => Err(Undelivered::Late),
            },
            Way::Folder(folder) => {
                let file = folder.join(format!("{}-{}.eml", mail.at, hex(&mail.random)));
                let folder = folder.clone();
                let written = tokio::task::spawn_blocking(move || {
                    std::fs::create_dir_all(&folder)?;
                    std::fs::write(file, message.formatted())
                });
                match written.await {
                    Ok(Ok(())) => Ok(()),
                    Ok(Err(error)) => Err(refused(error.into())),
                    Err(error) => Err(refused(error.into())),
                }
            }
        }
    }

    fn message(&self, mail: &Mail) -> Result<Message, Undelivered> {
        let unfit = |error: Box<dyn std::error::Error + Send + Sync>| Undelivered::Address(error);
        let to: Address = mail.to.parse().map_err(|error: lettre::address::AddressError| unfit(error.into()))?;
        // A subject is one line, whatever a name in it holds.
        let subject: String = mail.subject.chars().filter(|c| !c.is_control()).collect();
        let sent_at = UNIX_EPOCH + Duration::from_secs(u64::try_from(mail.at).unwrap_or_default());
        let id = format!("<{}@{}>", hex(&mail.random), self.from.email.domain());
        Message::builder()
            .from(self.from.clone())
            .to(Mailbox::new(None, to))
            .subject(subject)
            .date(sent_at)
            .message_id(Some(id))
            // RFC 3834: nobody's holiday note answers it.
            .raw_header(HeaderValue::new(HeaderName::new_from_ascii_str("Auto-Submitted"), "auto-generated".to_owned()))
            .multipart(MultiPart::alternative_plain_html(mail.text.clone(), mail.html.clone()))
            .map_err(|error| Undelivered::Refused(error.into()))
    }
}

/// The address, if a mail can be sent to it: plainly `local@domain`, without quotes, comments and blanks.
pub fn plain_address(text: &str) -> Option<&str> {
    let text = text.trim();
    let plain = |c: char| {
        !c.is_control()
            && !c.is_whitespace()
            && !matches!(c, '"' | '(' | ')' | '<' | '>' | ',' | ';' | ':' | '[' | ']' | '\\')
    };
    let (local, domain) = text.split_once('@')?;
    let is_domain = domain.contains('.') && domain.chars().all(|c| c.is_alphanumeric() || matches!(c, '.' | '-'));
    let fits = !local.is_empty() && is_domain && text.len() <= LONGEST_ADDRESS && text.chars().all(plain);
    (fits && text.parse::<Address>().is_ok()).then_some(text)
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
    use tokio::net::TcpStream;
    use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

    use super::{Mail, Mailer, Undelivered, plain_address};
    use crate::settings::{Hidden, MailSettings};

    fn mail(to: &str, subject: &str) -> Mail {
        Mail {
            to: to.into(),
            subject: subject.into(),
            text: "Grüße\n.\nQUIT\n".into(),
            html: "<p>Grüße</p>".into(),
            at: 1_700_000_000,
            random: [7; 16],
        }
    }

    #[tokio::test]
    async fn a_mail_is_a_file_and_no_name_in_it_makes_a_header() {
        let folder = tempfile::tempdir().unwrap();
        let settings =
            MailSettings { folder: Some(folder.path().join("mails").display().to_string()), ..MailSettings::default() };
        let mailer = Mailer::new(&settings).unwrap();

        mailer.send(mail("ada@example.com", "Hello\r\nBcc: eve@example.com")).await.unwrap();

        let file = std::fs::read_dir(folder.path().join("mails")).unwrap().next().unwrap().unwrap().path();
        let text = std::fs::read_to_string(file).unwrap();
        let (head, _) = text.split_once("\r\n\r\n").unwrap();
        assert!(head.contains("To: ada@example.com") && head.contains("Auto-Submitted: auto-generated"), "{head}");
        assert!(!head.lines().any(|line| line.starts_with("Bcc")), "{head}");
        assert!(head.contains("Date: Tue, 14 Nov 2023"), "{head}");
        for odd in
            ["ada@example.com\r\nBcc: eve@example.com", "ada@example.com, eve@example.com", "<ada@example.com>", ""]
        {
            assert!(matches!(mailer.send(mail(odd, "x")).await, Err(Undelivered::Address(_))), "{odd:?}");
        }
    }

    async fn converse(mut socket: TcpStream, tell: UnboundedSender<String>) {
        let (read, mut write) = socket.split();
        let mut lines = BufReader::new(read).lines();
        write.write_all(b"220 ready\r\n").await.unwrap();
        let mut is_body = false;
        while let Ok(Some(line)) = lines.next_line().await {
            tell.send(line.clone()).unwrap();
            let answer: &[u8] = match line.as_str() {
                "DATA" => b"354 go on\r\n",
                "." if is_body => b"250 taken\r\n",
                _ if is_body => continue,
                _ => b"250 fine\r\n",
            };
            is_body = line == "DATA";
            write.write_all(answer).await.unwrap();
        }
    }

    /// A mail server, and what it is told.
    async fn server() -> (String, UnboundedReceiver<String>) {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("smtp://{}", listener.local_addr().unwrap());
        let (tell, told) = unbounded_channel();
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                tokio::spawn(converse(socket, tell.clone()));
            }
        });
        (url, told)
    }

    #[tokio::test]
    async fn a_mail_goes_by_smtp_and_ends_where_it_ends() {
        let (url, mut told) = server().await;
        let settings = MailSettings {
            smtp_url: Some(Hidden::new(url)),
            from: Some("Site <no-reply@example.com>".into()),
            ..MailSettings::default()
        };
        let mailer = Mailer::new(&settings).unwrap();

        assert_eq!(mailer.check().await.unwrap(), "the mail server answers");
        mailer.send(mail("ada@example.com", "Hello")).await.unwrap();

        let mut lines = Vec::new();
        while let Ok(line) = told.try_recv() {
            lines.push(line);
        }
        let has = |wanted: &str| lines.iter().any(|line| line.starts_with(wanted));
        assert!(has("MAIL FROM:<no-reply@example.com>") && has("RCPT TO:<ada@example.com>"), "{lines:?}");
        assert!(has("From: Site <no-reply@example.com>") && has("Subject: Hello"), "{lines:?}");
        // A line that is a dot does not end the mail, and what follows it is no command.
        let ends: Vec<_> = lines.iter().filter(|line| *line == ".").collect();
        assert_eq!(ends.len(), 1, "{lines:?}");
    }

    #[tokio::test]
    async fn a_server_that_is_silent_or_away_is_told_in_time() {
        let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("smtp://{}", silent.local_addr().unwrap());
        let settings = |url: &str| MailSettings {
            smtp_url: Some(Hidden::new(url)),
            from: Some("Site <no-reply@example.com>".into()),
            timeout: std::time::Duration::from_millis(200),
            ..MailSettings::default()
        };

        assert!(matches!(
            Mailer::new(&settings(&url)).unwrap().send(mail("ada@example.com", "x")).await,
            Err(Undelivered::Late)
        ));
        drop(silent);
        assert!(matches!(
            Mailer::new(&settings(&url)).unwrap().send(mail("ada@example.com", "x")).await,
            Err(Undelivered::Refused(_))
        ));
    }

    #[tokio::test]
    async fn wrong_settings_are_named_and_no_password_is_repeated() {
        let wrong = |settings: MailSettings| Mailer::new(&settings).map(|_| ()).unwrap_err();
        let url = |url: &str| Some(Hidden::new(url));

        let (key, sentence) = wrong(MailSettings { smtp_url: url("http://user:hush@x"), ..MailSettings::default() });
        assert!(key == "mail.smtp_url" && !sentence.contains("hush"), "{sentence}");
        assert_eq!(wrong(MailSettings { smtp_url: url("smtp://localhost"), ..MailSettings::default() }).0, "mail.from");
        assert_eq!(wrong(MailSettings { from: Some("nobody".into()), ..MailSettings::default() }).0, "mail.from");
        let nowhere = Mailer::new(&MailSettings::default()).unwrap();
        assert!(!nowhere.is_there());
        assert!(matches!(nowhere.send(mail("ada@example.com", "x")).await, Err(Undelivered::Nowhere)));
    }

    #[test]
    fn only_plain_addresses_are_written_to() {
        for good in ["ada@example.com", " a.b+c@sub.example.org ", "ünï@example.com"] {
            assert_eq!(plain_address(good), Some(good.trim()));
        }
        for bad in [
            "",
            "ada",
            "@example.com",
            "ada@",
            "ada@localhost",
            "a@b@example.com",
            "\"a b\"@example.com",
            "a b@example.com",
            "a@example.com,b@example.com",
            "a@[127.0.0.1]",
            "a\r\n@example.com",
        ] {
            assert_eq!(plain_address(bad), None, "{bad:?}");
        }
        assert_eq!(plain_address(&format!("{}@example.com", "x".repeat(250))), None);
    }
}
