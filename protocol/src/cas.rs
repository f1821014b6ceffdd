//! The CAS protocol 3.0: what a service learns of a ticket (§2.5).

use serde_json::{Map, Value};

/// Why there is nobody.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The server says no (§2.5.3).
    #[error("{0}")]
    Failure(String),
    /// It says neither yes nor no.
    #[error("not an answer of CAS")]
    Malformed,
}

/// `user` and `attributes` of an answer of `/p3/serviceValidate`: its JSON, or its XML as [`crate::provider::xml`] reads it.
///
/// # Errors
/// [`Refused`].
pub fn person(answer: &Value) -> Result<Map<String, Value>, Refused> {
    let response = answer.get("serviceResponse").and_then(Value::as_object).ok_or(Refused::Malformed)?;
    // Both at once, or one of them twice, is no answer.
    match (response.get("authenticationSuccess"), response.get("authenticationFailure")) {
        (Some(Value::Object(success)), None) => {
            let user = success.get("user").and_then(Value::as_str).filter(|user| !user.is_empty());
            let user = user.ok_or(Refused::Malformed)?;
            let attributes = match success.get("attributes") {
                Some(Value::Object(attributes)) => attributes.clone(),
                // An empty element is an empty text.
                None | Some(Value::Null | Value::String(_)) => Map::new(),
                Some(_) => return Err(Refused::Malformed),
            };
            Ok(Map::from_iter([("user".to_owned(), user.into()), ("attributes".to_owned(), attributes.into())]))
        }
        (None, Some(failure)) => {
            let code = failure.get("@code").or_else(|| failure.get("code")).and_then(Value::as_str);
            Err(Refused::Failure(code.unwrap_or("no code").to_owned()))
        }
        _ => Err(Refused::Malformed),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{Refused, person};
    use crate::provider::xml;

    const SUCCESS: &str = "<cas:serviceResponse xmlns:cas='http://www.yale.edu/tp/cas'><cas:authenticationSuccess>\
        <cas:user>ada</cas:user><cas:attributes><cas:email>ada@example.com</cas:email><cas:memberOf>a</cas:memberOf>\
        <cas:memberOf>b</cas:memberOf></cas:attributes></cas:authenticationSuccess></cas:serviceResponse>";

    fn read(text: &str) -> Result<Value, Refused> {
        person(&xml::to_value(text).unwrap_or_default()).map(Value::Object)
    }

    #[test]
    fn a_success_names_the_user_and_attributes() {
        let attributes = json!({"email": "ada@example.com", "memberOf": ["a", "b"]});
        assert_eq!(read(SUCCESS), Ok(json!({"user": "ada", "attributes": attributes})));

        let bare = "<serviceResponse><authenticationSuccess><user>ada</user><attributes/></authenticationSuccess></serviceResponse>";
        assert_eq!(read(bare), Ok(json!({"user": "ada", "attributes": {}})));

        let as_json =
            json!({"serviceResponse": {"authenticationSuccess": {"user": "ada", "attributes": {"a": ["b"]}}}});
        assert_eq!(person(&as_json).map(Value::Object), Ok(json!({"user": "ada", "attributes": {"a": ["b"]}})));
    }

    #[test]
    fn a_failure_has_a_code() {
        let text = "<c:serviceResponse xmlns:c='x'><c:authenticationFailure code='INVALID_TICKET'>Ticket ST-1 not recognized\
                    </c:authenticationFailure></c:serviceResponse>";
        assert_eq!(read(text), Err(Refused::Failure("INVALID_TICKET".into())));
        let as_json = json!({"serviceResponse": {"authenticationFailure": {"code": "INVALID_SERVICE"}}});
        assert_eq!(person(&as_json), Err(Refused::Failure("INVALID_SERVICE".into())));
    }

    #[test]
    fn what_is_neither_is_no_answer() {
        let both =
            SUCCESS.replace("</cas:serviceResponse>", "<cas:authenticationFailure code='X'/></cas:serviceResponse>");
        let (start, end) = SUCCESS.split_at(SUCCESS.find("</cas:authenticationSuccess>").unwrap());
        let twice = format!(
            "{start}{}",
            end.replacen(
                "</cas:serviceResponse>",
                &format!(
                    "{}</cas:serviceResponse>",
                    "<cas:authenticationSuccess><cas:user>eve</cas:user></cas:authenticationSuccess>"
                ),
                1
            )
        );
        let two_users = SUCCESS.replace("</cas:user>", "</cas:user><cas:user>eve</cas:user>");
        let nobody = SUCCESS.replace("ada<", "<");
        for text in [both.as_str(), &twice, &two_users, &nobody, "<html/>", "nothing", "<a><serviceResponse/></a>"] {
            assert_eq!(read(text), Err(Refused::Malformed), "{text}");
        }
    }
}
