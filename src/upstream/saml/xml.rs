//! XML as SAML uses it, read with limits: no document type (so no entities of one's own), no processing instructions,
//! not deep, not large, and every name with its namespace.

use roxmltree::{Document, Node, ParsingOptions};

use super::refusal::Refusal;

pub(super) const PROTOCOL: &str = "urn:oasis:names:tc:SAML:2.0:protocol";
pub(super) const ASSERTION: &str = "urn:oasis:names:tc:SAML:2.0:assertion";
pub(super) const METADATA: &str = "urn:oasis:names:tc:SAML:2.0:metadata";
pub(super) const SIGNATURE: &str = "http://www.w3.org/2000/09/xmldsig#";
pub(super) const ENCRYPTION: &str = "http://www.w3.org/2001/04/xmlenc#";

/// The longest document that is read. A response with a thousand groups has a fifth of it.
pub(super) const MAX_BYTES: usize = 256 * 1024;
const MAX_NODES: u32 = 20_000;
const MAX_DEPTH: usize = 64;

/// Reads a document.
pub(super) fn parse(text: &str) -> Result<Document<'_>, Refusal> {
    if text.len() > MAX_BYTES {
        return Err(Refusal::TooLarge);
    }
    if too_deep(text) {
        return Err(Refusal::NotXml("it is nested too deeply".into()));
    }
    let options = ParsingOptions { allow_dtd: false, nodes_limit: MAX_NODES, ..ParsingOptions::default() };
    let document = Document::parse_with_options(text, options).map_err(|error| match error {
        roxmltree::Error::DtdDetected => Refusal::DocumentType,
        other => Refusal::NotXml(other.to_string()),
    })?;
    if document.descendants().any(|node| node.is_pi()) {
        return Err(Refusal::NotXml("it has a processing instruction".into()));
    }
    Ok(document)
}

/// Whether more elements may be open at once than any message has. A count of tags, made before a parser could recurse
/// into them: it errs towards "too deep" only where text has a bare `<`, which XML forbids.
fn too_deep(text: &str) -> bool {
    let mut depth = 0_usize;
    for (at, _) in text.match_indices('<') {
        match text.as_bytes().get(at + 1) {
            Some(b'/') => depth = depth.saturating_sub(1),
            Some(b'!' | b'?') => {}
            _ => {
                let end = text[at..].find('>').map_or(text.len(), |end| at + end);
                if !text[at..end].ends_with('/') {
                    depth += 1;
                }
            }
        }
        if depth > MAX_DEPTH {
            return true;
        }
    }
    false
}

/// Whether this is the element of that name in that namespace.
pub(super) fn is(node: Node<'_, '_>, namespace: &str, name: &str) -> bool {
    node.is_element() && node.tag_name().namespace() == Some(namespace) && node.tag_name().name() == name
}

/// The children of that name, in order.
pub(super) fn children<'a, 'i>(
    node: Node<'a, 'i>,
    namespace: &'static str,
    name: &'static str,
) -> impl Iterator<Item = Node<'a, 'i>> {
    node.children().filter(move |child| is(*child, namespace, name))
}

/// The child of that name, of which there may be one.
pub(super) fn child<'a, 'i>(
    node: Node<'a, 'i>,
    namespace: &'static str,
    name: &'static str,
) -> Result<Option<Node<'a, 'i>>, Refusal> {
    let mut all = children(node, namespace, name);
    let first = all.next();
    if all.next().is_some() { Err(Refusal::Twice(name)) } else { Ok(first) }
}

/// The child of that name, of which there must be one.
pub(super) fn the<'a, 'i>(
    node: Node<'a, 'i>,
    namespace: &'static str,
    name: &'static str,
) -> Result<Node<'a, 'i>, Refusal> {
    child(node, namespace, name)?.ok_or(Refusal::Missing(name))
}

/// The attribute of that name in no namespace.
pub(super) fn attribute<'a>(node: Node<'a, '_>, name: &'static str) -> Result<&'a str, Refusal> {
    node.attribute(name).ok_or(Refusal::Missing(name))
}

/// All the text of an element without child elements. A comment does not end it: `ada<!-- -->@x` is `ada@x`.
pub(super) fn text(node: Node<'_, '_>, name: &'static str) -> Result<String, Refusal> {
    if node.children().any(|child| child.is_element()) {
        return Err(Refusal::NotText(name));
    }
    let text: String = node.children().filter(|child| child.is_text()).filter_map(|child| child.text()).collect();
    Ok(text.trim().to_owned())
}

/// A text inside an element or an attribute of a document that we write.
pub(super) fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            // No document may hold them, not even as references.
            c if c.is_control() && !matches!(c, '\t' | '\n' | '\r') => {}
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::{escaped, parse, text};
    use crate::upstream::saml::refusal::Refusal;

    fn refused(document: &str) -> Refusal {
        parse(document).unwrap_err()
    }

    #[test]
    fn a_document_type_is_refused_before_an_entity_is_read() {
        let laughs = r#"<!DOCTYPE r [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;">]><r>&b;</r>"#;

        assert_eq!(refused(laughs), Refusal::DocumentType);
        assert_eq!(refused(r#"<!DOCTYPE r SYSTEM "file:///etc/passwd"><r/>"#), Refusal::DocumentType);
        assert!(matches!(refused("<r>&unknown;</r>"), Refusal::NotXml(_)));
    }

    #[test]
    fn deep_large_and_strange_documents_are_refused() {
        let deep = "<a>".repeat(50_000);

        assert!(matches!(refused(&deep), Refusal::NotXml(_)));
        assert!(matches!(refused(&"<a >".repeat(65)), Refusal::NotXml(_)));
        assert_eq!(refused(&format!("<a>{}</a>", "x".repeat(300_000))), Refusal::TooLarge);
        assert!(matches!(refused("<a><?php evil() ?></a>"), Refusal::NotXml(_)));
        assert!(matches!(refused(&format!("<a>{}</a>", "<b/>".repeat(30_000))), Refusal::NotXml(_)));
        assert!(parse(&format!("{}{}", "<a>".repeat(60), "</a>".repeat(60))).is_ok());
        assert!(parse(&format!("<a>{}</a>", r#"<b c=">"/>"#.repeat(60))).is_ok());
    }

    #[test]
    fn a_comment_does_not_end_a_text() {
        let document = parse("<n>ada@example.com<!-- -->.evil.example</n>").unwrap();

        assert_eq!(text(document.root_element(), "n").unwrap(), "ada@example.com.evil.example");
    }

    #[test]
    fn what_we_write_reads_back() {
        let odd = "a<b>&\"c\" \u{7}ü";
        let written = format!("<a b=\"{}\"/>", escaped(odd));

        assert_eq!(parse(&written).unwrap().root_element().attribute("b"), Some("a<b>&\"c\" ü"));
    }
}
