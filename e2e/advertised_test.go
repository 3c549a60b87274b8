package e2e

import (
	"syscall"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// A broker that says of itself an address at which it cannot be reached: doctor and run name that address, and what to
// correct.
func TestWrongAdvertisedListener(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	c.ControlKey(int16(kmsg.Metadata), func(req kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		resp, ok := req.ResponseKind().(*kmsg.MetadataResponse)
		if !ok {
			return nil, nil, false
		}
		// discard (RFC 863): nothing serves it
		resp.Brokers = []kmsg.MetadataResponseBroker{{NodeID: 0, Host: "127.0.0.1", Port: 9}}
		return resp, nil, true
	})
	want := []string{"127.0.0.1:9 (advertised.listeners)", "correct advertised.listeners"}
	refuses(t, nil, c.flags("doctor"), append(want, "FAIL  brokers")...)
	in := launchIn(t, nil, c.flags("run")...)
	in.eventually("it says that Kafka is waited for", func() bool { return len(in.Logs("waiting for Kafka")) > 0 })
	says(t, in, want...)
	in.signal(syscall.SIGTERM)
	in.wait(waitTimeout)
}
