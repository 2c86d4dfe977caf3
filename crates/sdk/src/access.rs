//! Through which role the caller reaches a thing (references 02 §3.1 and §4.1, 03 §5).

use kernel::RoleId;
use serde::Deserialize;

/// What a list says about the caller's own right to each row; nothing for an administrator of the platform.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Standing {
    /// The caller's role on the thing itself.
    pub role_id: Option<RoleId>,
    /// Its name.
    pub role_name: Option<String>,
    /// Its actions.
    pub actions: Vec<String>,
    /// `direct`, `direct_group`, `indirect_group` (`indirect` for groups) or `domain`.
    pub access_type: Option<String>,
    /// The group or the domain whose role reaches down to the thing.
    pub access_provider_id: Option<String>,
    /// That role.
    pub access_provider_role_id: Option<RoleId>,
    /// Its name.
    pub access_provider_role_name: Option<String>,
    /// Its actions.
    pub access_provider_role_actions: Vec<String>,
    /// All roles, where a view was asked for them.
    pub roles: Vec<MemberRole>,
}

/// One of the roles through which somebody reaches a thing.
#[derive(Clone, Debug, Deserialize)]
pub struct MemberRole {
    /// The role.
    pub role_id: RoleId,
    /// Its name.
    #[serde(default)]
    pub role_name: String,
    /// Its actions.
    #[serde(default)]
    pub actions: Vec<String>,
    /// The group or the domain that the role is on, if it is not on the thing itself.
    #[serde(default)]
    pub access_provider_id: Option<String>,
    /// The groups down to it, with dots between their ids.
    #[serde(default)]
    pub access_provider_path: Option<String>,
    /// `direct`, `direct_group`, `indirect_group` or `domain`.
    #[serde(default)]
    pub access_type: Option<String>,
}
