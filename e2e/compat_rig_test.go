package e2e

import (
	"maps"
	"strings"
	"sync"
	"testing"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/balanceq/balanceq/cmssim"
	"github.com/balanceq/balanceq/internal/kafkatest"
)

// cluster is an embedded one for a single test, of another release or with rules of its own, with a CMS.
type cluster struct {
	*kfake.Cluster
	t   *testing.T
	cms string

	mu   sync.Mutex
	sent map[versioned]bool // what it was asked for since watch
}

// versioned is a request in some version.
type versioned struct {
	key     kmsg.Key
	version int16
}

func newCluster(t *testing.T, opts ...kfake.Opt) *cluster {
	t.Helper()
	kafka := kafkatest.Embedded(t, append(opts, kfake.SeedTopics(1, "requests", "results", "deadletters"))...)
	cms, err := cmssim.Listen("127.0.0.1:0", cmssim.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cms.Close() })
	return &cluster{Cluster: kafka, t: t, cms: cms.URL(), sent: map[versioned]bool{}}
}

// flags are those of a command that works with this cluster.
func (c *cluster) flags(command string, more ...string) []string {
	flags := []string{command, "--kafka.brokers=" + strings.Join(c.ListenAddrs(), ","), "--kafka.group=g", "--instance=i1",
		"--cms.url=" + c.cms, "--topics.requests=requests", "--topics.results=results", "--topics.deadletters=deadletters"}
	if command == "doctor" {
		flags = append(flags, "--no-call")
	} else {
		flags = append(flags, "--http.listen=127.0.0.1:0", "--http.admin=127.0.0.1:0", "--log.format=json")
	}
	return append(flags, more...)
}

// watch notes what is asked for from now on.
func (c *cluster) watch() {
	c.Control(func(req kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		c.mu.Lock()
		defer c.mu.Unlock()
		c.sent[versioned{kmsg.Key(req.Key()), req.GetVersion()}] = true
		return nil, nil, false
	})
}

func (c *cluster) watched() map[versioned]bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return maps.Clone(c.sent)
}

// ask publishes a request.
func (c *cluster) ask(opts ...kgo.Opt) {
	c.t.Helper()
	cl, err := kgo.NewClient(append(opts, kgo.SeedBrokers(c.ListenAddrs()...))...)
	if err != nil {
		c.t.Fatal(err)
	}
	defer cl.Close()
	m := ask(70001, "AVAILABLE")
	if err := cl.ProduceSync(c.t.Context(), &kgo.Record{Topic: "requests", Key: m.Key, Value: m.Value}).
		FirstErr(); err != nil {
		c.t.Fatal(err)
	}
}

// answered says whether a result is there, committed where it is part of a transaction.
func (c *cluster) answered() bool { return c.PartitionInfo("results", 0).LastStableOffset > 0 }

// refuses runs a command, which must fail, and wants these words in what it says.
func refuses(t *testing.T, env, args []string, want ...string) {
	t.Helper()
	in := launchIn(t, env, args...)
	if code := in.wait(waitTimeout).ExitCode(); code != 1 {
		t.Errorf("%s: exit code %d, want 1", args[0], code)
	}
	says(t, in, want...)
}

// says wants these words in what the program has said.
func says(t *testing.T, in *instance, want ...string) {
	t.Helper()
	for _, words := range want {
		if !strings.Contains(in.output.String(), words) {
			t.Errorf("%s does not say %q", in.cmd.Args[1], words)
		}
	}
}
