//! An identity provider on this machine: it publishes keys and signs whatever it is told to.

use std::{
    io::{BufRead, BufReader, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
};

use aws_lc_rs::{
    encoding::AsDer,
    rsa::KeySize,
    signature::{
        ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair,
        RsaKeyPair,
    },
};
use base64::{Engine, prelude::BASE64_STANDARD};
use jsonwebtoken::{EncodingKey, Header, jwk::Jwk};
use serde_json::{Value, json};

pub use jsonwebtoken::Algorithm;

/// A running issuer. Dropping it closes its port.
#[derive(Debug)]
pub struct Issuer {
    address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    keys: Mutex<Vec<Key>>,
    issuer: Mutex<String>,
    is_away: AtomicBool,
    is_closed: AtomicBool,
    has_discovery: AtomicBool,
    fetches: AtomicUsize,
}

/// One key that signs.
#[derive(Clone)]
pub struct Key {
    kid: Option<String>,
    algorithm: Algorithm,
    encoding: EncodingKey,
    public: Value,
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Key({:?}, {:?})", self.kid, self.algorithm)
    }
}

impl Key {
    /// A new key. RSA takes a moment.
    pub fn generate(kid: &str, algorithm: Algorithm) -> Self {
        let encoding = match algorithm {
            Algorithm::ES256 => {
                let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
                EncodingKey::from_ec_der(pair.to_pkcs8v1().unwrap().as_ref())
            }
            Algorithm::ES384 => {
                let pair = EcdsaKeyPair::generate(&ECDSA_P384_SHA384_FIXED_SIGNING).unwrap();
                EncodingKey::from_ec_der(pair.to_pkcs8v1().unwrap().as_ref())
            }
            Algorithm::EdDSA => {
                let pair = Ed25519KeyPair::generate().unwrap();
                EncodingKey::from_ed_der(pair.to_pkcs8v1().unwrap().as_ref())
            }
            _ => {
                let der = RsaKeyPair::generate(KeySize::Rsa2048).unwrap().as_der().unwrap();
                let body = BASE64_STANDARD.encode(der.as_ref());
                let pem = format!("-----BEGIN PRIVATE KEY-----\n{body}\n-----END PRIVATE KEY-----\n");
                EncodingKey::from_rsa_pem(pem.as_bytes()).unwrap()
            }
        };
        let mut public = serde_json::to_value(Jwk::from_encoding_key(&encoding, algorithm).unwrap()).unwrap();
        let members = public.as_object_mut().expect("a key is an object");
        members.insert("kid".to_owned(), json!(kid));
        members.insert("use".to_owned(), json!("sig"));
        Self { kid: Some(kid.to_owned()), algorithm, encoding, public }
    }

    /// The same key as it is published: to change, or to leave something out.
    pub fn public_mut(&mut self) -> &mut Value {
        &mut self.public
    }

    /// The same key, whose tokens do not name it.
    #[must_use]
    pub fn unnamed(mut self) -> Self {
        self.kid = None;
        self
    }

    /// A token with these claims and nothing else.
    pub fn sign(&self, claims: &Value) -> String {
        let header = Header { kid: self.kid.clone(), ..Header::new(self.algorithm) };
        jsonwebtoken::encode(&header, claims, &self.encoding).unwrap()
    }

    /// A token of the same key with another algorithm or key id.
    pub fn sign_as(&self, algorithm: Algorithm, kid: Option<&str>, claims: &Value) -> String {
        let header = Header { kid: kid.map(str::to_owned), ..Header::new(algorithm) };
        jsonwebtoken::encode(&header, claims, &self.encoding).unwrap()
    }
}

impl Issuer {
    /// An issuer with these keys, on a free port of this machine.
    pub fn start(keys: impl IntoIterator<Item = Key>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("no free port on 127.0.0.1");
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared::default());
        shared.keys.lock().unwrap().extend(keys);
        shared.has_discovery.store(true, Ordering::SeqCst);
        let issuer = Self { address, shared: Arc::clone(&shared) };
        *shared.issuer.lock().unwrap() = issuer.url();
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
        issuer
    }

    /// The issuer's name: the base of its addresses.
    pub fn url(&self) -> String {
        format!("http://{}/realms/celine", self.address)
    }

    /// Where its keys are.
    pub fn jwks_uri(&self) -> String {
        format!("{}/protocol/openid-connect/certs", self.url())
    }

    /// Publishes other keys.
    pub fn publish(&self, keys: impl IntoIterator<Item = Key>) {
        *self.shared.keys.lock().unwrap() = keys.into_iter().collect();
    }

    /// From now on it answers 503, or answers again.
    pub fn go_away(&self, is_away: bool) {
        self.shared.is_away.store(is_away, Ordering::SeqCst);
    }

    /// Whether there is a discovery document.
    pub fn have_discovery(&self, has: bool) {
        self.shared.has_discovery.store(has, Ordering::SeqCst);
    }

    /// What the discovery document says who the issuer is.
    pub fn call_itself(&self, issuer: &str) {
        issuer.clone_into(&mut self.shared.issuer.lock().unwrap());
    }

    /// How often its keys were asked for.
    pub fn fetches(&self) -> usize {
        self.shared.fetches.load(Ordering::SeqCst)
    }

    /// Claims of this issuer that hold for an hour from `now` (seconds since 1970), with these on top.
    pub fn claims(&self, now: i64, more: &Value) -> Value {
        let mut claims = json!({"iss": self.url(), "iat": now, "exp": now + 3600});
        let all = claims.as_object_mut().expect("claims are an object");
        all.extend(more.as_object().expect("claims are an object").clone());
        claims
    }
}

impl Shared {
    fn serve(&self, stream: &TcpStream) -> std::io::Result<()> {
        let mut reader = BufReader::new(stream);
        loop {
            let mut request = String::new();
            if reader.read_line(&mut request)? == 0 {
                return Ok(());
            }
            let mut line = String::new();
            while reader.read_line(&mut line)? > 2 {
                line.clear();
            }
            let path = request.split(' ').nth(1).unwrap_or_default().to_owned();
            let (status, body) = self.answer(&path);
            let head = format!(
                "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
                body.len()
            );
            let mut out = stream;
            out.write_all(format!("{head}{body}").as_bytes())?;
        }
    }

    fn answer(&self, path: &str) -> (&'static str, String) {
        let is_keys = path.ends_with("/certs");
        if is_keys {
            self.fetches.fetch_add(1, Ordering::SeqCst);
        }
        if self.is_away.load(Ordering::SeqCst) {
            return ("503 Service Unavailable", "{}".to_owned());
        }
        let issuer = self.issuer.lock().unwrap().clone();
        if is_keys {
            let keys: Vec<Value> = self.keys.lock().unwrap().iter().map(|key| key.public.clone()).collect();
            return ("200 OK", json!({"keys": keys}).to_string());
        }
        if path.ends_with("/.well-known/openid-configuration") && self.has_discovery.load(Ordering::SeqCst) {
            let jwks_uri = format!("{issuer}/protocol/openid-connect/certs");
            return ("200 OK", json!({"issuer": issuer, "jwks_uri": jwks_uri}).to_string());
        }
        ("404 Not Found", "{}".to_owned())
    }
}

impl Drop for Issuer {
    fn drop(&mut self) {
        self.shared.is_closed.store(true, Ordering::SeqCst);
        // Wakes the thread, so that it sees that.
        drop(TcpStream::connect(self.address));
    }
}
