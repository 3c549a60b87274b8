package cli

import (
	"bytes"
	"net"
	"strings"
	"testing"
	"time"
)

// A cluster that cannot be reached is named, with the setting and what to do.
// What the commands about topics say where no Kafka answers, at once.
func TestTopicsWithoutKafka(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0") // a port that is refused from now on
	if err != nil {
		t.Fatal(err)
	}
	broker := listener.Addr().String()
	listener.Close()
	for name, args := range map[string][]string{
		"create, replication given": {"create", "--replication=1"},
		"create, replication asked": {"create"},
		"check":                     {"check"},
	} {
		t.Run(name, func(t *testing.T) {
			var out, errOut bytes.Buffer
			start := time.Now()
			code := Execute(t.Context(), append(append([]string{"topics"}, args...), "--kafka.brokers="+broker),
				nil, &out, &errOut)
			if text := errOut.String(); code != 1 || !strings.Contains(text, "asking Kafka at "+broker) ||
				!strings.Contains(text, "kafka.brokers") || strings.Contains(text, "waiting") {
				t.Errorf("exit code %d after %v: %s", code, time.Since(start), text)
			}
		})
	}
}
