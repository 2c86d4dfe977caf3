use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use db::{both_databases, testing::TestDb};
use serde_json::{Value, json};

use crate::{
    oauth_provider::Stand,
    plant::{Answer, Caller, PASSWORD, Plant, at_once},
};

const ERROR: &str = "http://ui.example.com/error?error=";

fn ann() -> Value {
    json!({
        "id": "g-1", "given_name": "Ann", "family_name": "Example", "email": "Ann@example.com",
        "picture": "https://example.com/ann.png", "verified_email": true,
    })
}

async fn plant_with_provider(db: TestDb, state: Option<&str>) -> (Plant, Stand) {
    let stand = Stand::open().await;
    stand.vouches_for(ann());
    let oauth = stand.settings(state);
    let plant =
        Plant::with_settings(db, access::Settings::default(), |rules| rules.oauth = Some(oauth)).await;
    (plant, stand)
}

/// A browser that has been sent to the provider: the state and its cookie.
struct Browser {
    nobody: Caller,
    state: String,
    challenge: String,
    cookie: String,
}

impl Browser {
    async fn sent(plant: &Plant) -> Self {
        let answer = plant.nobody().get("/oauth/authorize/google").await;
        assert_eq!(answer.status, 303);
        let location = answer.header("location").to_owned();
        let field = |name: &str| {
            let (_, after) = location.split_once(&format!("{name}=")).unwrap();
            after.split('&').next().unwrap().to_owned()
        };
        assert_eq!((field("client_id"), field("response_type")), ("our-id".to_owned(), "code".to_owned()));
        let cookie = answer.header("set-cookie");
        for attribute in ["; Path=/oauth", "; Max-Age=600", "; HttpOnly", "; Secure", "; SameSite=Lax"] {
            assert!(cookie.contains(attribute), "{attribute} in {cookie}");
        }
        let cookie = cookie.split(';').next().unwrap().to_owned();
        Self { nobody: plant.nobody(), state: field("state"), challenge: field("code_challenge"), cookie }
    }

    async fn comes_back(&self, code: &str) -> Answer {
        let path = format!("/oauth/callback/google?state={}&code={code}", self.state);
        self.nobody.get_with(&path, "cookie", &format!("other=1; {}", self.cookie)).await
    }
}

fn tokens(answer: &Answer) -> Vec<String> {
    assert_eq!((answer.status.as_u16(), answer.header("location")), (302, "http://ui.example.com/domains"));
    let cookies = answer.headers.get_all("set-cookie").iter().map(|cookie| cookie.to_str().unwrap());
    let token = |cookie: &str| {
        assert!(cookie.contains("; HttpOnly; Secure"), "{cookie}");
        cookie.split(';').next().unwrap().split_once('=').unwrap().1.to_owned()
    };
    cookies.map(token).collect()
}

#[track_caller]
fn refused(answer: &Answer, error: &str) {
    assert_eq!((answer.status.as_u16(), answer.header("location")), (303, &*format!("{ERROR}{error}")));
    assert!(!answer.header("set-cookie").contains("access_token"));
}

both_databases! {
    async fn who_comes_from_the_provider_is_registered_once_and_logged_in(db: TestDb) {
        let (plant, stand) = plant_with_provider(db, None).await;
        plant.events().await;
        let browser = Browser::sent(&plant).await;
        let first = tokens(&browser.comes_back("good").await);
        let verifier = stand.asked("code_verifier");
        assert_eq!(BASE64_URL_SAFE_NO_PAD.encode(digest(&SHA256, verifier.as_bytes())), browser.challenge);
        let ann = plant.nobody().with_token(&first[0]);
        let profile = ann.get("/users/profile").await.expect(200);
        for (field, value) in [
            ("first_name", json!("Ann")), ("last_name", json!("Example")), ("email", json!("Ann@example.com")),
            ("auth_provider", json!("google")), ("metadata", json!({"oauth_provider": "google"})),
            ("profile_picture", json!("https://example.com/ann.png")), ("role", json!("user")),
            ("verified_at", json!("2026-01-02T03:04:05Z")),
        ] {
            assert_eq!(profile[field], value, "{field}");
        }
        let name = profile["credentials"]["username"].as_str().unwrap();
        assert!(name.starts_with("ann_") && name.len() == 14, "{name}");
        let refreshed = plant.nobody().with_token(&first[1]).post("/users/tokens/refresh", json!({})).await;
        refreshed.expect(201);
        let operations: Vec<String> = plant.events().await.into_iter().map(|event| event.0).collect();
        assert_eq!(operations, ["user.create", "user.oauth_callback", "user.issue_token", "user.refresh_token"]);

        let again = tokens(&Browser::sent(&plant).await.comes_back("good").await);
        let again = plant.nobody().with_token(&again[0]).get("/users/profile").await.expect(200);
        assert_eq!(again["id"], profile["id"]);
    }

    async fn an_answer_counts_once_soon_and_in_the_browser_that_asked(db: TestDb) {
        let (plant, _stand) = plant_with_provider(db, None).await;
        let browser = Browser::sent(&plant).await;
        refused(&browser.comes_back("").await, "empty%20code");
        refused(&browser.comes_back("good").await, "invalid%20state");

        let (one, other) = (Browser::sent(&plant).await, Browser::sent(&plant).await);
        let stolen = Browser { cookie: other.cookie, ..one };
        refused(&stolen.comes_back("good").await, "invalid%20state");
        let forged = Browser { cookie: "trunkline_oauth=AAAA".to_owned(), ..stolen };
        refused(&forged.comes_back("good").await, "invalid%20state");
        let without = plant.nobody();
        refused(&without.get("/oauth/callback/google?state=&code=good").await, "invalid%20state");
        refused(&without.get("/oauth/callback/google").await, "invalid%20state");

        let late = Browser::sent(&plant).await;
        plant.clock.advance(Duration::from_secs(600));
        refused(&late.comes_back("good").await, "invalid%20state");
        let denied = Browser::sent(&plant).await;
        refused(&denied.comes_back("bad").await, "the%20oauth%20provider%20did%20not%20accept%20the%20login%2C%20try%20again");
        tokens(&Browser::sent(&plant).await.comes_back("good").await);
    }

    async fn what_the_provider_says_is_shown_as_what_it_is(db: TestDb) {
        let (plant, _stand) = plant_with_provider(db, None).await;
        let come_back = async |error: &str| {
            let browser = Browser::sent(&plant).await;
            let path = format!("/oauth/callback/google?state={}&error={error}&error_description=x", browser.state);
            browser.nobody.get_with(&path, "cookie", &browser.cookie).await
        };
        refused(&come_back("access_denied").await, "access_denied");
        refused(&come_back("%3Cscript%3E").await, "the%20oauth%20provider%20refused%20the%20login");
        // Without the state of a login of ours anybody could have written it.
        refused(&plant.nobody().get("/oauth/callback/google?error=access_denied").await, "invalid%20state");
    }

    async fn a_form_that_the_browser_posts_is_read(db: TestDb) {
        let (plant, _stand) = plant_with_provider(db, Some("fixed state")).await;
        let nobody = plant.nobody();
        let post = async |form: &str| nobody.post_form("/oauth/callback/google", form).await;
        tokens(&post("state=fixed+state&code=good&scope=email").await);
        refused(&post("state=fixed%20state&code=").await, "empty%20code");
        refused(&post("state=fixed+state&error=access_denied").await, "access_denied");
        refused(&post("state=other&code=good").await, "invalid%20state");
        refused(&post("").await, "invalid%20state");
        post("state=fixed+state&state=other&code=good").await.refused(400);
        let secret = post("state=fixed+state&code=a-code-that-nobody-may-see").await;
        assert!(!secret.header("location").contains("a-code"), "{}", secret.header("location"));
    }

    async fn of_many_answers_at_once_one_logs_in(db: TestDb) {
        let (plant, _stand) = plant_with_provider(db, None).await;
        let browser = std::sync::Arc::new(Browser::sent(&plant).await);
        let answers = at_once(5, |_| {
            let browser = std::sync::Arc::clone(&browser);
            async move { browser.comes_back("good").await }
        })
        .await;
        assert_eq!(answers.iter().filter(|answer| answer.status == 302).count(), 1);
        assert_eq!(plant.count("users WHERE auth_provider = 'google'").await, 1);
    }

    async fn a_fixed_state_counts_only_where_an_operator_has_set_one(db: TestDb) {
        let (plant, stand) = plant_with_provider(db, Some("fixed")).await;
        refused(&plant.nobody().get("/oauth/callback/google?state=other&code=good").await, "invalid%20state");
        tokens(&plant.nobody().post("/oauth/callback/google?state=fixed&code=good", json!({})).await);
        assert_eq!(stand.asked("code_verifier"), "");
    }

    async fn a_profile_needs_a_verified_address_and_an_account_that_is_enabled(db: TestDb) {
        let (plant, stand) = plant_with_provider(db, None).await;
        let mut profile = ann();
        profile["verified_email"] = json!(false);
        stand.vouches_for(profile);
        let not_verified = "the%20e-mail%20address%20is%20not%20verified%20at%20the%20oauth%20provider";
        refused(&Browser::sent(&plant).await.comes_back("good").await, not_verified);
        stand.vouches_for(json!({"id": "g-1", "email": "ann@example.com", "verified_email": true}));
        let missing = "missing%20required%20fields%3A%20first_name%2C%20last_name";
        refused(&Browser::sent(&plant).await.comes_back("good").await, missing);

        stand.vouches_for(ann());
        let user = plant.user("ann").await;
        for change in ["disable", "delete"] {
            plant.admin.post(&format!("/users/{}/disable", user.id), json!({})).await;
            if change == "delete" {
                plant.admin.delete(&format!("/users/{}", user.id)).await.expect(204);
            }
            let answer = Browser::sent(&plant).await.comes_back("good").await;
            refused(&answer, "the%20account%20is%20disabled%2C%20ask%20an%20administrator");
        }
        assert_eq!(plant.count("users").await, 2);
    }

    async fn nobody_waits_with_a_password_in_an_account_that_is_not_theirs(db: TestDb) {
        let (plant, _stand) = plant_with_provider(db, None).await;
        let thief = plant.user("ann").await;
        plant.events().await;
        let pair = tokens(&Browser::sent(&plant).await.comes_back("good").await);
        let ann = plant.nobody().with_token(&pair[0]).get("/users/profile").await.expect(200);
        assert_eq!(ann["id"], thief.id.as_str());
        thief.get("/users/profile").await.refused(401);
        let events = plant.events().await;
        let ended = events.iter().find(|event| event.0 == "user.reset_secret").unwrap();
        assert_eq!(ended.1["user_id"], thief.id.as_str(), "open connections end by this");
        let login = json!({"username": "ann", "password": PASSWORD});
        plant.nobody().post("/users/tokens/issue", login.clone()).await.refused(401);
        assert_eq!(plant.count("users WHERE username = 'ann' AND password_hash IS NULL AND verified_at IS NOT NULL").await, 1);
    }

    async fn an_address_that_was_entered_with_a_stolen_token_does_not_lead_in(db: TestDb) {
        let (plant, _stand) = plant_with_provider(db, None).await;
        let thief = plant.user("victim").await;
        let email = json!({"email": "ann@example.com"});
        thief.patch(&format!("/users/{}/email", thief.id), email).await.expect(200);
        let lately = "the%20address%20of%20the%20account%20was%20changed%20lately%2C%20log%20in%20with%20its%20user%20name%20and%20password";
        refused(&Browser::sent(&plant).await.comes_back("good").await, lately);
        plant.nobody().logged_in("victim").await;
        // Nor is somebody else let in who has the address that she left.
        let old = json!({"email": "victim@example.com"});
        thief.patch(&format!("/users/{}/email", thief.id), old).await.expect(200);
        tokens(&Browser::sent(&plant).await.comes_back("good").await);
        assert_eq!(plant.count("users WHERE auth_provider = 'google' AND username <> 'victim'").await, 1);
    }

    async fn an_administrator_stays_one(db: TestDb) {
        let (plant, stand) = plant_with_provider(db, None).await;
        let mut profile = ann();
        profile["email"] = json!("admin@example.com");
        stand.vouches_for(profile);
        let pair = tokens(&Browser::sent(&plant).await.comes_back("good").await);
        plant.nobody().with_token(&pair[0]).get("/users").await.expect(200);
        plant.nobody().logged_in("admin").await;
    }

    async fn without_a_provider_the_browser_is_told(db: TestDb) {
        let stand = Stand::open().await;
        let oauth = users::oauth::OAuthSettings { google: None, ..stand.settings(None) };
        let plant = Plant::with_settings(db, access::Settings::default(), |rules| rules.oauth = Some(oauth)).await;
        for path in ["/oauth/authorize/google", "/oauth/callback/google?state=x&code=good"] {
            refused(&plant.nobody().get(path).await, "oauth%20provider%20is%20disabled");
        }
    }
}
