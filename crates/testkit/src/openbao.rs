//! A stand-in for OpenBao: the calls of its PKI that reference 04 §4.5 lists, as that describes them.

use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CertificateSigningRequestParams,
    DnType, IsCa, Issuer, KeyIdMethod, KeyPair, KeyUsagePurpose, RevokedCertParams, SerialNumber,
};
use serde_json::{Value, json};
use time::OffsetDateTime;

/// A running stand-in. Dropping it closes its port.
#[derive(Debug)]
pub struct OpenBao {
    address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    root: String,
    intermediate: String,
    issuer: Issuer<'static, KeyPair>,
    now: OffsetDateTime,
    state: Mutex<State>,
    is_closed: AtomicBool,
}

#[derive(Debug, Default)]
struct State {
    is_away: bool,
    longest: Option<i64>,
    signed: BTreeMap<String, String>,
    revoked: Vec<String>,
    logins: usize,
    token: String,
    headers: Vec<String>,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Shared").field(&self.state).finish()
    }
}

/// Who may log in: role id and secret id of AppRole.
pub const APP_ROLE: (&str, &str) = ("trunkline", "a-secret-id");
/// The role of its PKI.
pub const ROLE: &str = "certs";
/// The mount of its root; the other is `pki_int`.
pub const MOUNT: &str = "pki";

/// What it answers: status, content type, body.
type Answer = (&'static str, &'static str, Vec<u8>);

impl OpenBao {
    /// One with a root and an intermediate of its own, whose clock stands at `now` (seconds since 1970).
    pub fn start(now: i64) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("no free port on 127.0.0.1");
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared::new(OffsetDateTime::from_unix_timestamp(now).unwrap()));
        let bao = Self { address, shared: Arc::clone(&shared) };
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if shared.is_closed.load(Ordering::SeqCst) {
                    return;
                }
                let shared = Arc::clone(&shared);
                // Whoever hangs up early has what it wanted.
                thread::spawn(move || drop(shared.serve(&stream)));
            }
        });
        bao
    }

    /// Its address.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// From now on it is sealed, or not any more.
    pub fn go_away(&self, is_away: bool) {
        self.shared.state().is_away = is_away;
    }

    /// Certificates get at most so many seconds, whatever is asked.
    pub fn cap(&self, seconds: i64) {
        self.shared.state().longest = Some(seconds);
    }

    /// Takes all tokens back.
    pub fn end_tokens(&self) {
        self.shared.state().token.clear();
    }

    /// How often somebody has logged in.
    pub fn logins(&self) -> usize {
        self.shared.state().logins
    }

    /// Serial numbers of all that was signed, and of what was revoked, in its order.
    pub fn serials(&self) -> (Vec<String>, Vec<String>) {
        let state = self.shared.state();
        (state.signed.keys().cloned().collect(), state.revoked.clone())
    }

    /// PEM of its root.
    pub fn root(&self) -> &str {
        &self.shared.root
    }

    /// The namespaces that requests have named.
    pub fn namespaces(&self) -> Vec<String> {
        self.shared.state().headers.clone()
    }
}

fn authority(name: &str, constraints: BasicConstraints, now: OffsetDateTime) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(constraints);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.not_before = now - time::Duration::hours(1);
    params.not_after = now + time::Duration::days(3650);
    params
}

impl Shared {
    fn new(now: OffsetDateTime) -> Self {
        let (root_key, key) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
        let root =
            authority("Bao Root", BasicConstraints::Unconstrained, now).self_signed(&root_key).unwrap().pem();
        let above = Issuer::from_ca_cert_pem(&root, root_key).unwrap();
        let params = authority("Bao Root Intermediate", BasicConstraints::Constrained(0), now);
        let intermediate = params.signed_by(&key, &above).unwrap().pem();
        let issuer = Issuer::from_ca_cert_pem(&intermediate, key).unwrap();
        Self { root, intermediate, issuer, now, state: Mutex::default(), is_closed: AtomicBool::new(false) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn serve(&self, stream: &TcpStream) -> std::io::Result<()> {
        let mut reader = BufReader::new(stream);
        loop {
            let mut request = String::new();
            if reader.read_line(&mut request)? == 0 {
                return Ok(());
            }
            let (mut length, mut token) = (0, String::new());
            loop {
                let mut line = String::new();
                if reader.read_line(&mut line)? <= 2 {
                    break;
                }
                let (name, value) = line.split_once(':').unwrap_or_default();
                match name.to_lowercase().as_str() {
                    "content-length" => length = value.trim().parse().unwrap(),
                    "x-vault-token" => value.trim().clone_into(&mut token),
                    "x-vault-namespace" => self.state().headers.push(value.trim().to_owned()),
                    _ => {}
                }
            }
            let mut body = vec![0; length];
            reader.read_exact(&mut body)?;
            let mut words = request.split(' ');
            let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
            let (status, kind, body) = self.answer(method, path, &token, &body);
            let head = format!(
                "HTTP/1.1 {status}\r\ncontent-type: {kind}\r\ncontent-length: {}\r\n\r\n",
                body.len()
            );
            let mut out = stream;
            out.write_all(&[head.as_bytes(), &body].concat())?;
        }
    }

    fn answer(&self, method: &str, path: &str, token: &str, body: &[u8]) -> Answer {
        if self.state().is_away {
            return errors("503 Service Unavailable", "Vault is sealed");
        }
        let asked: Value = serde_json::from_slice(body).unwrap_or_default();
        let path = path.strip_prefix("/v1/").unwrap_or(path);
        let open = match (method, path) {
            ("PUT", "auth/approle/login") => Some(self.log_in(&asked)),
            ("GET", "pki_int/ca_chain") => Some(self.chain()),
            ("GET", "pki_int/crl") => Some(("200 OK", "application/pkix-crl", self.revocation_list())),
            // `tryLater`: what it says is not looked at here.
            ("POST", "pki_int/ocsp") => {
                Some(("200 OK", "application/ocsp-response", vec![0x30, 3, 0x0a, 1, 3]))
            }
            _ => None,
        };
        if let Some(answer) = open {
            return answer;
        }
        if token.is_empty() || token != self.state().token {
            return errors("403 Forbidden", "permission denied");
        }
        match (method, path) {
            ("PUT", "pki_int/sign-verbatim/certs") => self.sign(&asked),
            ("PUT", "pki_int/revoke") => self.revoke(&asked),
            _ => errors("404 Not Found", "no handler for route"),
        }
    }

    fn log_in(&self, asked: &Value) -> Answer {
        if (&asked["role_id"], &asked["secret_id"]) != (&json!(APP_ROLE.0), &json!(APP_ROLE.1)) {
            return errors("400 Bad Request", "invalid role or secret ID");
        }
        let mut state = self.state();
        state.logins += 1;
        state.token = format!("token-{}", state.logins);
        let auth = json!({"client_token": state.token, "renewable": true, "lease_duration": 3600});
        ("200 OK", "application/json", json!({ "auth": auth }).to_string().into_bytes())
    }

    fn chain(&self) -> Answer {
        let chain = format!("{}{}", self.intermediate, self.root);
        ("200 OK", "application/pem-certificate-chain", chain.into_bytes())
    }

    fn sign(&self, asked: &Value) -> Answer {
        let Ok(mut request) =
            CertificateSigningRequestParams::from_pem(asked["csr"].as_str().unwrap_or_default())
        else {
            return errors("400 Bad Request", "the CSR cannot be read");
        };
        let ttl = asked["ttl"].as_str().and_then(|ttl| ttl.strip_suffix('s')?.parse::<i64>().ok()).unwrap();
        let mut state = self.state();
        let ttl = state.longest.map_or(ttl, |longest| ttl.min(longest));
        let number = u32::try_from(state.signed.len()).unwrap() + 1;
        let bytes = [&[0x5a, 0xb0][..], &number.to_be_bytes()].concat();
        request.params.serial_number = Some(SerialNumber::from_slice(&bytes));
        request.params.not_before = self.now - time::Duration::seconds(30);
        request.params.not_after = self.now + time::Duration::seconds(ttl);
        let pem = request.signed_by(&self.issuer).unwrap().pem();
        let serial = bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(":");
        state.signed.insert(serial.clone(), pem.clone());
        data(&json!({
            "certificate": pem.trim(), "serial_number": serial, "issuing_ca": self.intermediate.trim(),
            "ca_chain": [self.intermediate.trim(), self.root.trim()],
        }))
    }

    fn revoke(&self, asked: &Value) -> Answer {
        let serial = asked["serial_number"].as_str().unwrap_or_default().to_owned();
        let mut state = self.state();
        if !state.signed.contains_key(&serial) {
            return errors("400 Bad Request", &format!("certificate with serial {serial} not found"));
        }
        state.revoked.push(serial);
        data(&json!({"revocation_time": self.now.unix_timestamp()}))
    }

    fn revocation_list(&self) -> Vec<u8> {
        let number = |serial: &String| {
            let bytes = serial.split(':').map(|byte| u8::from_str_radix(byte, 16).unwrap());
            SerialNumber::from_slice(&bytes.collect::<Vec<_>>())
        };
        let revoked = |serial| RevokedCertParams {
            serial_number: number(serial),
            revocation_time: self.now,
            reason_code: None,
            invalidity_date: None,
        };
        let list = CertificateRevocationListParams {
            this_update: self.now,
            next_update: self.now + time::Duration::hours(72),
            crl_number: SerialNumber::from(1_u64),
            issuing_distribution_point: None,
            revoked_certs: self.state().revoked.iter().map(revoked).collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        list.signed_by(&self.issuer).unwrap().der().to_vec()
    }
}

fn data(data: &Value) -> Answer {
    ("200 OK", "application/json", json!({ "data": data }).to_string().into_bytes())
}

fn errors(status: &'static str, why: &str) -> Answer {
    (status, "application/json", json!({"errors": [why]}).to_string().into_bytes())
}

impl Drop for OpenBao {
    fn drop(&mut self) {
        self.shared.is_closed.store(true, Ordering::SeqCst);
        // Wakes the thread, so that it sees that.
        drop(TcpStream::connect(self.address));
    }
}
