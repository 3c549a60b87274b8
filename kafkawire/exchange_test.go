package kafkawire

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/balanceq/balanceq/internal/kafkatest"
)

func producerIDAnswer() []byte {
	resp := kmsg.NewPtrInitProducerIDResponse()
	resp.Version, resp.ProducerID, resp.ProducerEpoch = 1, 77, 3
	return resp.AppendTo(nil)
}

// An answer that makes no sense is a clear error, soon, without a big allocation, and the connection is not used again.
func TestExchangeGarbage(t *testing.T) {
	cases := map[string]struct {
		write  func(correlation uint32) []byte
		hangUp bool // closes after it; else the connection stays open and silent
		want   string
	}{
		"HTTP": {func(uint32) []byte { return []byte("HTTP/1.1 400 Bad Request\r\n\r\n") }, false,
			"is this address a Kafka broker's?"},
		"TLS alert": {func(uint32) []byte { return []byte{0x15, 0x03, 0x01, 0x00, 0x02, 0x02, 0x16, 0x00} },
			true, "is this address a Kafka broker's?"},
		"size 0": {func(uint32) []byte { return []byte{0, 0, 0, 0} }, false, "answer of 0 bytes"},
		"size 3": {func(uint32) []byte { return []byte{0, 0, 0, 3, 1, 2, 3} }, false, "answer of 3 bytes"},
		"size over the limit": {func(c uint32) []byte { return frame(maxResponse+1, c, nil) }, false,
			"answer of 268435457 bytes"},
		"size negative": {func(c uint32) []byte { return frame(0xffffffff, c, nil) }, false,
			"is this address a Kafka broker's?"},
		"other correlation id": {func(c uint32) []byte { return frame(18, c+1, producerIDAnswer()) }, false,
			"another request"},
		"hangs up":                {func(uint32) []byte { return nil }, true, "EOF"},
		"hangs up in the size":    {func(uint32) []byte { return []byte{0, 0} }, true, "EOF"},
		"hangs up after the head": {func(c uint32) []byte { return frame(100, c, nil) }, true, "EOF"},
		"hangs up in the body":    {func(c uint32) []byte { return frame(100, c, producerIDAnswer()) }, true, "EOF"},
		"body too short": {func(c uint32) []byte { return frame(8, c, []byte{0, 0, 0, 0}) }, false,
			"decoding the answer to request 22"},
		"hangs":             {func(uint32) []byte { return nil }, false, ""},
		"hangs in the body": {func(c uint32) []byte { return frame(100, c, []byte{1}) }, false, ""},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			var calls atomic.Int32
			broker := startFake(t, func(conn net.Conn, _, _ int16, correlation uint32) {
				if calls.Add(1) > 1 {
					reply(conn, correlation, producerIDAnswer())
					return
				}
				_, _ = conn.Write(c.write(correlation))
				if c.hangUp {
					_ = conn.Close()
				}
			})
			client := broker.client(t)
			if _, err := client.Any(deadline(t), metadataRequest()); err != nil { // connected, so that only the exchange counts
				t.Fatal(err)
			}
			timeout, hangs := within, strings.HasPrefix(name, "hangs") && !c.hangUp
			if hangs {
				timeout = 300 * time.Millisecond
			}
			ctx, cancel := context.WithTimeout(t.Context(), timeout)
			defer cancel()
			var err error
			n := allocated(func() { _, err = client.NewProducerID(ctx) })
			if ctx.Err() != nil && !hangs {
				t.Error("it took all the time there was")
			}
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want one with %q", err, c.want)
			}
			if !Transient(err) {
				t.Errorf("%v is not transient: the next connection may work", err)
			}
			if n > 8<<20 {
				t.Errorf("it allocated %d MiB", n>>20)
			}
			if id, err := client.NewProducerID(deadline(t)); err != nil || id != (ProducerID{ID: 77, Epoch: 3}) {
				t.Errorf("the call after it: %v, error %v", id, err)
			}
			if got := broker.data.Load(); got != 2 {
				t.Errorf("%d connections carried the two requests: the bad one was used again", got)
			}
		})
	}
}

func metadataRequest() kmsg.Request {
	req := kmsg.NewPtrMetadataRequest()
	req.Version = 1
	return req
}

// A caller that gives up (shutdown) gets its connection closed, instead of leaving it to wait for the broker.
func TestExchangeCancelled(t *testing.T) {
	asked := make(chan struct{}, 1)
	broker := startFake(t, func(net.Conn, int16, int16, uint32) { asked <- struct{}{} })
	client := broker.client(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	failed := make(chan error, 1)
	go func() {
		_, err := client.NewProducerID(ctx)
		failed <- err
	}()
	<-asked
	cancel()
	if err := <-failed; !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want cancelled", err)
	}
	client.Close()
	kafkatest.Eventually(t, callTimeout/2, "all connections are closed", func() bool { return broker.open() == 0 })
}

// Cancelling as the answer comes in must not spoil the connection for the next request.
func TestExchangeCancelledTooLate(t *testing.T) {
	broker := startFake(t, func(conn net.Conn, _, _ int16,
		correlation uint32) {
		reply(conn, correlation, producerIDAnswer())
	})
	client := broker.client(t)
	for range 200 {
		ctx, cancel := context.WithCancel(t.Context())
		go cancel()
		_, _ = client.NewProducerID(ctx)
		if _, err := client.NewProducerID(deadline(t)); err != nil {
			t.Fatalf("the call after a cancelled one: %v", err)
		}
	}
}

// Not a Kafka broker at all: the very first exchange is kafka-go's own.
func TestNotABroker(t *testing.T) {
	for name, c := range map[string]struct {
		greeting string
		hangUp   bool
	}{
		"HTTP": {"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n400 Bad Request", true}, "closes": {"", true},
		"SSH": {"SSH-2.0-OpenSSH_9.6\r\n", true},
	} {
		t.Run(name, func(t *testing.T) {
			l := listen(t)
			var serving sync.WaitGroup
			serving.Go(func() {
				for {
					conn, err := l.Accept()
					if err != nil {
						return
					}
					_, _ = io.WriteString(conn, c.greeting)
					_, _ = conn.Read(make([]byte, 100))
					_ = conn.Close()
				}
			})
			defer serving.Wait()
			defer func() { _ = l.Close() }()
			client := wire(t, []string{l.Addr().String()})
			var err error
			if n := allocated(func() { _, err = client.NewProducerID(deadline(t)) }); n > 8<<20 {
				t.Errorf("it allocated %d MiB", n>>20)
			}
			if err == nil {
				t.Error("no error")
			}
			if _, _, err := client.Leaders(deadline(t), "topic"); err == nil {
				t.Error("Leaders: no error")
			}
		})
	}
}

func TestUnreachable(t *testing.T) {
	l := listen(t)
	addr := l.Addr().String()
	_ = l.Close()
	client := wire(t, []string{addr})
	if _, err := client.NewProducerID(deadline(t)); err == nil || !Transient(err) {
		t.Errorf("error %v, want a transient one", err)
	}
	if _, err := client.Broker(deadline(t), 5, metadataRequest()); err == nil || !Transient(err) {
		t.Errorf("an unknown broker: error %v, want a transient one", err)
	}
}
