//! Keys, personal access tokens and explanations: the outward side of `access`.
