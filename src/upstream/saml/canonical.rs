//! Exclusive XML Canonicalization 1.0 without comments (<https://www.w3.org/TR/xml-exc-c14n/>).
//!
//! Nothing that is believed depends on this being right: what is believed is read from the bytes that were hashed, not
//! from the tree they were made of (`signature`). A fault here makes a good signature fail, never a bad one pass.

use std::collections::BTreeMap;

use roxmltree::{Node, NodeId};

/// Prefixes and what they stand for; the default namespace is the empty prefix.
type Rendered = BTreeMap<String, String>;

/// The canonical form of an element. `without` is the signature that the enveloped-signature transform takes away;
/// `inclusive` are the prefixes of `InclusiveNamespaces`, where `#default` stands for the default namespace.
pub(super) fn canonical(apex: Node<'_, '_>, without: Option<NodeId>, inclusive: &[String]) -> String {
    let mut writer = Writer { out: String::new(), without, inclusive };
    writer.element(apex, &Rendered::new());
    writer.out
}

struct Writer<'w> {
    out: String,
    without: Option<NodeId>,
    inclusive: &'w [String],
}

impl Writer<'_> {
    fn element(&mut self, node: Node<'_, '_>, above: &Rendered) {
        let name = written_name(node);
        let mut attributes: Vec<(&str, &str, String)> = Vec::new();
        // Prefixes that this element uses, and those that are kept used or not.
        let mut needed: Vec<&str> = vec![prefix_of(name)];
        for attribute in node.attributes() {
            let written = &node.document().input_text()[attribute.range_qname()];
            if attribute.namespace().is_some() {
                needed.push(prefix_of(written));
            }
            let value = escaped_value(attribute.value());
            attributes.push((attribute.namespace().unwrap_or_default(), written, value));
        }
        needed.extend(self.inclusive.iter().map(|prefix| if prefix == "#default" { "" } else { prefix.as_str() }));
        needed.sort_unstable();
        needed.dedup();

        self.out.push('<');
        self.out.push_str(name);
        let mut rendered = above.clone();
        for prefix in needed.into_iter().filter(|prefix| *prefix != "xml") {
            let looked_up = if prefix.is_empty() { None } else { Some(prefix) };
            let here = node.lookup_namespace_uri(looked_up).unwrap_or_default();
            if above.get(prefix).map(String::as_str).unwrap_or_default() == here {
                continue;
            }
            // `xmlns:p=""` does not exist in XML 1.0; it can only be the default namespace that ends.
            if here.is_empty() && !prefix.is_empty() {
                continue;
            }
            let declaration = if prefix.is_empty() { " xmlns".to_owned() } else { format!(" xmlns:{prefix}") };
            self.out.push_str(&format!("{declaration}=\"{}\"", escaped_value(here)));
            rendered.insert(prefix.to_owned(), here.to_owned());
        }
        let local = |written: &str| written.rsplit(':').next().unwrap_or_default().to_owned();
        attributes.sort_by_key(|(namespace, written, _)| ((*namespace).to_owned(), local(written)));
        for (_, written, value) in &attributes {
            self.out.push_str(&format!(" {written}=\"{value}\""));
        }
        self.out.push('>');

        for child in node.children() {
            if child.is_element() {
                if Some(child.id()) != self.without {
                    self.element(child, &rendered);
                }
            } else if child.is_text() {
                self.text(child.text().unwrap_or_default());
            }
        }
        self.out.push_str(&format!("</{name}>"));
    }

    fn text(&mut self, text: &str) {
        for c in text.chars() {
            match c {
                '&' => self.out.push_str("&amp;"),
                '<' => self.out.push_str("&lt;"),
                '>' => self.out.push_str("&gt;"),
                '\r' => self.out.push_str("&#xD;"),
                c => self.out.push(c),
            }
        }
    }
}

fn escaped_value(value: &str) -> String {
    let mut out = String::with_capacity(value.len());
    for c in value.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '"' => out.push_str("&quot;"),
            '\t' => out.push_str("&#x9;"),
            '\n' => out.push_str("&#xA;"),
            '\r' => out.push_str("&#xD;"),
            c => out.push(c),
        }
    }
    out
}

/// The name as it is written, with its prefix: two prefixes may stand for one namespace, so only the text can tell.
fn written_name<'i>(node: Node<'_, 'i>) -> &'i str {
    let tag = node.document().input_text().get(node.range()).unwrap_or_default();
    let tag = tag.strip_prefix('<').unwrap_or(tag);
    let end = tag.find(|c: char| c.is_ascii_whitespace() || matches!(c, '/' | '>')).unwrap_or(tag.len());
    &tag[..end]
}

fn prefix_of(written: &str) -> &str {
    written.split_once(':').map_or("", |(prefix, _)| prefix)
}

#[cfg(test)]
mod tests {
    use super::canonical;
    use crate::upstream::saml::xml;

    /// The canonical form of the element whose local name is `apex`.
    fn form(document: &str, apex: &str, inclusive: &[&str]) -> String {
        let document = xml::parse(document).unwrap();
        let apex = document.descendants().find(|node| node.is_element() && node.tag_name().name() == apex).unwrap();
        canonical(apex, None, &inclusive.iter().map(|prefix| (*prefix).to_owned()).collect::<Vec<_>>())
    }

    // What libxml2 2.14 gives for the same documents.

    #[test]
    fn only_used_namespaces_are_written_where_they_are_used_first() {
        let document = r#"<a:r xmlns:a="urn:a" xmlns:b="urn:b" xmlns="urn:d"><b:x z="1" a:y="2" b:w='3'><c/><b:q xmlns:b="urn:b2"/></b:x></a:r>"#;

        assert_eq!(
            form(document, "x", &[]),
            r#"<b:x xmlns:a="urn:a" xmlns:b="urn:b" z="1" a:y="2" b:w="3"><c xmlns="urn:d"></c><b:q xmlns:b="urn:b2"></b:q></b:x>"#
        );
    }

    #[test]
    fn an_inclusive_prefix_is_written_though_unused() {
        let document =
            r#"<r xmlns="urn:d" xmlns:xs="urn:xs" xmlns:n="urn:n"><n:x><n:y t="xs:string">1</n:y></n:x></r>"#;

        assert_eq!(
            form(document, "x", &["xs"]),
            r#"<n:x xmlns:n="urn:n" xmlns:xs="urn:xs"><n:y t="xs:string">1</n:y></n:x>"#
        );
        // §1.3: "#default" is the default namespace. (libxml2 leaves it out.)
        assert_eq!(
            form(document, "x", &["#default"]),
            r#"<n:x xmlns="urn:d" xmlns:n="urn:n"><n:y t="xs:string">1</n:y></n:x>"#
        );
    }

    #[test]
    fn text_and_values_are_escaped_as_the_recommendation_says() {
        let document =
            "<r a='\"&lt;&#9;&#10;&#13;>&amp;' b=\"x\ny\">&lt;&gt;&amp;\"&#13;<![CDATA[<&>]]><!-- gone -->\r\nend</r>";

        assert_eq!(
            form(document, "r", &[]),
            "<r a=\"&quot;&lt;&#x9;&#xA;&#xD;>&amp;\" b=\"x y\">&lt;&gt;&amp;\"&#xD;&lt;&amp;&gt;\nend</r>"
        );
    }

    #[test]
    fn an_ended_default_namespace_and_xml_attributes() {
        let document = r#"<r xmlns="urn:d"><x xmlns="" xml:lang="de"><y/></x></r>"#;

        assert_eq!(form(document, "r", &[]), r#"<r xmlns="urn:d"><x xmlns="" xml:lang="de"><y></y></x></r>"#);
        assert_eq!(form(document, "x", &[]), r#"<x xml:lang="de"><y></y></x>"#);
    }

    #[test]
    fn two_prefixes_of_one_namespace_stay_apart() {
        let document = r#"<a:r xmlns:a="urn:1" xmlns:b="urn:1"><b:x a:p="1"/></a:r>"#;

        assert_eq!(form(document, "r", &[]), r#"<a:r xmlns:a="urn:1"><b:x xmlns:b="urn:1" a:p="1"></b:x></a:r>"#);
    }
}
