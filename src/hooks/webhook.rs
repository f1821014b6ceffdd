//! A webhook: signed as Standard Webhooks says (standardwebhooks.com), so that it can tell our calls from anybody's.

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use vestibule_protocol::jwt::encode_part;

use super::{ARRIVING, Arrival, Verdict};
use crate::context::{Context, random};
use crate::settings::HookSettings;
use crate::upstream::WebhookAnswer;

/// See the module.
pub(super) struct Webhook {
    pub settings: HookSettings,
    keys: Vec<hmac::Key>,
}

/// A `webhook-id`: the same at every try of one message.
pub(super) fn new_id() -> String {
    format!("msg_{}", encode_part(&random::<18>()))
}

impl Webhook {
    pub fn new(settings: &HookSettings) -> Result<Self, (&'static str, String)> {
        settings.check()?;
        let secrets = settings.secrets().map_err(|sentence| ("secret", sentence))?;
        let keys = secrets.iter().map(|secret| hmac::Key::new(hmac::HMAC_SHA256, secret)).collect();
        Ok(Self { settings: settings.clone(), keys })
    }

    /// Asks what is to become of somebody.
    pub async fn ask(&self, cx: &Context, arrival: &Arrival) -> Result<Verdict, String> {
        let payload = json!({ "type": ARRIVING, "timestamp": cx.clock.now(), "data": arrival }).to_string();
        let answer = self.send(cx, &new_id(), payload).await?;
        match answer.status {
            204 => Ok(Verdict::Allow),
            200 => match serde_json::from_slice::<Value>(&answer.body).map(serde_json::from_value) {
                Ok(Ok(verdict)) => Ok(verdict),
                Ok(Err(error)) => Err(format!("{}: {error}", answer.excerpt)),
                Err(_) => Err(format!("{}: no JSON", answer.excerpt)),
            },
            _ => Err(answer.excerpt),
        }
    }

    /// Tells of an event. Any status of success is "heard".
    pub async fn tell(&self, cx: &Context, id: &str, payload: String) -> Result<(), String> {
        let answer = self.send(cx, id, payload).await?;
        if (200..300).contains(&answer.status) { Ok(()) } else { Err(answer.excerpt) }
    }

    async fn send(&self, cx: &Context, id: &str, payload: String) -> Result<WebhookAnswer, String> {
        // Of the try, not of the event: the receiver refuses what is too old.
        let timestamp = cx.clock.now().to_string();
        let headers = vec![
            ("webhook-id".to_owned(), id.to_owned()),
            ("webhook-timestamp".to_owned(), timestamp.clone()),
            ("webhook-signature".to_owned(), self.signature(id, &timestamp, &payload)),
        ];
        let sent = cx.upstream.call_webhook(&self.settings.url, headers, payload, self.settings.timeout).await;
        sent.map_err(|error| error.to_string())
    }

    fn signature(&self, id: &str, timestamp: &str, payload: &str) -> String {
        let signed = format!("{id}.{timestamp}.{payload}");
        let one = |key| format!("v1,{}", STANDARD.encode(hmac::sign(key, signed.as_bytes())));
        self.keys.iter().map(one).collect::<Vec<_>>().join(" ")
    }
}

#[cfg(test)]
mod tests {
    use super::Webhook;
    use crate::settings::{Hidden, HookSettings};

    fn webhook(secret: &str) -> Result<Webhook, (&'static str, String)> {
        Webhook::new(&HookSettings {
            url: "http://127.0.0.1:1/hook".into(),
            secret: Hidden::new(secret),
            ..HookSettings::default()
        })
    }

    #[test]
    fn a_signature_is_the_one_of_the_specifications_example() {
        let id = "msg_p5jXN8AQM9LWM0D4loKWxJek";
        let payload = r#"{"test": 2432232314}"#;
        let expected = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";

        let one = webhook("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        assert_eq!(one.signature(id, "1614265330", payload), expected);
        let both = webhook("whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let signatures = both.signature(id, "1614265330", payload);
        assert!(signatures.ends_with(&format!(" {expected}")) && signatures.matches("v1,").count() == 2);
    }

    #[test]
    fn a_secret_that_is_none_is_refused_and_not_repeated() {
        for bad in ["", "hush-hush", "whsec_", "whsec_c2hvcnQ=", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"] {
            let (key, sentence) = webhook(bad).err().unwrap();
            assert_eq!(key, "secret");
            assert!(bad.len() < 8 || !sentence.contains(bad), "{sentence}");
        }
    }
}
