//! Generates messages, servers and clients from `proto/`, and the descriptors that reflection serves.

use std::{env, error::Error, fs, path::PathBuf};

use protox::prost::Message;

/// One file per package; `common/v1` comes along with those that import it.
const PROTOS: [&str; 10] = [
    "auth/v1/auth.proto",
    "token/v1/token.proto",
    "users/v1/users.proto",
    "domains/v1/domains.proto",
    "groups/v1/groups.proto",
    "clients/v1/clients.proto",
    "channels/v1/channels.proto",
    "absmach/certs/certs.proto",
    "certs/client.proto",
    "mosquitto/auth.proto",
];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=proto");
    let descriptors = protox::compile(PROTOS, ["proto"])?;
    let out = PathBuf::from(env::var("OUT_DIR")?);
    fs::write(out.join("descriptors.bin"), descriptors.encode_to_vec())?;
    tonic_prost_build::configure().compile_fds(descriptors)?;
    Ok(())
}
