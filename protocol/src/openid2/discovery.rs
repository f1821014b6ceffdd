//! Whose page says where its provider is: Yadis (XRDS) and HTML (OpenID 2.0 §7.3).

use roxmltree::{Document as Xml, Node};

/// §7.3.2.1.1: the person chooses the identifier there.
const SERVER: &str = "http://specs.openid.net/auth/2.0/server";
/// §7.3.2.1.2: the page is an identifier.
const SIGNON: &str = "http://specs.openid.net/auth/2.0/signon";
const XRD: &str = "xri://$xrd*($v*2.0)";

/// What a page turned out to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Document {
    /// It says who answers: the best one first.
    Services(Vec<Service>),
    /// The XRDS document is elsewhere.
    Elsewhere(String),
}

/// Who answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    /// Where the browser is sent.
    pub endpoint: String,
    /// For whom.
    pub target: Target,
}

/// For whom somebody answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// Whoever signs in there.
    Anybody,
    /// The identifier that was looked up, and its other name there.
    Claimed {
        /// `None`: it has the same name there.
        local_id: Option<String>,
    },
}

/// Reads a page: XRDS, or HTML that says where that is or has the links itself. No services: neither.
pub fn read(text: &str) -> Document {
    if let Ok(document) = Xml::parse(text)
        && document.root_element().tag_name().name() == "XRDS"
    {
        return Document::Services(of_xrds(document.root_element()));
    }
    of_html(text)
}

fn of_xrds(root: Node<'_, '_>) -> Vec<Service> {
    let named =
        |node: &Node<'_, '_>, name: &str| node.tag_name().name() == name && node.tag_name().namespace() == Some(XRD);
    // Yadis §7: the last one counts.
    let Some(description) = root.children().rfind(|node| named(node, "XRD")) else { return Vec::new() };
    let priority =
        |node: &Node<'_, '_>| node.attribute("priority").and_then(|text| text.trim().parse().ok()).unwrap_or(u32::MAX);
    let text = |node: Node<'_, '_>| node.text().map(|text| text.trim().to_owned()).filter(|text| !text.is_empty());
    let mut found = Vec::new();
    for service in description.children().filter(|node| named(node, "Service")) {
        let has = |kind: &str| {
            service.children().any(|node| named(&node, "Type") && node.text().map(str::trim) == Some(kind))
        };
        let (rank, target) = match (has(SERVER), has(SIGNON)) {
            // §7.3.2.2: a provider's own element goes before.
            (true, _) => (0, Target::Anybody),
            (false, true) => {
                let local = service.children().find(|node| named(node, "LocalID"));
                (1, Target::Claimed { local_id: local.and_then(text) })
            }
            (false, false) => continue,
        };
        let mut addresses: Vec<_> = service.children().filter(|node| named(node, "URI")).collect();
        addresses.sort_by_key(priority);
        let endpoints = addresses.into_iter().filter_map(text);
        found
            .extend(endpoints.map(|endpoint| (rank, priority(&service), Service { endpoint, target: target.clone() })));
    }
    found.sort_by_key(|(rank, priority, _)| (*rank, *priority));
    found.into_iter().map(|(_, _, service)| service).collect()
}

/// §7.3.3. Only what stands in the head counts: below it may be what visitors wrote.
fn of_html(text: &str) -> Document {
    let (mut endpoint, mut local_id) = (None, None);
    for (name, attributes) in tags_of_head(text) {
        let attribute =
            |wanted: &str| attributes.iter().find(|(name, _)| name == wanted).map(|(_, value)| value.as_str());
        let says = |attribute: Option<&str>, word: &str| {
            attribute.is_some_and(|text| text.split_ascii_whitespace().any(|one| one.eq_ignore_ascii_case(word)))
        };
        if name == "meta" && says(attribute("http-equiv"), "x-xrds-location") {
            if let Some(place) = attribute("content") {
                return Document::Elsewhere(place.trim().to_owned());
            }
        } else if name == "link" {
            let rel = attribute("rel");
            let place = attribute("href").map(|place| place.trim().to_owned()).filter(|place| !place.is_empty());
            if says(rel, "openid2.provider") && endpoint.is_none() {
                endpoint.clone_from(&place);
            }
            if says(rel, "openid2.local_id") && local_id.is_none() {
                local_id = place;
            }
        }
    }
    let service = endpoint.map(|endpoint| Service { endpoint, target: Target::Claimed { local_id } });
    Document::Services(service.into_iter().collect())
}

type Tag = (String, Vec<(String, String)>);

/// The opening tags of a page's head, names in lower case. Comments, scripts and styles are passed over.
fn tags_of_head(text: &str) -> Vec<Tag> {
    let mut tags = Vec::new();
    let mut rest = text;
    while let Some((_, after)) = rest.split_once('<') {
        if let Some(comment) = after.strip_prefix("!--") {
            rest = comment.split_once("-->").map_or("", |(_, after)| after);
            continue;
        }
        let (tag, after) = tag(after);
        rest = after;
        let Some(tag) = tag else { continue };
        match tag.0.as_str() {
            "body" | "/head" => break,
            "script" | "style" | "title" | "noscript" | "template" | "textarea" => {
                let end = format!("</{}", tag.0);
                let lower = rest.to_ascii_lowercase();
                rest = lower.find(&end).and_then(|at| rest.get(at..)).unwrap_or_default();
            }
            _ => tags.push(tag),
        }
    }
    tags
}

/// A tag behind its `<`, and what comes after its `>`.
fn tag(text: &str) -> (Option<Tag>, &str) {
    let ends_name = |c: char| c.is_ascii_whitespace() || c == '>' || (c == '/');
    let start = usize::from(text.starts_with('/'));
    let end = text.get(start..).and_then(|name| name.find(ends_name)).map_or(text.len(), |at| at + start);
    let (name, mut rest) = text.split_at(end);
    let mut attributes = Vec::new();
    loop {
        rest = rest.trim_start_matches(|c: char| c.is_ascii_whitespace() || c == '/');
        if let Some(after) = rest.strip_prefix('>') {
            let is_name = name.trim_start_matches('/').starts_with(|c: char| c.is_ascii_alphabetic());
            return (is_name.then(|| (name.to_ascii_lowercase(), attributes)), after);
        }
        if rest.is_empty() {
            return (None, "");
        }
        let ends = |c: char| c.is_ascii_whitespace() || matches!(c, '=' | '>' | '/');
        // A stray `=` begins a name, as in HTML.
        let first = rest.chars().next().map_or(0, char::len_utf8);
        let at = rest.get(first..).and_then(|more| more.find(ends)).map_or(rest.len(), |at| at + first);
        let (key, after) = rest.split_at(at);
        rest = after;
        let mut value = "";
        if let Some(after) = rest.trim_start().strip_prefix('=') {
            let after = after.trim_start();
            (value, rest) = match after.chars().next() {
                Some(quote @ ('"' | '\'')) => {
                    after.get(1..).and_then(|text| text.split_once(quote)).unwrap_or(("", ""))
                }
                _ => after.split_at(after.find(|c: char| c.is_ascii_whitespace() || c == '>').unwrap_or(after.len())),
            };
        }
        let key = key.to_ascii_lowercase();
        if !attributes.iter().any(|(own, _)| *own == key) {
            attributes.push((key, unescaped(value)));
        }
    }
}

/// §7.3.3: these four must be known, others must not be used.
fn unescaped(text: &str) -> String {
    text.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"").replace("&amp;", "&")
}
