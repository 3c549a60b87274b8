package telemetry

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"testing"
	"time"
)

// A log that is not read holds up no writer. What fits into memory comes out when it is read again, whole lines in
// their order, and then how many were lost.
func TestSinkThatIsNotRead(t *testing.T) {
	t.Parallel()
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	s := NewSink(write)
	lost := 0
	s.OnLost(func(n int) { lost += n })
	const lines, size = 40_000, 100
	for i := range lines {
		if n, err := fmt.Fprintf(s, "%0*d\n", size-1, i); n != size || err != nil {
			t.Fatal(n, err)
		}
	}
	all := make(chan string)
	go func() {
		text, _ := io.ReadAll(read)
		all <- string(text)
	}()
	s.Flush(time.Minute)
	_ = write.Close()
	text := strings.Split(strings.TrimSuffix(<-all, "\n"), "\n")
	_ = read.Close()
	for i, line := range text { // room may come in between: the pipe takes some before it is full
		if len(line) != size-1 || i > 0 && line <= text[i-1] {
			t.Fatalf("line %d is %q, after %q", i, line, text[max(0, i-1)])
		}
	}
	if len(text)+lost != lines || len(text) < maxWaiting/size || lost == 0 {
		t.Errorf("%d lines came, %d were lost, of %d", len(text), lost, lines)
	}
}

// failing is a log whose reader is away.
type failing struct {
	mu   sync.Mutex
	away bool
	text strings.Builder
}

func (f *failing) Write(b []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.away {
		return 0, errors.New("broken pipe")
	}
	return f.text.Write(b)
}

func (f *failing) is(away bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.away = away
}

// Where the reader has gone, lines are lost, and it is said when there is one again.
func TestSinkWithoutReader(t *testing.T) {
	t.Parallel()
	out := &failing{away: true}
	s := NewSink(out)
	s.OnLost(func(n int) { _, _ = fmt.Fprintf(s, "lost %d\n", n) })
	for range 3 {
		_, _ = io.WriteString(s, "away\n")
		s.Flush(time.Minute)
	}
	out.is(false)
	_, _ = io.WriteString(s, "back\n")
	s.Flush(time.Minute)
	if text := out.text.String(); text != "back\nlost 3\n" {
		t.Errorf("%q", text)
	}
	(&Sink{}).Flush(time.Minute) // nothing was ever written
}

// A sink that is never read ends nothing later than it may.
func TestSinkFlushEnds(t *testing.T) {
	t.Parallel()
	read, write := io.Pipe()
	s := NewSink(write)
	_, _ = io.WriteString(s, "x\n")
	s.Flush(time.Millisecond)
	_ = read.Close()
	s.Flush(time.Minute)
}
