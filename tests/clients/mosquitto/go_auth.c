/* A plugin for Mosquitto that asks a policy service byte for byte what mosquitto-go-auth asks it: its `http` backend and
 * its `jwt` backend in remote mode, in each method, with JSON or form bodies, and in each response mode, without a cache.
 * It takes that plugin's own options (auth_opt_backends, auth_opt_http_host, auth_opt_jwt_getuser_uri, ...); of those about its
 * cache, TLS and time limits it knows nothing.
 *
 * As there, an empty user name or password is refused before anybody is asked, and a superuser is not asked about topics. */

#define _GNU_SOURCE

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <mosquitto.h>
#include <mosquitto_broker.h>
#include <mosquitto_plugin.h>

#define BUFFER 65536

static mosquitto_plugin_id_t *identifier;
static const char *backend = "http", *host = "127.0.0.1", *port = "8009", *method = "POST";
static const char *params_mode = "json", *response_mode = "status";
static const char *getuser_uri = "/", *aclcheck_uri = "/", *superuser_uri = NULL;

/* Percent-encoding as Go's url.Values.Encode does it: a space becomes a plus. */
static void add_form(char *out, const char *name, const char *value) {
	static const char digits[] = "0123456789ABCDEF";
	char *end = out + strlen(out);
	end += sprintf(end, "%s%s=", *out ? "&" : "", name);
	for (const unsigned char *c = (const unsigned char *)value; *c; c++) {
		if (*c == ' ') {
			*end++ = '+';
		} else if ((*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z') || (*c >= '0' && *c <= '9') || strchr("-_.~", *c)) {
			*end++ = (char)*c;
		} else {
			*end++ = '%';
			*end++ = digits[*c >> 4];
			*end++ = digits[*c & 15];
		}
	}
	*end = 0;
}

/* The tests use no character that JSON would escape. */
static void add_json(char *out, const char *name, const char *value, int is_number) {
	char *end = out + strlen(out);
	sprintf(end, is_number ? "%s\"%s\":%s" : "%s\"%s\":\"%s\"", *out ? "," : "{", name, value);
}

/* What an answer means to the plugin. */
enum answer { GRANTED, REJECTED, FAILED };

/* Reads an answer to its end: its status, and where its body is; 0 if there is none. */
static int read_answer(int connection, char *answer, size_t size, char **body) {
	size_t length = 0, wanted = 0;
	int status = 0;
	*body = NULL;
	while (length < size - 1 && (!*body || length < (size_t)(*body - answer) + wanted)) {
		ssize_t got = read(connection, answer + length, size - 1 - length);
		if (got <= 0) break;
		length += (size_t)got;
		answer[length] = 0;
		char *end = *body ? NULL : strstr(answer, "\r\n\r\n");
		if (end) {
			char *said = strcasestr(answer, "content-length:");
			*body = end + 4;
			wanted = said && said < end ? strtoul(said + 15, NULL, 10) : 0;
		}
	}
	answer[length] = 0;
	if (!*body) return 0;
	sscanf(answer, "HTTP/1.1 %d", &status);
	return status;
}

static enum answer meaning(int status, const char *body) {
	if (status == 0 || status >= 500) return FAILED;
	if (status < 200 || status >= 300) return REJECTED;
	if (!strcmp(response_mode, "text")) return strcmp(body, "ok") ? REJECTED : GRANTED;
	if (!strcmp(response_mode, "json")) {
		if (body[0] != '{') return FAILED;
		return strstr(body, "\"ok\":true") ? GRANTED : REJECTED;
	}
	return GRANTED;
}

/* Sends one request to an address as it is configured. */
static enum answer ask(const char *path, const char *body, const char *token) {
	static char request[2 * BUFFER], answer[BUFFER];
	int is_form = !strcmp(params_mode, "form"), status = 0;
	/* The http backend posts a form whatever it is told. */
	const char *verb = is_form && strcmp(backend, "jwt") ? "POST" : method;
	char *end = request, *answered = NULL;
	enum answer outcome = FAILED;
	end += sprintf(end, "%s %s HTTP/1.1\r\nHost: %s:%s\r\n", verb, path, host, port);
	/* In form mode Go's client names itself. */
	if (is_form) {
		end += sprintf(end, "User-Agent: Go-http-client/1.1\r\n");
	} else {
		end += sprintf(end, "User-Agent: mosquitto-%d.%d.%d\r\n", LIBMOSQUITTO_MAJOR, LIBMOSQUITTO_MINOR, LIBMOSQUITTO_REVISION);
	}
	end += sprintf(end, "Content-Length: %zu\r\n", strlen(body));
	if (token) end += sprintf(end, "Authorization: Bearer %s\r\n", token);
	end += sprintf(end, "Content-Type: %s\r\n", is_form ? "application/x-www-form-urlencoded" : "application/json");
	end += sprintf(end, "Accept-Encoding: gzip\r\n\r\n%s", body);

	int connection = socket(AF_INET, SOCK_STREAM, 0);
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(port))};
	inet_pton(AF_INET, host, &address.sin_addr);
	if (connect(connection, (struct sockaddr *)&address, sizeof address) == 0) {
		size_t left = (size_t)(end - request);
		for (char *from = request; left > 0;) {
			ssize_t sent = write(connection, from, left);
			if (sent <= 0) break;
			from += sent;
			left -= (size_t)sent;
		}
		status = read_answer(connection, answer, sizeof answer, &answered);
		outcome = meaning(status, answered ? answered : "");
	}
	close(connection);
	mosquitto_log_printf(MOSQ_LOG_NOTICE, "asked %s %s: %d", path, token ? "with a token" : body[0] == '{' ? "json" : "form", status);
	return outcome;
}

static int answered(enum answer outcome, int refusal) {
	if (outcome == GRANTED) return MOSQ_ERR_SUCCESS;
	return outcome == FAILED ? MOSQ_ERR_UNKNOWN : refusal;
}

static int is_form_mode(void) { return !strcmp(params_mode, "form"); }

static int on_login(int event, void *data, void *unused) {
	(void)event;
	(void)unused;
	struct mosquitto_evt_basic_auth *login = data;
	static char body[BUFFER];
	if (!login->username || !login->password || !*login->username || !*login->password) return MOSQ_ERR_AUTH;
	body[0] = 0;
	if (!strcmp(backend, "jwt")) {
		return answered(ask(getuser_uri, is_form_mode() ? "" : "null", login->username), MOSQ_ERR_AUTH);
	}
	const char *clientid = mosquitto_client_id(login->client);
	if (is_form_mode()) {
		add_form(body, "clientid", clientid);
		add_form(body, "password", login->password);
		add_form(body, "username", login->username);
	} else {
		add_json(body, "clientid", clientid, 0);
		add_json(body, "password", login->password, 0);
		add_json(body, "username", login->username, 0);
		strcat(body, "}");
	}
	return answered(ask(getuser_uri, body, NULL), MOSQ_ERR_AUTH);
}

static int is_superuser(const char *username) {
	static char body[BUFFER];
	body[0] = 0;
	/* Without an address nobody is asked. */
	if (!superuser_uri) return 0;
	if (!strcmp(backend, "jwt")) return ask(superuser_uri, is_form_mode() ? "" : "null", username) == GRANTED;
	if (is_form_mode()) {
		add_form(body, "username", username);
	} else {
		add_json(body, "username", username, 0);
		strcat(body, "}");
	}
	return ask(superuser_uri, body, NULL) == GRANTED;
}

static int on_topic(int event, void *data, void *unused) {
	(void)event;
	(void)unused;
	struct mosquitto_evt_acl_check *check = data;
	static char body[BUFFER];
	char acc[16];
	const char *username = mosquitto_client_username(check->client), *clientid = mosquitto_client_id(check->client);
	int is_jwt = !strcmp(backend, "jwt");
	/* The broker answers these itself for plugins of that generation. */
	if (check->access == MOSQ_ACL_UNSUBSCRIBE) return MOSQ_ERR_SUCCESS;
	if (!username || !*username) return MOSQ_ERR_ACL_DENIED;
	if (is_superuser(username)) return MOSQ_ERR_SUCCESS;
	snprintf(acc, sizeof acc, "%d", check->access);
	body[0] = 0;
	if (is_form_mode()) {
		add_form(body, "acc", acc);
		add_form(body, "clientid", clientid);
		add_form(body, "topic", check->topic);
		if (!is_jwt) add_form(body, "username", username);
	} else {
		add_json(body, "acc", acc, 1);
		add_json(body, "clientid", clientid, 0);
		add_json(body, "topic", check->topic, 0);
		if (!is_jwt) add_json(body, "username", username, 0);
		strcat(body, "}");
	}
	return answered(ask(aclcheck_uri, body, is_jwt ? username : NULL), MOSQ_ERR_ACL_DENIED);
}

int mosquitto_plugin_version(int count, const int *versions) {
	for (int i = 0; i < count; i++) {
		if (versions[i] == 5) return 5;
	}
	return -1;
}

/* An option of this backend: `http_host` of the http backend, `jwt_host` of the jwt backend. */
static void take(const char **place, const char *name, struct mosquitto_opt *options, int count) {
	char key[64];
	snprintf(key, sizeof key, "%s_%s", backend, name);
	for (int i = 0; i < count; i++) {
		if (!strcmp(options[i].key, key)) *place = strdup(options[i].value);
	}
}

int mosquitto_plugin_init(mosquitto_plugin_id_t *id, void **data, struct mosquitto_opt *options, int count) {
	(void)data;
	identifier = id;
	for (int i = 0; i < count; i++) {
		if (!strcmp(options[i].key, "backends")) backend = strdup(options[i].value);
	}
	take(&host, "host", options, count);
	take(&port, "port", options, count);
	take(&method, strcmp(backend, "jwt") ? "method" : "http_method", options, count);
	take(&params_mode, "params_mode", options, count);
	take(&response_mode, "response_mode", options, count);
	take(&getuser_uri, "getuser_uri", options, count);
	take(&aclcheck_uri, "aclcheck_uri", options, count);
	take(&superuser_uri, "superuser_uri", options, count);
	mosquitto_callback_register(id, MOSQ_EVT_BASIC_AUTH, on_login, NULL, NULL);
	return mosquitto_callback_register(id, MOSQ_EVT_ACL_CHECK, on_topic, NULL, NULL);
}

int mosquitto_plugin_cleanup(void *data, struct mosquitto_opt *options, int count) {
	(void)data;
	(void)options;
	(void)count;
	mosquitto_callback_unregister(identifier, MOSQ_EVT_BASIC_AUTH, on_login, NULL);
	return mosquitto_callback_unregister(identifier, MOSQ_EVT_ACL_CHECK, on_topic, NULL);
}
