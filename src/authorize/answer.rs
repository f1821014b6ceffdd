//! What goes back to the client through the browser, and how: query, fragment or form, plain or as one signed JWT (JARM).

use serde_json::{Map, Value};
use vestibule_protocol::authorization::{Carrier, with_members};
use vestibule_protocol::{ErrorCode, OAuthError};

use super::destination::Destination;
use crate::context::Context;
use crate::issue;
use crate::store::application::Application;

/// Seconds that a signed answer counts (JARM §2.1 wants at most ten minutes).
const ANSWER_TTL: i64 = 600;

/// An answer to be handed to the browser. No `Debug`: there are codes and tokens in it.
pub struct Answer {
    /// Where it goes.
    pub redirect_uri: String,
    /// How it travels.
    pub carrier: Carrier,
    /// What it says.
    pub members: Vec<(&'static str, String)>,
    /// The error in it, for the log.
    pub error: Option<ErrorCode>,
}

impl Destination {
    /// A good answer.
    pub async fn answer(
        &self,
        cx: &Context,
        application: &Application,
        mut members: Vec<(&'static str, String)>,
    ) -> Result<Answer, OAuthError> {
        if let Some(state) = &self.state {
            members.push(("state", state.clone()));
        }
        // RFC 9207: whoever talks to several servers must know whose answer this is.
        members.push(("iss", cx.issuer()));
        if self.mode.is_jwt {
            members = vec![("response", signed(cx, application, members).await?)];
        }
        Ok(Answer { redirect_uri: self.redirect_uri.clone(), carrier: self.mode.carrier, members, error: None })
    }

    /// A refusal that the client is told.
    pub async fn refuse(
        &self,
        cx: &Context,
        application: &Application,
        error: OAuthError,
    ) -> Result<Answer, OAuthError> {
        let code = match error.code {
            // RFC 6749 §4.1.2.1 has words for these where no status can be sent.
            ErrorCode::InvalidGrant | ErrorCode::InvalidClient => ErrorCode::InvalidRequest,
            code => code,
        };
        if code == ErrorCode::ServerError {
            return Err(error);
        }
        let members = vec![("error", code.as_str().to_owned()), ("error_description", error.description.into_owned())];
        let answer = self.answer(cx, application, members).await?;
        Ok(Answer { error: Some(code), ..answer })
    }
}

impl Answer {
    /// The address that the browser is sent to, for the carriers that are one.
    pub fn location(&self) -> String {
        with_members(&self.redirect_uri, self.carrier, &self.members)
    }
}

/// The members as one JWT (JARM §2.1).
async fn signed(
    cx: &Context,
    application: &Application,
    members: Vec<(&'static str, String)>,
) -> Result<String, OAuthError> {
    let mut claims: Map<String, Value> =
        members.into_iter().map(|(name, value)| (name.to_owned(), value.into())).collect();
    claims.insert("aud".to_owned(), application.client_id.clone().into());
    claims.insert("exp".to_owned(), (cx.clock.now() + ANSWER_TTL).into());
    let algorithm = application.metadata.authorization_signed_response_alg.as_deref().unwrap_or("RS256");
    issue::sign_for(cx, application, algorithm, "JWT", &Value::Object(claims)).await
}
