"""One MQTT connection of the Eclipse Paho client, driven by lines on standard input.

    probe.py HOST PORT VERSION USERNAME PASSWORD [option=value ...]

VERSION is 3 or 5. Options: id=CLIENT_ID, will=TOPIC,PAYLOAD (QoS 1, not retained), clean=false (and with version 5 a
session that lives an hour), transport=ws (WebSocket at /mqtt), ca=FILE (TLS), and with it cert=FILE and key=FILE.

Input, one command a line: `sub QOS FILTER`, `pub QOS RETAIN TOPIC PAYLOAD`, `die` (drop the connection without a
word), `end` (DISCONNECT); the end of the input is `end`. Output, one event a line:

    connack CODE [present]     suback CODES     ack CODE     message QOS RETAIN TOPIC PAYLOAD     closed CODE
"""

import sys
import threading

import paho.mqtt.client as paho
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

# Paho calls back on a thread of its own, which holds a lock that `publish` needs too: ours is never held around a
# call of Paho. It also reports a QoS 0 message as acknowledged, when it is sent: only those in `awaited` are. An
# acknowledgement may come before `publish` has returned and waits in `early`.
lock = threading.RLock()
awaited = set()
early = {}


def say(*words):
    with lock:
        print(*words, flush=True)


def acknowledged(mid, code):
    with lock:
        if mid in awaited:
            awaited.remove(mid)
            say("ack", code.value)
        else:
            early[mid] = code


def published(mid):
    with lock:
        if mid in early:
            say("ack", early.pop(mid).value)
        else:
            awaited.add(mid)


def main():
    host, port, version, username, password = sys.argv[1:6]
    options = dict(option.split("=", 1) for option in sys.argv[6:])
    clean = options.get("clean") != "false"
    client = paho.Client(
        paho.CallbackAPIVersion.VERSION2,
        client_id=options.get("id", ""),
        protocol=paho.MQTTv5 if version == "5" else paho.MQTTv311,
        reconnect_on_failure=False,
        transport="websockets" if options.get("transport") == "ws" else "tcp",
        **({} if version == "5" else {"clean_session": clean}),
    )
    if username or password:
        client.username_pw_set(username, password)
    if options.get("transport") == "ws":
        client.ws_set_options(path="/mqtt")
    if "ca" in options:
        client.tls_set(options["ca"], options.get("cert"), options.get("key"))
    if "will" in options:
        topic, payload = options["will"].split(",", 1)
        client.will_set(topic, payload, qos=1)
    how = {}
    if version == "5":
        how["clean_start"] = clean
        if not clean:
            how["properties"] = Properties(PacketTypes.CONNECT)
            how["properties"].SessionExpiryInterval = 3600

    client.on_connect = lambda _c, _u, flags, code, _p: say(
        "connack", connack_code(code, version), *(["present"] if flags.session_present else [])
    )
    client.on_subscribe = lambda _c, _u, _m, codes, _p: say("suback", ",".join(str(code.value) for code in codes))
    client.on_publish = lambda _c, _u, mid, code, _p: acknowledged(mid, code)
    client.on_message = lambda _c, _u, m: say("message", m.qos, int(m.retain), m.topic, m.payload.decode())
    client.on_disconnect = lambda _c, _u, _f, code, _p: say("closed", code.value)

    client.connect(host, int(port), keepalive=60, **how)
    client.loop_start()
    for line in sys.stdin:
        verb, *words = line.rstrip("\n").split(" ", 1)
        if verb == "sub":
            qos, topic = words[0].split(" ", 1)
            client.subscribe(topic, int(qos))
        elif verb == "pub":
            qos, retain, topic, payload = words[0].split(" ", 3)
            sent = client.publish(topic, payload, int(qos), retain == "1")
            if qos != "0":
                published(sent.mid)
        elif verb == "die":
            client.socket().close()
            return
        elif verb == "end":
            break
    client.disconnect()
    client.loop_stop()


def connack_code(code, version):
    """Paho turns the codes of version 3 into those of version 5: turn them back."""
    if version == "5":
        return code.value
    return {0: 0, 132: 1, 133: 2, 136: 3, 134: 4, 135: 5}[code.value]


main()
