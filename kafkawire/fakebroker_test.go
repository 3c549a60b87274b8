package kafkawire

import (
	"encoding/binary"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// fakeBroker knows enough of the protocol for kafka-go to use it (ApiVersions, Metadata) and leaves every other request
// to the test.
type fakeBroker struct {
	addr    *net.TCPAddr
	answer  func(conn net.Conn, key, version int16, correlation uint32)
	serving sync.WaitGroup

	mu    sync.Mutex
	conns map[net.Conn]bool
	data  atomic.Int32 // connections that carried a request of the test's
}

func startFake(tb testing.TB, answer func(conn net.Conn, key, version int16, correlation uint32)) *fakeBroker {
	tb.Helper()
	l := listen(tb)
	f := &fakeBroker{addr: l.Addr().(*net.TCPAddr), answer: answer, conns: map[net.Conn]bool{}}
	f.serving.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			f.mu.Lock()
			f.conns[conn] = true
			f.mu.Unlock()
			f.serving.Go(func() { f.serve(conn) })
		}
	})
	tb.Cleanup(func() {
		_ = l.Close()
		f.mu.Lock()
		for conn := range f.conns {
			_ = conn.Close()
		}
		f.mu.Unlock()
		f.serving.Wait()
	})
	return f
}

func listen(tb testing.TB) net.Listener {
	tb.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	return l
}

func (f *fakeBroker) open() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.conns)
}

func (f *fakeBroker) serve(conn net.Conn) {
	defer func() {
		_ = conn.Close()
		f.mu.Lock()
		defer f.mu.Unlock()
		delete(f.conns, conn)
	}()
	fresh := true
	for {
		head := make([]byte, 12)
		if _, err := io.ReadFull(conn, head); err != nil {
			return
		}
		if _, err := io.CopyN(io.Discard, conn, int64(be.Uint32(head))-8); err != nil {
			return
		}
		key, version, correlation := int16(be.Uint16(head[4:])), int16(be.Uint16(head[6:])), be.Uint32(head[8:])
		switch key {
		case int16(kmsg.ApiVersions):
			resp := kmsg.NewPtrApiVersionsResponse()
			resp.ApiKeys = []kmsg.ApiVersionsResponseApiKey{{ApiKey: 3, MaxVersion: 1}, {ApiKey: 18},
				{ApiKey: 22, MaxVersion: 1}}
			reply(conn, correlation, resp.AppendTo(nil))
		case int16(kmsg.Metadata):
			resp := kmsg.NewPtrMetadataResponse()
			resp.Version = version
			resp.Brokers = []kmsg.MetadataResponseBroker{{NodeID: 0, Host: f.addr.IP.String(), Port: int32(f.addr.Port)}}
			reply(conn, correlation, resp.AppendTo(nil))
		case int16(kmsg.SASLHandshake): // who was hung up on as one of the first things asks why
			return
		default:
			if fresh {
				f.data.Add(1)
				fresh = false
			}
			f.answer(conn, key, version, correlation)
		}
	}
}

func (f *fakeBroker) client(tb testing.TB) *Client {
	tb.Helper()
	return wire(tb, []string{f.addr.String()})
}

func frame(size, correlation uint32, body []byte) []byte {
	b := binary.BigEndian.AppendUint32(nil, size)
	return append(binary.BigEndian.AppendUint32(b, correlation), body...)
}

func reply(conn net.Conn, correlation uint32, body []byte) {
	_, _ = conn.Write(frame(uint32(len(body)+4), correlation, body))
}
