package main

import (
	"errors"
	"io"
	"net"
	"syscall"
	"testing"
	"time"
)

// echo answers with what it gets.
func echo(t *testing.T) (address string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				io.Copy(conn, conn)
				conn.Close()
			}()
		}
	}()
	return l.Addr().String()
}

func through(t *testing.T, target string) *proxy {
	t.Helper()
	p, err := newProxy(t.Context(), "127.0.0.1:0", target)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.close)
	return p
}

func dial(t *testing.T, p *proxy) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", p.listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	return conn
}

// call sends a word and reads it back.
func call(conn net.Conn) error {
	if _, err := conn.Write([]byte("hello")); err != nil {
		return err
	}
	_, err := io.ReadFull(conn, make([]byte, 5))
	return err
}

func TestProxyPasses(t *testing.T) {
	p := through(t, echo(t))
	conn := dial(t, p)
	for range 3 {
		if err := call(conn); err != nil {
			t.Fatal(err)
		}
	}
}

func TestProxyCuts(t *testing.T) {
	p := through(t, echo(t))
	conn := dial(t, p)
	if err := call(conn); err != nil {
		t.Fatal(err)
	}
	p.cut()
	if err := call(conn); err == nil {
		t.Error("the connection lives on")
	}
	if err := call(dial(t, p)); err == nil {
		t.Error("a new connection is taken")
	}
	p.restore()
	if err := call(dial(t, p)); err != nil {
		t.Error("over: ", err)
	}
}

func TestProxySlows(t *testing.T) {
	const delay = 50 * time.Millisecond
	p := through(t, echo(t))
	conn := dial(t, p)
	p.slow(delay)
	began := time.Now()
	if err := call(conn); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(began); took < 2*delay {
		t.Errorf("there and back takes %v", took)
	}
}

// A broker that is not there looks to the workers as it does without a proxy: the connection ends at once.
func TestProxyWithoutTarget(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	target := l.Addr().String()
	l.Close()
	_, err = dial(t, through(t, target)).Read(make([]byte, 1))
	if !errors.Is(err, io.EOF) && !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("%v", err)
	}
}
