package kafkawire

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/balanceq/balanceq/internal/kafkatest"
)

// advertising is a cluster of one broker whose metadata names it at another address.
func advertising(t *testing.T, host string, port int) *kfake.Cluster {
	t.Helper()
	c := kafkatest.Embedded(t, kfake.NumBrokers(1), kfake.SeedTopics(1, "t"))
	c.ControlKey(int16(kmsg.Metadata), func(req kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		resp := req.ResponseKind().(*kmsg.MetadataResponse)
		resp.Brokers = []kmsg.MetadataResponseBroker{{NodeID: 0, Host: host, Port: int32(port)}}
		return resp, nil, true
	})
	return c
}

// A broker that cannot be reached at its own word is told apart from a bootstrap address that is wrong.
func TestAdvertisedError(t *testing.T) {
	t.Parallel()
	l := listen(t)
	closed := l.Addr().(*net.TCPAddr)
	_ = l.Close()
	for name, test := range map[string]struct {
		host string
		port int
		want string
	}{
		"refused":      {"127.0.0.1", closed.Port, closed.String()},
		"unresolvable": {"kafka.onion", 9092, "kafka.onion:9092"}, // RFC 7686
	} {
		t.Run(name, func(t *testing.T) {
			_, err := wire(t, advertising(t, test.host, test.port).ListenAddrs()).
				Broker(deadline(t), 0, kmsg.NewPtrApiVersionsRequest())
			var advertised *AdvertisedError
			if !errors.As(err, &advertised) || advertised.Address != test.want || !Transient(err) {
				t.Fatalf("error %v", err)
			}
			if !strings.Contains(err.Error(), "advertised.listeners") || !strings.Contains(err.Error(), test.want) {
				t.Errorf("it says %q", err)
			}
		})
	}
	t.Run("bootstrap", func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		_, err := wire(t, []string{closed.String()}).Any(ctx, kmsg.NewPtrApiVersionsRequest())
		var advertised *AdvertisedError
		if err == nil || errors.As(err, &advertised) {
			t.Errorf("error %v", err)
		}
	})
}
