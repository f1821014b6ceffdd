//! XML answers as JSON, so that the same expressions read both: an element is a member, several of one name are a list, an
//! attribute begins with `@`, a text beside them is `#`. Names lose their prefixes. A document type is refused, and with it
//! every entity of its own.

use roxmltree::{Document, Node};
use serde_json::{Map, Value};

/// Deeper than any answer about a person.
const DEEPEST: usize = 32;

/// The document's root element as `{name: …}`. `None`: not XML, or too deep.
pub fn to_value(text: &str) -> Option<Value> {
    let document = Document::parse(text).ok()?;
    let root = document.root_element();
    Some(Value::Object(Map::from_iter([(root.tag_name().name().to_owned(), of_element(root, 0)?)])))
}

fn of_element(element: Node<'_, '_>, depth: usize) -> Option<Value> {
    if depth > DEEPEST {
        return None;
    }
    let text: String = element.children().filter(Node::is_text).filter_map(|node| node.text()).collect();
    let text = text.trim();
    let mut members = Map::new();
    for attribute in element.attributes() {
        members.insert(format!("@{}", attribute.name()), attribute.value().into());
    }
    for child in element.children().filter(Node::is_element) {
        let value = of_element(child, depth + 1)?;
        let name = child.tag_name().name();
        match members.get_mut(name) {
            None => drop(members.insert(name.to_owned(), value)),
            Some(Value::Array(several)) => several.push(value),
            Some(one) => *one = Value::Array(vec![one.take(), value]),
        }
    }
    if members.is_empty() {
        return Some(Value::String(text.to_owned()));
    }
    if !text.is_empty() {
        members.insert("#".to_owned(), text.into());
    }
    Some(Value::Object(members))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::to_value;

    #[test]
    fn elements_are_members_and_several_are_a_list() {
        let text = "<?xml version='1.0'?><Response xmlns:x='urn:x'><x:Profile ref='7'><name>Ada &amp; L</name><mail>a</mail><mail>b</mail><mail>c</mail><none/></x:Profile></Response>";

        assert_eq!(
            to_value(text),
            Some(
                json!({"Response": {"Profile": {"@ref": "7", "name": "Ada & L", "mail": ["a", "b", "c"], "none": ""}}})
            )
        );
    }

    #[test]
    fn entities_depth_and_what_is_none_are_refused() {
        let deep = format!("{}{}", "<a>".repeat(60), "</a>".repeat(60));
        let bomb = "<!DOCTYPE a [<!ENTITY b 'bbbb'>]><a>&b;</a>";
        for bad in [deep.as_str(), bomb, "", "{}", "<a>", "<a/><b/>"] {
            assert_eq!(to_value(bad), None, "{bad}");
        }
    }
}
