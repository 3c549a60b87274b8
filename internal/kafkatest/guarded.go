package kafkatest

import (
	"context"
	"fmt"
	"maps"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// Guarded is a broker that asks who a client is, with ACLs: what is not granted is refused. Who comes by the listener
// of Broker, in plain text and without a login, may everything.
type Guarded struct {
	*Broker
	CA     *Authority // signs the certificates of the broker, and of clients that it is to know
	Tokens *Issuer    // of the tokens that it takes
	ports  map[Listener]int
}

// Listener is one of a guarded broker's.
type Listener string

// The listeners. A login is PLAIN, SCRAM-SHA-256 (over TLS only), SCRAM-SHA-512 or OAUTHBEARER.
const (
	Login     Listener = "LOGIN"    // a login in plain text
	LoginTLS  Listener = "LOGINTLS" // a login over TLS
	OnlyTLS   Listener = "ONLYTLS"  // TLS and no login: everybody is User:ANONYMOUS
	MutualTLS Listener = "MUTUAL"   // TLS with a certificate of the client, whose common name is the user
	Expired   Listener = "EXPIRED"  // TLS, and the broker's certificate has expired
)

// listeners are all of them, by the ports that they have in a container.
var listeners = map[Listener]struct {
	port     int
	protocol string
}{
	Login: {9094, "SASL_PLAINTEXT"}, LoginTLS: {9095, "SASL_SSL"}, OnlyTLS: {9096, "SSL"}, MutualTLS: {9097, "SSL"},
	Expired: {9098, "SSL"},
}

// ServerName is what the certificates of a guarded broker are for, and not the address that it has.
const ServerName = "broker.guarded.test"

// GuardedUser is the user of PLAIN and its password. Those of the other mechanisms are made by need.
const (
	GuardedUser     = "balanceq"
	GuardedPassword = "guarded-4711"
)

// LoginLifetime is how long logins by a password last on the listener Login (connections.max.reauth.ms). By a token,
// they last as long as that.
const LoginLifetime = 3 * time.Second

// guarded is that of the package.
var guarded struct {
	once   sync.Once
	broker *Guarded
	err    error
}

// SharedGuarded returns the package's guarded broker and starts it if this is the first call. It skips the test where
// brokers are no containers: kfake knows no OAUTHBEARER, no users by certificate and no login that ends.
func SharedGuarded(t testing.TB) *Guarded {
	t.Helper()
	needsBroker(t)
	if current.choice.kind != KindContainer {
		t.Skip("needs Kafka in a container: kfake knows no OAUTHBEARER, no users by certificate and no login that ends")
	}
	guarded.once.Do(func() { guarded.broker, guarded.err = startGuarded(current.choice) })
	if guarded.err != nil {
		t.Fatal("kafkatest: starting the guarded broker: ", guarded.err)
	}
	return guarded.broker
}

// removeGuarded is for the end of the run.
func removeGuarded() error {
	guarded.once.Do(func() {}) // from here on nothing starts it
	if guarded.broker == nil {
		return nil
	}
	return guarded.broker.remove()
}

func startGuarded(c choice) (*Guarded, error) {
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	var g *Guarded
	err := startOnFreePorts(ctx, func() (_ *Broker, err error) {
		if g, err = newGuarded(c); err != nil {
			return nil, err
		}
		return g.Broker, nil
	})
	if err != nil {
		return nil, err
	}
	return g, nil
}

func newGuarded(c choice) (*Guarded, error) {
	port, err := FreePort()
	if err != nil {
		return nil, err
	}
	g := &Guarded{Tokens: NewIssuer(), ports: map[Listener]int{}}
	if g.CA, err = newAuthority(); err != nil {
		return nil, err
	}
	for l := range listeners {
		if g.ports[l], err = FreePort(); err != nil {
			return nil, err
		}
	}
	server := &containerServer{engine: c.engine, image: c.image, port: port, guard: g}
	g.Broker = &Broker{kind: c.kind, image: c.image, addrs: c.brokersAt(port), port: port, serve: server}
	return g, nil
}

// Address is host:port of a listener.
func (g *Guarded) Address(l Listener) string {
	host, _, _ := net.SplitHostPort(g.addrs[0])
	return net.JoinHostPort(host, strconv.Itoa(g.ports[l]))
}

// Where the container has the files of a guarded broker.
const (
	jwksPath    = "/tmp/guarded-jwks.json"
	caPath      = "/tmp/guarded-ca.pem"
	serverPath  = "/tmp/guarded-server.pem"
	expiredPath = "/tmp/guarded-expired.pem"
)

// files are the contents of those.
func (g *Guarded) files() (map[string]string, error) {
	now := time.Now()
	server, err := g.CA.issue(ServerName, now.Add(90*day))
	if err != nil {
		return nil, err
	}
	expired, err := g.CA.issue(ServerName, now.Add(-time.Hour))
	if err != nil {
		return nil, err
	}
	return map[string]string{jwksPath: g.Tokens.keySet(), caPath: g.CA.PEM(), serverPath: server.key + server.cert,
		expiredPath: expired.key + expired.cert}, nil
}

// env adds the listeners to the variables that configure a broker.
func (g *Guarded) env(env map[string]string, host string) {
	for _, l := range slices.Sorted(maps.Keys(listeners)) {
		env["KAFKA_LISTENERS"] += fmt.Sprintf(",%s://:%d", l, listeners[l].port)
		env["KAFKA_ADVERTISED_LISTENERS"] += fmt.Sprintf(",%s://%s:%d", l, host, g.ports[l])
		env["KAFKA_LISTENER_SECURITY_PROTOCOL_MAP"] += fmt.Sprintf(",%s:%s", l, listeners[l].protocol)
		if protocol := listeners[l].protocol; strings.HasSuffix(protocol, "SSL") {
			set(env, l, map[string]string{"SSL_KEYSTORE_TYPE": "PEM", "SSL_KEYSTORE_LOCATION": serverPath,
				"SSL_TRUSTSTORE_TYPE": "PEM", "SSL_TRUSTSTORE_LOCATION": caPath})
		}
		if strings.HasPrefix(listeners[l].protocol, "SASL") {
			set(env, l, logins)
		}
	}
	lifetime := strconv.FormatInt(LoginLifetime.Milliseconds(), 10)
	for _, mechanism := range []string{"PLAIN", "SCRAM___SHA___512"} {
		set(env, Login, map[string]string{mechanism + "_CONNECTIONS_MAX_REAUTH_MS": lifetime})
	}
	set(env, Login, map[string]string{"SASL_ENABLED_MECHANISMS": "PLAIN,SCRAM-SHA-512,OAUTHBEARER"})
	set(env, MutualTLS, map[string]string{"SSL_CLIENT_AUTH": "required",
		"SSL_PRINCIPAL_MAPPING_RULES": "RULE:^CN=([^,]+).*$/$1/,DEFAULT"})
	set(env, Expired, map[string]string{"SSL_KEYSTORE_LOCATION": expiredPath})
	maps.Copy(env, map[string]string{
		"KAFKA_AUTHORIZER_CLASS_NAME":          "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
		"KAFKA_ALLOW_EVERYONE_IF_NO_ACL_FOUND": "false",
		"KAFKA_SUPER_USERS":                    "User:ANONYMOUS", // who comes by a listener that asks for nothing
		"KAFKA_OPTS":                           "-Dorg.apache.kafka.sasl.oauthbearer.allowed.urls=file:" + jwksPath,
	})
}

// set adds settings of a listener, in the form that names of variables have.
func set(env map[string]string, l Listener, settings map[string]string) {
	for name, value := range settings {
		env["KAFKA_LISTENER_NAME_"+string(l)+"_"+name] = value
	}
}

// logins are the settings of a listener that asks for one.
var logins = map[string]string{
	"SASL_ENABLED_MECHANISMS": "PLAIN,SCRAM-SHA-256,SCRAM-SHA-512,OAUTHBEARER",
	"PLAIN_SASL_JAAS_CONFIG": fmt.Sprintf("%splain.PlainLoginModule required user_%s=%q;", modules, GuardedUser,
		GuardedPassword),
	"SCRAM___SHA___256_SASL_JAAS_CONFIG":             modules + "scram.ScramLoginModule required;",
	"SCRAM___SHA___512_SASL_JAAS_CONFIG":             modules + "scram.ScramLoginModule required;",
	"OAUTHBEARER_SASL_JAAS_CONFIG":                   modules + "oauthbearer.OAuthBearerLoginModule required;",
	"OAUTHBEARER_SASL_SERVER_CALLBACK_HANDLER_CLASS": modules + "oauthbearer.OAuthBearerValidatorCallbackHandler",
	"OAUTHBEARER_SASL_OAUTHBEARER_JWKS_ENDPOINT_URL": "file:" + jwksPath,
	"OAUTHBEARER_SASL_OAUTHBEARER_EXPECTED_AUDIENCE": tokenAudience,
	"OAUTHBEARER_SASL_OAUTHBEARER_EXPECTED_ISSUER":   tokenIssuer,
}

const modules = "org.apache.kafka.common.security."
