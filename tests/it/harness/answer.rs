//! An answer as a test looks at it.

use std::fmt;

use reqwest::header::HeaderMap;
use serde_json::Value;

use super::document;

pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub text: String,
    /// What the document calls the operation that answered; `None`: the path or the method is not in it.
    pub operation: Option<&'static str>,
}

impl Answer {
    /// Sends a request. The answer is one that the OpenAPI document knows, whatever the test is about.
    pub async fn of(request: reqwest::RequestBuilder) -> Self {
        let (client, request) = request.build_split();
        let request = request.unwrap();
        let (method, path) = (request.method().to_string(), request.url().path().to_owned());
        let response = client.execute(request).await.unwrap();
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let mut answer = Self { status, headers, text: response.text().await.unwrap(), operation: None };
        answer.operation = document::hold(&method, &path, &answer);
        answer
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or(Value::Null)
    }

    /// A member that is a text; empty where it is not there.
    pub fn field(&self, name: &str) -> String {
        self.json()[name].as_str().unwrap_or_default().to_owned()
    }

    pub fn access_token(&self) -> String {
        self.field("access_token")
    }

    pub fn refresh_token(&self) -> String {
        self.field("refresh_token")
    }

    /// `400 invalid_grant`, or `200`.
    pub fn outcome(&self) -> String {
        format!("{} {}", self.status, self.field("error")).trim().to_owned()
    }

    /// `400 invalid_grant foreign_audience`.
    pub fn refusal(&self) -> String {
        format!("{} {} {}", self.status, self.field("error"), self.field("reason"))
    }

    pub fn header(&self, name: &str) -> String {
        self.headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned()).unwrap_or_default()
    }
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.status, self.text)
    }
}
