//! GitHub comes back from the installation of an application with a code that nobody asked for. It is not redeemed: anybody
//! can send such an address. The sign-in begins anew.

use crate::protocol::Params;

pub(super) fn is_installation(params: &Params) -> bool {
    ["code", "installation_id", "setup_action"].iter().all(|name| params.get(name).is_some())
        && params.get("state").is_none()
}
