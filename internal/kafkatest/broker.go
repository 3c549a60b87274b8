package kafkatest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/balanceq/balanceq/internal/wait"
)

// opTimeout bounds what a helper does before it fails the test with what it saw last. It outlasts a broker's restart.
const opTimeout = 60 * time.Second

// Broker is a Kafka broker (or, where it is external, a cluster). Its methods may be called from parallel tests, but
// for those that stop it.
type Broker struct {
	kind  string
	image string
	addrs []string
	port  int    // 0 for an external one
	own   bool   // made by New: goes with its test
	serve server // nil for an external one
}

// server is a broker process under our control. stop and start keep its address and its data.
type server interface {
	start(ctx context.Context) error
	stop(ctx context.Context, kill bool) error
	remove(ctx context.Context) error
}

// launch starts the chosen broker and waits until it serves. The port may have been taken since it was seen free: then
// another one is tried.
func launch(ctx context.Context, c choice, port int) (*Broker, error) {
	var b *Broker
	err := startOnFreePorts(ctx, func() (_ *Broker, err error) {
		if b != nil {
			if port, err = FreePort(); err != nil {
				return nil, err
			}
		}
		b = &Broker{kind: c.kind, image: c.image, addrs: c.brokersAt(port), port: port}
		switch c.kind {
		case KindContainer:
			b.serve = &containerServer{engine: c.engine, image: c.image, port: port}
		case KindEmbedded:
			b.serve = &embeddedServer{port: port}
		}
		return b, nil
	})
	if err != nil {
		return nil, err
	}
	return b, nil
}

// startOnFreePorts starts what prepare returns, and prepares it again where a port was taken since it was seen free.
func startOnFreePorts(ctx context.Context, prepare func() (*Broker, error)) error {
	for attempt := 1; ; attempt++ {
		b, err := prepare()
		if err != nil {
			return err
		}
		if err = b.start(ctx); err == nil {
			return nil
		}
		err = errors.Join(err, b.remove())
		if attempt == 3 || !portTaken(err) {
			return err
		}
	}
}

func portTaken(err error) bool {
	return errors.Is(err, syscall.EADDRINUSE) ||
		strings.Contains(err.Error(), "port is already allocated") || strings.Contains(err.Error(), "address already in use")
}

func (b *Broker) start(ctx context.Context) error {
	if b.serve != nil {
		if err := b.serve.start(ctx); err != nil {
			return err
		}
	}
	return b.ready(ctx)
}

// remove ends a broker that was started here for good; it may be stopped.
func (b *Broker) remove() error {
	if b.serve == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), removeTimeout)
	defer cancel()
	return b.serve.remove(ctx)
}

// ready waits until there are brokers, and every partition has a leader that answers. An open port says nothing: a
// container's port accepts while no broker is behind it, and a broker answers before it leads.
func (b *Broker) ready(ctx context.Context) error {
	err := poll(ctx, func(ctx context.Context) error {
		return b.with(func(cl *kgo.Client) error {
			resp, err := metadata(ctx, cl)
			if err != nil {
				return err
			}
			if b.serve == nil {
				return nil // another's cluster may hold topics that are none of our business
			}
			for _, t := range resp.Topics {
				if _, err := endOffsets(ctx, cl, *t.Topic, readUncommitted); err != nil {
					return err
				}
			}
			return nil
		})
	})
	if err != nil {
		return fmt.Errorf("waiting for broker %s: %w", strings.Join(b.addrs, ","), err)
	}
	return nil
}

// Brokers returns the bootstrap addresses, host:port.
func (b *Broker) Brokers() []string { return append([]string(nil), b.addrs...) }

// Kind returns KindExternal, KindContainer or KindEmbedded.
func (b *Broker) Kind() string { return b.kind }

// Image returns the container's image, "" for the other kinds.
func (b *Broker) Image() string { return b.image }

// CanRestart says whether Stop, Start and Restart work: not on an external broker.
func (b *Broker) CanRestart() bool { return b.serve != nil }

// Restart is Stop and Start: same address, same data.
func (b *Broker) Restart(tb testing.TB, kill bool) {
	tb.Helper()
	b.Stop(tb, kill)
	b.Start(tb)
}

// Stop ends the broker process: cleanly, or with SIGKILL. The embedded broker always stops cleanly. Where the broker
// cannot be stopped (CanRestart), the test is skipped.
func (b *Broker) Stop(tb testing.TB, kill bool) {
	tb.Helper()
	if !b.CanRestart() {
		tb.Skip("kafkatest: an external broker cannot be stopped")
	}
	ctx, cancel := context.WithTimeout(context.Background(), opTimeout)
	defer cancel()
	if err := b.serve.stop(ctx, kill); err != nil {
		tb.Fatal("kafkatest: stopping the broker: ", err)
	}
}

// Start starts a stopped broker again and returns when every partition has a leader that answers.
func (b *Broker) Start(tb testing.TB) {
	tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	err := b.start(ctx)
	// Packages are tested side by side: a cluster of another one's test may have the port for a moment.
	for pause := firstPause; err != nil && portTaken(err) && wait.Sleep(ctx, pause); pause = min(2*pause, lastPause) {
		err = b.start(ctx)
	}
	if err != nil {
		tb.Fatal("kafkatest: starting the broker again: ", err)
	}
}

// with calls do with a client of its own, which is gone afterwards: nothing is remembered over a restart of the broker,
// and no goroutine is left for a test that looks for leaks.
func (b *Broker) with(do func(*kgo.Client) error, opts ...kgo.Opt) error {
	cl, err := kgo.NewClient(append([]kgo.Opt{
		kgo.SeedBrokers(b.addrs...),
		kgo.ClientID("kafkatest"),
		kgo.MetadataMinAge(50 * time.Millisecond),
	}, opts...)...)
	if err != nil {
		return fmt.Errorf("making client: %w", err)
	}
	defer cl.Close()
	return do(cl)
}

// metadata asks for the topics named, for all of them where none is. A topic in error is an error.
func metadata(ctx context.Context, cl *kgo.Client, topics ...string) (*kmsg.MetadataResponse, error) {
	req := kmsg.NewPtrMetadataRequest()
	for _, topic := range topics {
		t := kmsg.NewMetadataRequestTopic()
		t.Topic = kmsg.StringPtr(topic)
		req.Topics = append(req.Topics, t)
	}
	resp, err := req.RequestWith(ctx, cl)
	if err != nil {
		return nil, fmt.Errorf("asking for metadata: %w", err)
	}
	if len(resp.Brokers) == 0 {
		return nil, errors.New("asking for metadata: no brokers")
	}
	for _, t := range resp.Topics {
		if err := kerr.ErrorForCode(t.ErrorCode); err != nil {
			return nil, fmt.Errorf("topic %s: %w", deref(t.Topic), err)
		}
	}
	return resp, nil
}
