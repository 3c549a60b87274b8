package e2e

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/balanceq/balanceq/cmssim"
	"github.com/balanceq/balanceq/internal/config"
	"github.com/balanceq/balanceq/internal/kafkatest"
	"github.com/balanceq/balanceq/internal/rights"
)

// guardedRig is a rig on a broker that asks who a client is, with a user of its own.
type guardedRig struct {
	*rig
	guard  *kafkatest.Guarded
	user   string
	secret string // name of the file with the password, or the client's secret
	tokens *kafkatest.TokenServer
	certs  kafkatest.Files
}

const password = "guarded-0815"

// newGuardedRig makes a rig and everything by which its user may be known.
func newGuardedRig(t *testing.T, partitions int, tokenLife time.Duration) *guardedRig {
	t.Helper()
	guard := kafkatest.SharedGuarded(t)
	r := &guardedRig{rig: newRigOn(t, guard.Broker, partitions, cmssim.Config{Record: true}), guard: guard}
	r.user = "user-of-" + r.requests
	r.secret = filepath.Join(t.TempDir(), "secret")
	kafkatest.Write(t, r.secret, password+"\n")
	r.tokens = guard.ServeTokens(t, password, tokenLife)
	r.certs = guard.CA.Files(t, r.user, inMonths())
	return r
}

// inMonths is an end of a certificate that is too far for a warning.
func inMonths() time.Time { return time.Now().AddDate(0, 3, 0) }

// By what clients are known.
var mechanisms = []string{"TLS", "mTLS", "PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER"}

// reach returns the flags of a client that is known by a mechanism, over TLS unless the listener is kafkatest.Login;
// the broker knows it from then on.
func (r *guardedRig) reach(mechanism string, by kafkatest.Listener) []string {
	r.t.Helper()
	flags := []string{"--kafka.brokers=" + r.guard.Address(by)}
	if by != kafkatest.Login {
		flags = append(flags, "--kafka.tls.enabled", "--kafka.tls.ca-file="+r.certs.CA,
			"--kafka.tls.server-name="+kafkatest.ServerName)
	}
	login := []string{"--kafka.sasl.mechanism=" + strings.ToLower(mechanism), "--kafka.sasl.username=" + r.user,
		"--kafka.sasl.password-file=" + r.secret}
	switch mechanism {
	case "TLS":
		return flags
	case "mTLS":
		return append(flags, "--kafka.tls.cert-file="+r.certs.Cert, "--kafka.tls.key-file="+r.certs.Key)
	case "PLAIN": // whose users are in the broker's configuration
		r.user = kafkatest.GuardedUser
		kafkatest.Write(r.t, r.secret, kafkatest.GuardedPassword)
		login[1] = "--kafka.sasl.username=" + r.user
	case "OAUTHBEARER":
		login = []string{login[0], "--kafka.sasl.oauth.token-url=" + r.tokens.URL,
			"--kafka.sasl.oauth.ca-file=" + r.certs.CA, "--kafka.sasl.oauth.client-id=" + r.user,
			"--kafka.sasl.oauth.client-secret-file=" + r.secret}
	default:
		r.guard.SetPassword(r.t, r.user, password)
	}
	return append(flags, login...)
}

// listener is where clients are known by a mechanism over TLS.
func listener(mechanism string) kafkatest.Listener {
	switch mechanism {
	case "TLS":
		return kafkatest.OnlyTLS
	case "mTLS":
		return kafkatest.MutualTLS
	}
	return kafkatest.LoginTLS
}

// as is a command with these flags of its connection, and with the names of this rig.
func (r *guardedRig) as(connection []string, command string, more ...string) []string {
	flags := slices.DeleteFunc(r.flags(), func(f string) bool { // the rest is for all commands
		return strings.HasPrefix(f, "--kafka.brokers=") || f == "run"
	})
	return slices.Concat(strings.Fields(command), flags, connection, []string{"--topics.replays=" + r.replays}, more)
}

// config has the names of this rig.
func (r *guardedRig) config(delivery string) (cfg config.Config) {
	cfg.Kafka.Group, cfg.Kafka.Brokers, cfg.Delivery = r.group, []string{"kafka-1:9092"}, delivery
	cfg.Topics = config.Topics{Requests: r.requests, Results: r.results, DeadLetters: r.deadletters, Replays: r.replays}
	return cfg
}

// allow grants what package rights lists.
func (r *guardedRig) allow(delivery string, purposes ...rights.Purpose) {
	r.t.Helper()
	for _, purpose := range purposes {
		for _, right := range rights.For(r.config(delivery), purpose) {
			r.guard.Allow(r.t, r.user, acl(right))
		}
	}
}

func acl(r rights.Right) kafkatest.ACL {
	kinds := map[string]kmsg.ACLResourceType{rights.Topic: kmsg.ACLResourceTypeTopic,
		rights.Group: kmsg.ACLResourceTypeGroup, rights.TransactionalID: kmsg.ACLResourceTypeTransactionalId,
		rights.Cluster: kmsg.ACLResourceTypeCluster}
	operations := map[string]kmsg.ACLOperation{"Read": kmsg.ACLOperationRead, "Write": kmsg.ACLOperationWrite,
		"Create": kmsg.ACLOperationCreate, "Describe": kmsg.ACLOperationDescribe,
		"DescribeConfigs": kmsg.ACLOperationDescribeConfigs}
	name := r.Name
	if r.Kind == rights.Cluster {
		name = "kafka-cluster"
	}
	return kafkatest.ACL{Kind: kinds[r.Kind], Name: name, Prefixed: r.Prefixed, Operation: operations[r.Operation]}
}

// works runs a command, which must succeed, and returns what it said.
func works(t *testing.T, args []string) string {
	t.Helper()
	in := launch(t, args...)
	if code := in.wait(waitTimeout).ExitCode(); code != 0 {
		t.Errorf("%s: exit code %d", args[0], code)
	}
	return in.output.String()
}
