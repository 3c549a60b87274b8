package telemetry

import (
	"bytes"
	"io"
	"sync"
	"time"
)

// Sink passes lines of the log on to where the log goes, and does not hold up who writes one: a pipe that is not
// read, by a collector of logs that hangs, would else stop every goroutine that has something to say. What does not
// fit into its memory meanwhile is lost, and counted. It is safe for concurrent use.
type Sink struct {
	out io.Writer

	mu      sync.Mutex
	told    func(lines int) // of lines that were lost
	waiting []byte          // whole lines
	lost    int
	running bool
	idle    chan struct{} // closed when everything is written and the goroutine has ended
}

// maxWaiting is how many bytes wait: some thousand lines.
const maxWaiting = 1 << 20

// NewSink returns a sink for lines that go to out. It has no goroutine while nothing waits.
func NewSink(out io.Writer) *Sink { return &Sink{out: out} }

// OnLost has f be told how many lines were lost, once lines can be written again.
func (s *Sink) OnLost(f func(lines int)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.told = f
}

// Write takes a line, or loses it. It never fails.
func (s *Sink) Write(line []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.waiting)+len(line) > maxWaiting {
		s.lost++
		return len(line), nil
	}
	s.waiting = append(s.waiting, line...)
	if !s.running {
		s.running, s.idle = true, make(chan struct{})
		go s.pass(s.idle)
	}
	return len(line), nil
}

// pass writes what waits, until nothing does.
func (s *Sink) pass(idle chan struct{}) {
	defer close(idle)
	var lines []byte
	for {
		s.mu.Lock()
		lines, s.waiting = s.waiting, lines[:0]
		if len(lines) == 0 {
			s.waiting, s.running = lines, false
			s.mu.Unlock()
			return
		}
		s.mu.Unlock()
		_, err := s.out.Write(lines)
		s.mu.Lock()
		if err != nil {
			s.lost += bytes.Count(lines, []byte("\n"))
		}
		lost, told := s.lost, s.told
		if err == nil {
			s.lost = 0
		}
		s.mu.Unlock()
		if err == nil && lost > 0 && told != nil {
			told(lost)
		}
	}
}

// Flush waits until everything is written that was taken so far, but no longer than that.
func (s *Sink) Flush(most time.Duration) {
	s.mu.Lock()
	idle := s.idle
	s.mu.Unlock()
	if idle == nil {
		return
	}
	timer := time.NewTimer(most)
	defer timer.Stop()
	select {
	case <-idle:
	case <-timer.C:
	}
}
