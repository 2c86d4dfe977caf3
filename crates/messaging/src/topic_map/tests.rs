use kernel::Rng;
use proptest::prelude::*;

use super::spelling::expanded;
use super::*;
use crate::topic::ChannelAddress;

const PLANT: &str = "
# Tasmota, each kind of topic below the device that it is about
tele/{device}/LWT           m/plant/c/presence/{device}
tele/{device}/{what...}     m/plant/c/tasmota/{device}/tele/{what...}
cmnd/{device}/{what...}     m/plant/c/tasmota/{device}/cmnd/{what...}

zigbee2mqtt/{rest...}       m/plant/c/zigbee/{rest...}
/{site}/line-1/{sensor}\tm/{site}/c/line-1-{sensor}/now
own/{what...}               m/{@domain}/c/things/{what...}
";

fn map(text: &str) -> TopicMap {
    TopicMap::parse("topics.map", text).unwrap()
}

fn shown(address: &ChannelAddress<'_>) -> String {
    format!("{} {} {} {}", address.domain, address.channel, address.subtopic, address.spelling)
}

fn topic(map: &TopicMap, topic: &str) -> Result<String, Malformed> {
    match map.topic(topic, None)? {
        Address::Channel(address) => Ok(shown(&address)),
        Address::Health { domain } => Ok(format!("health {domain}")),
        Address::Figures { subtopic } => Ok(format!("figures {subtopic}")),
    }
}

fn filter(map: &TopicMap, filter: &str) -> Result<String, Malformed> {
    let Filter { group, address } = map.filter(filter, None)?;
    match address {
        Address::Channel(address) => Ok(format!("{}{}", group.unwrap_or_default(), shown(&address))),
        Address::Health { domain } => Ok(format!("health {domain}")),
        Address::Figures { subtopic } => Ok(format!("figures {subtopic}")),
    }
}

#[test]
fn a_topic_goes_where_the_first_rule_leads_that_it_fits() {
    let map = map(PLANT);
    for (from, to) in [
        ("tele/plug7/SENSOR", "plant tasmota plug7/tele/SENSOR +tele/+0/#2"),
        ("tele/plug7/LWT", "plant presence plug7 +tele/+0/LWT"),
        ("tele/plug7", "plant tasmota plug7/tele +tele/+0/#2"),
        ("zigbee2mqtt/living room/set", "plant zigbee living%20room/set +zigbee2mqtt/#0"),
        ("zigbee2mqtt", "plant zigbee  +zigbee2mqtt/#0"),
        ("/north/line-1/heat", "north line-1-heat now +/north/line-1/heat"),
        ("m/plant/c/boiler/a", "plant boiler a m/plant/c/boiler"),
        ("hc/plant", "health plant"),
    ] {
        assert_eq!(topic(&map, from), Ok(to.to_owned()), "{from}");
    }
    for none in [
        "tele",
        "tele//SENSOR",
        "tele/plug7/SENSOR/",
        "other/plug7",
        "$SYS/x",
        "",
        "/",
        "tele/+/x",
        "tele/x/#",
    ] {
        assert_eq!(topic(&map, none), Err(Malformed::Topic), "{none}");
    }
    assert_eq!(topic(&TopicMap::default(), "tele/plug7/SENSOR"), Err(Malformed::Topic));
}

#[test]
fn a_filter_means_the_one_channel_that_it_can_match_topics_of() {
    let map = map(PLANT);
    for (from, to) in [
        ("tele/+/SENSOR", "plant tasmota +/tele/SENSOR +tele/+0/#2"),
        ("tele/plug7/+/x", "plant tasmota plug7/tele/+/x +tele/+0/#2"),
        ("cmnd/#", "plant tasmota +/cmnd/# +cmnd/+0/#2"),
        ("cmnd/+/#", "plant tasmota +/cmnd/# +cmnd/+0/#2"),
        ("tele/+/LWT", "plant presence + +tele/+0/LWT"),
        ("$share/crew/zigbee2mqtt/#", "crewplant zigbee # +zigbee2mqtt/#0"),
        ("zigbee2mqtt/a lamp/#", "plant zigbee a%20lamp/# +zigbee2mqtt/#0"),
        ("m/plant/c/boiler/#", "plant boiler # m/plant/c/boiler"),
        ("$SYS/#", "figures #"),
    ] {
        assert_eq!(filter(&map, from), Ok(to.to_owned()), "{from}");
    }
    for open in ["tele/+/+", "tele/#", "#", "+/plug7/SENSOR"] {
        assert_eq!(filter(&map, open), Err(Malformed::Ambiguous), "{open}");
    }
    assert_eq!(filter(&map, "/+/line-1/heat"), Err(Malformed::Undecided));
    assert_eq!(filter(&map, "/north/line-1/+"), Err(Malformed::Undecided));
    for none in ["tele/a+", "cmnd/#/x", "other/#", "$SYS", "m/+/c/boiler", "$share/crew", "cmnd//x"] {
        assert!(filter(&map, none).is_err(), "{none}");
    }
}

#[test]
fn the_domain_may_be_that_of_whoever_publishes() {
    let map = map(PLANT);
    let own = DomainId::generate(&Rng::seeded(1));
    let Ok(Address::Channel(address)) = map.topic("own/a", Some(own)) else { panic!("it fits") };
    assert_eq!(address.domain, own.to_string());
    assert_eq!(topic(&map, "own/a"), Ok(" things a +own/#0".to_owned()), "a user has none");
}

#[test]
fn a_subtopic_has_a_depth_also_when_it_was_mapped() {
    let map = map("a/{rest...} m/d/c/ch/x/{rest...}");
    let deep = |levels: usize| format!("a/{}", vec!["b"; levels].join("/"));
    assert!(map.topic(&deep(127), None).is_ok());
    assert_eq!(map.topic(&deep(128), None), Err(Malformed::Subtopic));
}

#[test]
fn each_fault_of_a_file_has_its_line_and_column() {
    for (text, at, what) in [
        ("a m/d/c/ch\n  a/{x}", "2:3", "the target is missing"),
        ("a m/d/c/ch b", "1:12", "this is too much"),
        ("{X} m/d/c/ch/{X}", "1:1", "lower-case"),
        ("a/{x}/{x} m/d/c/ch/{x}", "1:7", "two captures"),
        ("a/{x...}/b m/d/c/ch/{x...}", "1:3", "must be the last"),
        ("a/b{x} m/d/c/ch/{x}", "1:3", "a whole level"),
        ("a/# m/d/c/ch", "1:3", "in the place of wildcards"),
        ("a//b m/d/c/ch", "1:3", "a level is empty"),
        ("a/ m/d/c/ch", "1:3", "a level is empty"),
        ("m/{x} m/d/c/ch/{x}", "1:1", "the platform's own"),
        ("/channels/{x} m/d/c/ch/{x}", "1:1", "the platform's own"),
        ("$SYS/{x} m/d/c/ch/{x}", "1:1", "the platform's own"),
        ("a x/d/c/ch", "1:3", "a target begins with"),
        ("a m/d/c", "1:3", "a target begins with"),
        ("a m//c/ch", "1:5", "is missing"),
        ("a m/d/c/", "1:9", "is missing"),
        ("a m/d/c/c.h", "1:9", "no id or route"),
        ("a m/d/c/{x", "1:9", "a `}` is missing"),
        ("a/{x} m/d/c/ch", "1:7", "the target lacks `{x}`"),
        ("a/{x} m/d/c/ch/{y}", "1:16", "the pattern has no `{y}`"),
        ("a/{x} m/d/c/ch/{x}/{x}", "1:20", "stands in the target already"),
        ("a/{x...} m/d/c/ch/{x}", "1:19", "as in the pattern"),
        ("a/{x} m/d/c/ch/{x...}", "1:16", "as in the pattern"),
        ("a/{x...} m/d/c/{x...}", "1:16", "within one level"),
        ("a/{x...} m/d/c/ch/{x...}/b", "1:19", "must be the last"),
        ("a/{x} m/d/c/ch/b{x}", "1:16", "a whole level of the subtopic"),
        ("a m/d/c/ch/x//y", "1:14", "not empty"),
        ("a m/d/c/ch/*", "1:12", "no `*`"),
        ("a/{x...} m/d/c/ch/{x...}\n\na/b m/d/c/ch/b", "3:1", "line 1 takes all"),
    ] {
        let fault = TopicMap::parse("topics.map", text).unwrap_err().to_string();
        assert!(
            fault.starts_with(&format!("topics.map:{at}: ")) && fault.contains(what),
            "{text:?}: {fault}"
        );
    }
    let large = "#".repeat((1 << 20) + 1);
    assert!(
        TopicMap::parse("topics.map", &large).unwrap_err().to_string().starts_with("topics.map: the file")
    );
}

/// Whether a filter matches a topic, level by level.
fn matches(filter: &[&str], topic: &[&str]) -> bool {
    match (filter.split_first(), topic.split_first()) {
        (Some((&"#", _)), _) | (None, None) => true,
        (Some((wanted, filter)), Some((given, topic))) => {
            (*wanted == "+" || wanted == given) && matches(filter, topic)
        }
        _ => false,
    }
}

fn is_match(filter: &str, topic: &str) -> bool {
    let levels = |text: &str| -> Vec<String> {
        text.split('/').filter(|level| !level.is_empty()).map(str::to_owned).collect()
    };
    let (filter, topic) = (levels(filter), levels(topic));
    let filter: Vec<&str> = filter.iter().map(String::as_str).collect();
    let topic: Vec<&str> = topic.iter().map(String::as_str).collect();
    matches(&filter, &topic)
}

/// A rule that leads to a channel of its own, its captures in the order that `turned` says.
fn rule_text((levels, has_rest, turned): (Vec<u8>, bool, bool), number: usize) -> String {
    let (mut pattern, mut below) = (Vec::new(), Vec::new());
    for (at, level) in levels.iter().enumerate() {
        match level {
            0 => pattern.push("a".to_owned()),
            1 => pattern.push("b".to_owned()),
            _ => {
                pattern.push(format!("{{x{at}}}"));
                below.push(format!("{{x{at}}}"));
            }
        }
    }
    if turned {
        below.reverse();
    }
    below.push("t".to_owned());
    if has_rest {
        pattern.push("{r...}".to_owned());
        below.push("{r...}".to_owned());
    }
    format!("{} m/d/c/ch{number}/{}", pattern.join("/"), below.join("/"))
}

fn rule() -> impl Strategy<Value = (Vec<u8>, bool, bool)> {
    (prop::collection::vec(0..4_u8, 1..4), any::<bool>(), any::<bool>())
}

fn name(levels: &'static [&'static str]) -> impl Strategy<Value = String> {
    prop::collection::vec(prop::sample::select(levels), 1..5).prop_map(|levels| levels.join("/"))
}

proptest! {
    #[test]
    fn the_way_back_leads_to_the_topic_and_filters_match_what_they_matched(
        rules in prop::collection::vec(rule(), 1..4),
        topic in name(&["a", "b", "c d", "%20", "*>"]),
        filter in name(&["a", "b", "c d", "+", "+", "#"]),
    ) {
        let texts: Vec<String> = rules.into_iter().enumerate().map(|(at, rule)| rule_text(rule, at)).collect();
        // A set with a rule that is never reached is none.
        let Ok(map) = TopicMap::parse("topics.map", &texts.join("\n")) else { return Ok(()) };
        let Ok(Address::Channel(published)) = map.topic(&topic, None) else { return Ok(()) };
        prop_assert_eq!(expanded(&published.spelling, &published.subtopic), Some(topic.clone()));
        let Ok(Filter { address: Address::Channel(asked), .. }) = map.filter(&filter, None) else { return Ok(()) };
        if is_match(&filter, &topic) {
            prop_assert_eq!(&published.channel, &asked.channel, "another rule has it");
        }
        if published.channel == asked.channel {
            prop_assert_eq!(is_match(&filter, &topic), is_match(&asked.subtopic, &published.subtopic));
            prop_assert_eq!(asked.spelling, published.spelling);
        }
    }
}
