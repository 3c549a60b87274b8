package kafkatest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"testing"

	"github.com/twmb/franz-go/pkg/kfake"
)

// Embedded starts an in-process cluster (kfake) that belongs to one test, which decides over its answers (ControlKey,
// Fault). It ends with the test. It needs no Main, and the version of brokers elsewhere is nothing to it: see OnlyOnce.
func Embedded(tb testing.TB, opts ...kfake.Opt) *kfake.Cluster {
	tb.Helper()
	needsBroker(tb)
	OnlyOnce(tb, "an embedded broker answers as the test wants")
	cluster, err := kfake.NewCluster(append([]kfake.Opt{kfake.ListenFn(Listen)}, opts...)...)
	if err != nil {
		tb.Fatal("kafkatest: starting an embedded broker: ", err)
	}
	tb.Cleanup(cluster.Close)
	return cluster
}

// embeddedServer is kfake with its data on disk, so that it can be stopped and started again on the same port.
type embeddedServer struct {
	port    int
	dir     string // empty until the first start
	cluster *kfake.Cluster
}

var _ server = (*embeddedServer)(nil)

func (s *embeddedServer) start(context.Context) error {
	if s.dir == "" {
		dir, err := os.MkdirTemp("", "kafkatest-")
		if err != nil {
			return fmt.Errorf("making data directory: %w", err)
		}
		s.dir = dir
	}
	cluster, err := kfake.NewCluster(kfake.Ports(s.port), kfake.DataDir(s.dir))
	if err != nil {
		return fmt.Errorf("starting embedded broker: %w", err)
	}
	s.cluster = cluster
	return nil
}

// stop is always clean: a broker in our own process cannot be killed.
func (s *embeddedServer) stop(context.Context, bool) error {
	if s.cluster != nil {
		s.cluster.Close()
		s.cluster = nil
	}
	return nil
}

func (s *embeddedServer) remove(ctx context.Context) error {
	err := s.stop(ctx, false)
	if s.dir != "" {
		err = errors.Join(err, os.RemoveAll(s.dir))
		s.dir = ""
	}
	return err
}
