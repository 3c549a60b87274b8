// Package oracle decides whether requests were answered once, rightly and in order. It knows no Kafka: what reads the
// topics tells it which requests there were, and in which order a reader gets the outcomes. The tests of the program,
// chaos, the demo and the benchmark share it, so that all of them mean the same by lost, repeated, wrong and out of
// order.
package oracle

// Request is a request that was published.
type Request[K comparable] struct {
	ID   K      // what outcomes name it by: its position or its number
	Seq  int64  // orders the requests of a stream, e.g. the offset
	Want string // the outcome that it is due, e.g. "complete" or the reason of a dead letter; "" is any
}

// Outcome is a result or a dead letter.
type Outcome[K comparable] struct {
	Of  K      // the request's ID
	Is  string // what came out, comparable with Request.Want
	Ref int    // the caller's own number of it; findings give it back
	// Stream names what has an order: first outcomes of one stream come in the order of their requests, and all in one
	// partition, where a reader sees it. E.g. the contract. "" has no order.
	Stream    string
	Partition int32
}

// Findings is what is wrong, each list in the order in which it was found. Nothing is when all lists are empty.
type Findings[K comparable] struct {
	Once     int          // requests with exactly one outcome, right or wrong
	Lost     []Request[K] // without any
	Unknown  []Outcome[K] // of no request
	Repeated []Outcome[K] // beyond the first of their request
	Wrong    []Outcome[K] // not the one that the request was due
	Disorder []Disorder[K]
}

// Disorder is an outcome that came after one of a later request of its stream, or in another partition than that.
type Disorder[K comparable] struct{ Outcome, After Outcome[K] }

// Verdict says what one outcome is for its request.
type Verdict int

// Of an outcome.
const (
	Unknown Verdict = iota // its request was not published
	First
	Repeated
)

// Oracle collects requests and outcomes. It is not safe for concurrent use.
type Oracle[K comparable] struct {
	order    []*asked[K]
	byID     map[K]*asked[K]
	newest   map[string]Outcome[K] // by stream, of the latest request so far
	findings Findings[K]
}

type asked[K comparable] struct {
	Request[K]
	outcomes int
}

// New returns an oracle that knows of nothing.
func New[K comparable]() *Oracle[K] {
	return &Oracle[K]{byID: map[K]*asked[K]{}, newest: map[string]Outcome[K]{}}
}

// Request adds a request. One that is known already changes nothing.
func (o *Oracle[K]) Request(q Request[K]) {
	if o.byID[q.ID] == nil {
		a := &asked[K]{Request: q}
		o.byID[q.ID], o.order = a, append(o.order, a)
	}
}

// Outcome adds the next outcome that a reader gets. Only the first ones of their requests have an order: a reader that
// leaves out what it has seen before must not notice that anything was repeated.
func (o *Oracle[K]) Outcome(a Outcome[K]) Verdict {
	q := o.byID[a.Of]
	if q == nil {
		o.findings.Unknown = append(o.findings.Unknown, a)
		return Unknown
	}
	if q.Want != "" && q.Want != a.Is {
		o.findings.Wrong = append(o.findings.Wrong, a)
	}
	if q.outcomes++; q.outcomes > 1 {
		o.findings.Repeated = append(o.findings.Repeated, a)
		return Repeated
	}
	if a.Stream != "" {
		o.follow(q, a)
	}
	return First
}

func (o *Oracle[K]) follow(q *asked[K], a Outcome[K]) {
	before, some := o.newest[a.Stream]
	later := !some || o.byID[before.Of].Seq < q.Seq
	if !later || some && before.Partition != a.Partition {
		o.findings.Disorder = append(o.findings.Disorder, Disorder[K]{a, before})
	}
	if later {
		o.newest[a.Stream] = a
	}
}

// Outcomes is how many outcomes the request has so far.
func (o *Oracle[K]) Outcomes(of K) int {
	if q := o.byID[of]; q != nil {
		return q.outcomes
	}
	return 0
}

// Repeated returns the outcomes beyond the first of their request so far.
func (o *Oracle[K]) Repeated() []Outcome[K] { return o.findings.Repeated }

// Disorder returns what came out of order so far.
func (o *Oracle[K]) Disorder() []Disorder[K] { return o.findings.Disorder }

// Findings returns what is wrong, if nothing comes any more.
func (o *Oracle[K]) Findings() Findings[K] {
	f := o.findings
	for _, q := range o.order {
		switch q.outcomes {
		case 0:
			f.Lost = append(f.Lost, q.Request)
		case 1:
			f.Once++
		}
	}
	return f
}
