//! A mail server for one test, as much of SMTP as a client of it speaks (RFC 5321), over a real socket.

use std::sync::{Arc, Mutex};

use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
};
use users::mail::{LetterSettings, MailSettings, Post, Protection};

/// A mail as it came in.
#[derive(Clone, Debug)]
pub(crate) struct Mail {
    pub(crate) to: String,
    /// Headers and body, with the line breaks of quoted-printable undone.
    pub(crate) text: String,
}

impl Mail {
    /// The token in the link.
    pub(crate) fn token(&self) -> String {
        let (_, after) = self.text.split_once("?token=").unwrap();
        after.chars().take_while(|c| c.is_ascii_alphanumeric() || "-_.=".contains(*c)).collect()
    }
}

/// What the server does with mails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mood {
    Takes,
    /// Answers the sender, or the recipient, with these words.
    RefusesSender(&'static str),
    RefusesRecipient(&'static str),
}

pub(crate) struct Mailbox {
    port: u16,
    mails: Arc<Mutex<Vec<Mail>>>,
    mood: Arc<Mutex<Mood>>,
}

impl Mailbox {
    pub(crate) async fn open() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (mails, mood) = (Arc::new(Mutex::new(Vec::new())), Arc::new(Mutex::new(Mood::Takes)));
        let (kept, feels) = (Arc::clone(&mails), Arc::clone(&mood));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, Arc::clone(&kept), Arc::clone(&feels)));
            }
        });
        Self { port, mails, mood }
    }

    /// How the platform sends mails to it.
    pub(crate) fn post(&self) -> Post {
        let letter = |url: &str| LetterSettings { url: url.to_owned(), template: None };
        Post::new(MailSettings {
            host: "127.0.0.1".to_owned(),
            port: self.port,
            login: None,
            protection: Protection::None,
            from_address: "platform@example.com".to_owned(),
            from_name: "The Platform".to_owned(),
            reset: letter("http://ui.example.com/reset"),
            verification: letter("http://ui.example.com/verify"),
        })
        .unwrap()
    }

    /// From now on no mail is taken.
    pub(crate) fn refuse(&self) {
        self.answer_sender("451 later");
    }

    /// From now on senders are answered with these words.
    pub(crate) fn answer_sender(&self, words: &'static str) {
        *self.mood.lock().unwrap() = Mood::RefusesSender(words);
    }

    /// From now on recipients are answered with these words.
    pub(crate) fn answer_recipient(&self, words: &'static str) {
        *self.mood.lock().unwrap() = Mood::RefusesRecipient(words);
    }

    /// The one mail that came in since the last call, to this address among others.
    #[track_caller]
    pub(crate) fn mail_to(&self, to: &str) -> Mail {
        let mut mails: Vec<_> = self.mails().into_iter().filter(|mail| mail.to == to).collect();
        assert_eq!(mails.len(), 1, "to {to}: {mails:?}");
        mails.remove(0)
    }

    /// From now on mails are taken again.
    pub(crate) fn take(&self) {
        *self.mood.lock().unwrap() = Mood::Takes;
    }

    /// The mails that came in since the last call.
    pub(crate) fn mails(&self) -> Vec<Mail> {
        std::mem::take(&mut *self.mails.lock().unwrap())
    }
}

async fn serve(stream: TcpStream, mails: Arc<Mutex<Vec<Mail>>>, mood: Arc<Mutex<Mood>>) {
    let (read, mut write) = stream.into_split();
    let mut lines = BufReader::new(read).lines();
    write.write_all(b"220 test\r\n").await.unwrap();
    let mut to = String::new();
    while let Ok(Some(line)) = lines.next_line().await {
        let word = line.split(' ').next().unwrap_or_default().to_ascii_uppercase();
        let feels = *mood.lock().unwrap();
        let answer = match (word.as_str(), feels) {
            ("MAIL", Mood::RefusesSender(words)) | ("RCPT", Mood::RefusesRecipient(words)) => words,
            ("RCPT", _) => {
                to = line.split(['<', '>']).nth(1).unwrap().to_owned();
                "250 ok"
            }
            ("DATA", _) => {
                write.write_all(b"354 go on\r\n").await.unwrap();
                let mut text = String::new();
                while let Ok(Some(line)) = lines.next_line().await {
                    if line == "." {
                        break;
                    }
                    match line.strip_suffix('=') {
                        Some(cut) => text.push_str(cut),
                        None => text.push_str(&format!("{line}\n")),
                    }
                }
                mails.lock().unwrap().push(Mail { to: to.clone(), text: text.replace("=3D", "=") });
                "250 ok"
            }
            ("QUIT", _) => "221 bye",
            _ => "250 ok",
        };
        if write.write_all(format!("{answer}\r\n").as_bytes()).await.is_err() {
            return;
        }
    }
}
