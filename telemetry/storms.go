package telemetry

import (
	"sync"
	"time"

	"github.com/rs/zerolog"
)

const (
	// stormLines is how many lines of one sentence are written within stormPeriod. The others are counted, and the count
	// is a line when the period is over: what goes wrong with each record must not fill the disk, nor hide all else.
	stormLines  = 50
	stormPeriod = 10 * time.Second

	// maxSentences bounds how many sentences are told apart; most are constant, and some quote what others say.
	maxSentences = 512
	others       = "other sentences" // beyond that
)

// storms is a zerolog.Hook that keeps lines of one sentence to stormLines.
type storms struct {
	log zerolog.Logger // that the counts are written to, without this hook

	mu        sync.Mutex
	sentences map[string]*storm
}

// storm is what came of one sentence in the present period.
type storm struct {
	began          time.Time
	lines, leftOut int
}

func newStorms(log zerolog.Logger) *storms { return &storms{log: log, sentences: map[string]*storm{}} }

// Run implements zerolog.Hook.
func (s *storms) Run(e *zerolog.Event, level zerolog.Level, sentence string) {
	now := time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	one := s.sentences[sentence]
	if one == nil && len(s.sentences) >= maxSentences {
		if s.forget(now); len(s.sentences) >= maxSentences {
			sentence = others
			one = s.sentences[sentence]
		}
	}
	if one == nil {
		one = &storm{began: now}
		s.sentences[sentence] = one
	} else if one.leftOut == 0 && now.Sub(one.began) >= stormPeriod {
		*one = storm{began: now}
	}
	if one.lines++; one.lines <= stormLines {
		return
	}
	e.Discard()
	if one.leftOut++; one.leftOut == 1 {
		time.AfterFunc(one.began.Add(stormPeriod).Sub(now), func() { s.tell(level, sentence) })
	}
}

// forget drops sentences of which nothing was left out lately. It requires mu.
func (s *storms) forget(now time.Time) {
	for sentence, one := range s.sentences {
		if one.leftOut == 0 && now.Sub(one.began) >= stormPeriod {
			delete(s.sentences, sentence)
		}
	}
}

// tell writes how many lines were left out, and begins another period.
func (s *storms) tell(level zerolog.Level, sentence string) {
	s.mu.Lock()
	n := s.sentences[sentence].leftOut
	delete(s.sentences, sentence)
	s.mu.Unlock()
	s.log.WithLevel(level).Str("event", "lines_left_out").Int("lines", n).Str("of", sentence).
		Msg("lines were left out of the log, as more came of one sentence than anybody reads")
}
