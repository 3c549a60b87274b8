package cli

import (
	"bytes"
	"net"
	"strings"
	"testing"
	"time"
)

// A cluster that cannot be reached is named, with the setting and what to do.
func TestTopicsCreateWithoutKafka(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0") // a port that is refused from now on
	if err != nil {
		t.Fatal(err)
	}
	broker := listener.Addr().String()
	listener.Close()
	for name, args := range map[string][]string{
		"replication given": {"--replication=1"},
		"replication asked": nil,
	} {
		t.Run(name, func(t *testing.T) {
			var out, errOut bytes.Buffer
			start := time.Now()
			code := Execute(t.Context(), append([]string{"topics", "create", "--kafka.brokers=" + broker}, args...),
				nil, &out, &errOut)
			if text := errOut.String(); code != 1 || !strings.Contains(text, "asking Kafka at "+broker) ||
				!strings.Contains(text, "kafka.brokers") {
				t.Errorf("exit code %d after %v: %s", code, time.Since(start), text)
			}
		})
	}
}
