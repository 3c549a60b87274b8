package oracle

import (
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// story is what a service that keeps its promises was asked, and what came of it.
type story struct {
	requests []Request[int]
	outcomes []Outcome[int]
}

// honest draws a story: the requests of each stream are answered in order, streams in any order among each other. Some
// requests have no stream.
func honest(t *rapid.T) story {
	var s story
	waiting := map[string][]Request[int]{}
	streams := rapid.IntRange(1, 4).Draw(t, "streams")
	for id := range rapid.IntRange(2, 60).Draw(t, "requests") {
		q := Request[int]{ID: id, Seq: int64(10 * id), Want: rapid.SampledFrom([]string{"", "complete", "expired"}).
			Draw(t, "want")}
		stream := fmt.Sprint(rapid.IntRange(0, streams-1).Draw(t, "stream"))
		s.requests, waiting[stream] = append(s.requests, q), append(waiting[stream], q)
	}
	for len(s.outcomes) < len(s.requests) {
		stream := fmt.Sprint(rapid.IntRange(0, streams-1).Draw(t, "next"))
		if len(waiting[stream]) == 0 {
			continue
		}
		q := waiting[stream][0]
		waiting[stream] = waiting[stream][1:]
		a := Outcome[int]{Of: q.ID, Is: q.Want, Ref: len(s.outcomes), Stream: stream, Partition: int32(stream[0])}
		if a.Is == "" {
			a.Is = "anything"
		}
		if stream == "3" {
			a.Stream = ""
		}
		s.outcomes = append(s.outcomes, a)
	}
	return s
}

func (s story) check() Findings[int] {
	o := New[int]()
	for _, q := range s.requests {
		o.Request(q)
		o.Request(q) // changes nothing
	}
	for _, a := range s.outcomes {
		o.Outcome(a)
	}
	return o.Findings()
}

// summary counts what was found.
func (f Findings[K]) summary() string {
	return fmt.Sprintf("%d lost, %d unknown, %d repeated, %d wrong, %d out of order",
		len(f.Lost), len(f.Unknown), len(f.Repeated), len(f.Wrong), len(f.Disorder))
}

const nothing = "0 lost, 0 unknown, 0 repeated, 0 wrong, 0 out of order"

func TestHonestServiceIsNotAccused(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		s := honest(t)
		if f := s.check(); f.summary() != nothing || f.Once != len(s.requests) {
			t.Fatalf("%s, %d once: %+v", f.summary(), f.Once, f)
		}
	})
}

// What was answered after some point comes again, as after a crash: repeated, and no more than that.
func TestRepetitionIsNoDisorder(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		s := honest(t)
		n := len(s.outcomes)
		from := rapid.IntRange(0, n-1).Draw(t, "from")
		s.outcomes = append(s.outcomes, s.outcomes[from:]...)
		want := fmt.Sprintf("0 lost, 0 unknown, %d repeated, 0 wrong, 0 out of order", n-from)
		if f := s.check(); f.summary() != want || f.Once != from {
			t.Fatalf("%s, %d once, want %s, %d once", f.summary(), f.Once, want, from)
		}
	})
}

// Each of these is found, and nothing else is.
func TestOneMistakeIsFound(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		spoil func(s *story, i int)
		want  string
		found func(f Findings[int]) int // the request
	}{
		"lost": {
			func(s *story, i int) { s.outcomes = slices.Delete(s.outcomes, i, i+1) },
			"1 lost, 0 unknown, 0 repeated, 0 wrong, 0 out of order",
			func(f Findings[int]) int { return f.Lost[0].ID },
		},
		"unknown": {
			func(s *story, i int) {
				of := s.outcomes[i].Of
				s.requests = slices.DeleteFunc(s.requests, func(q Request[int]) bool { return q.ID == of })
			},
			"0 lost, 1 unknown, 0 repeated, 0 wrong, 0 out of order",
			func(f Findings[int]) int { return f.Unknown[0].Of },
		},
		"repeated": {
			func(s *story, i int) { s.outcomes = append(s.outcomes, s.outcomes[i]) },
			"0 lost, 0 unknown, 1 repeated, 0 wrong, 0 out of order",
			func(f Findings[int]) int { return f.Repeated[0].Of },
		},
		"wrong": {
			func(s *story, i int) { s.outcomes[i].Is, s.requests[s.outcomes[i].Of].Want = "expired", "complete" },
			"0 lost, 0 unknown, 0 repeated, 1 wrong, 0 out of order",
			func(f Findings[int]) int { return f.Wrong[0].Of },
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rapid.Check(t, func(t *rapid.T) {
				s := honest(t)
				i := rapid.IntRange(0, len(s.outcomes)-1).Draw(t, "victim")
				of := s.outcomes[i].Of
				test.spoil(&s, i)
				if f := s.check(); f.summary() != test.want || test.found(f) != of {
					t.Fatalf("of request %d: %s, want %s", of, f.summary(), test.want)
				}
			})
		})
	}
}

// An outcome that is moved behind a later one of its stream is out of order, and so is one in another partition.
func TestDisorderIsFound(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		s := honest(t)
		i := rapid.IntRange(0, len(s.outcomes)-1).Draw(t, "victim")
		a := s.outcomes[i]
		var behind []int
		for j := i + 1; j < len(s.outcomes); j++ {
			if s.outcomes[j].Stream == a.Stream && a.Stream != "" {
				behind = append(behind, j)
			}
		}
		if len(behind) == 0 {
			t.Skip("it is the last of its stream, or in none")
		}
		moved := s
		to := rapid.SampledFrom(behind).Draw(t, "behind")
		moved.outcomes = slices.Insert(slices.Clone(s.outcomes), to+1, a)
		moved.outcomes = slices.Delete(moved.outcomes, i, i+1)
		f := moved.check()
		if len(f.Disorder) != 1 || f.Disorder[0].Outcome.Of != a.Of || f.Disorder[0].After.Of != s.outcomes[to].Of {
			t.Fatalf("moved %d behind %d: %+v", a.Of, s.outcomes[to].Of, f.Disorder)
		}
		apart := s
		apart.outcomes = slices.Clone(s.outcomes)
		apart.outcomes[behind[len(behind)-1]].Partition++
		if f := apart.check(); f.summary() != "0 lost, 0 unknown, 0 repeated, 0 wrong, 1 out of order" {
			t.Fatalf("in another partition: %s", f.summary())
		}
	})
}

func TestVerdicts(t *testing.T) {
	t.Parallel()
	o := New[string]()
	o.Request(Request[string]{ID: "a"})
	got := []Verdict{
		o.Outcome(Outcome[string]{Of: "b"}), o.Outcome(Outcome[string]{Of: "a"}), o.Outcome(Outcome[string]{Of: "a"}),
	}
	if want := []Verdict{Unknown, First, Repeated}; !slices.Equal(got, want) || o.Outcomes("a") != 2 ||
		o.Outcomes("b") != 0 {
		t.Errorf("verdicts %v, want %v; %d and %d outcomes", got, want, o.Outcomes("a"), o.Outcomes("b"))
	}
}
