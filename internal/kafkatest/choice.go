package kafkatest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"strconv"
	"strings"
)

// DefaultImage is the broker that tests run on unless BALANCEQ_TEST_KAFKA_IMAGE names another.
const DefaultImage = "apache/kafka:4.3.1"

// The environment variables that choose a broker.
const (
	envBrokers = "BALANCEQ_TEST_BROKERS"
	envImage   = "BALANCEQ_TEST_KAFKA_IMAGE"
	envRequire = "BALANCEQ_REQUIRE_CONTAINERS"
)

// The kinds of broker, as Broker.Kind returns them.
const (
	KindExternal  = "external"
	KindContainer = "container"
	KindEmbedded  = "embedded"
)

// choice is what a run was given to test against.
type choice struct {
	kind    string
	brokers []string // external
	image   string   // container
	engine  *Engine  // container
	reason  string   // embedded: why it is not a container
}

// choose applies the order of the package comment. An error means that the run must not go on: the environment is wrong
// or a container is required and cannot be had.
func choose(ctx context.Context, getenv func(string) string) (choice, error) {
	if list := getenv(envBrokers); list != "" {
		brokers, err := parseBrokers(list)
		return choice{kind: KindExternal, brokers: brokers}, err
	}
	image := getenv(envImage)
	if image == "" {
		image = DefaultImage
	}
	found, err := FindEngine(ctx)
	if err == nil {
		if err = found.obtain(ctx, image); err == nil {
			return choice{kind: KindContainer, image: image, engine: found}, nil
		}
	}
	switch require := getenv(envRequire); require {
	case "", "0", "false":
		return choice{kind: KindEmbedded, reason: strings.Join(strings.Fields(err.Error()), " ")}, nil
	default:
		return choice{}, fmt.Errorf("%s=%s, but %w", envRequire, require, err)
	}
}

func parseBrokers(list string) ([]string, error) {
	var brokers []string
	for addr := range strings.SplitSeq(list, ",") {
		addr = strings.TrimSpace(addr)
		if _, _, err := net.SplitHostPort(addr); err != nil {
			return nil, fmt.Errorf("%s: %q is not host:port: %w", envBrokers, addr, err)
		}
		brokers = append(brokers, addr)
	}
	return brokers, nil
}

// brokersAt returns the addresses to connect to, given the port of a broker started here.
func (c choice) brokersAt(port int) []string {
	switch c.kind {
	case KindExternal:
		return c.brokers
	case KindContainer:
		return []string{net.JoinHostPort(c.engine.Host, strconv.Itoa(port))}
	default:
		return []string{net.JoinHostPort(loopback, strconv.Itoa(port))}
	}
}

// line is what Main prints, e.g. "kafkatest: broker container apache/kafka:4.3.1 at 127.0.0.1:25117".
func (c choice) line(brokers []string) string {
	return fmt.Sprintf("kafkatest: broker %s at %s", c, strings.Join(brokers, ","))
}

// String is e.g. "container apache/kafka:4.3.1".
func (c choice) String() string {
	switch c.kind {
	case KindContainer:
		return "container " + c.image
	case KindEmbedded:
		return "embedded (kfake), not a container (" + c.reason + ")"
	default:
		return "external"
	}
}

// Describe returns the kind of broker that tests run on in this environment, and what there is to say about it, e.g.
// "container apache/kafka:4.3.1". It is for programs that start tests; it obtains the image and starts nothing.
func Describe(ctx context.Context) (kind, text string, err error) {
	c, err := choose(ctx, os.Getenv)
	if err != nil {
		return "", "", err
	}
	if c.kind == KindExternal {
		return c.kind, "external at " + strings.Join(c.brokers, ","), nil
	}
	return c.kind, c.String(), nil
}

const loopback = "127.0.0.1"

// Brokers keep their port over a restart, so it lies below the range from which systems take ephemeral ports (32768 and
// up on Linux): no outgoing connection can occupy it while the broker is down.
const (
	minPort = 20000
	maxPort = 32767
)

// FreePort returns a free port of the loopback interface, below those that systems give to outgoing connections: it
// stays free while a broker is down. Test packages run side by side, so it may be gone when it is used.
func FreePort() (int, error) {
	for range 100 {
		port := minPort + rand.IntN(maxPort-minPort+1)
		l, err := net.Listen("tcp", net.JoinHostPort(loopback, strconv.Itoa(port)))
		if err != nil {
			continue
		}
		if err := l.Close(); err != nil {
			return 0, fmt.Errorf("closing probe of port %d: %w", port, err)
		}
		return port, nil
	}
	return 0, errors.New("no free port between 20000 and 32767")
}
